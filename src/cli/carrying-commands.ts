/** The commands that carry images from one place to another: load, export, import, receipt. */
import type { Command } from "commander";
import { collect, type CommandDefinitions } from "./command-definitions.ts";
import type { ExportCommandOptions } from "./export.ts";
import { addFlags, addSwitch, flagsOf, loadFlags } from "./flag-table.ts";
import type { ImportCommandOptions } from "./import.ts";
import type { LoadCommandOptions } from "./load.ts";
import type { ReceiptCommandOptions } from "./receipt.ts";

type LoadFlags = Omit<LoadCommandOptions, "flags" | "io">;
type ExportFlags = Omit<ExportCommandOptions, "flags" | "io">;
type ImportFlags = Omit<ImportCommandOptions, "flags" | "io" | "file">;
type ReceiptFlags = Omit<ReceiptCommandOptions, "flags" | "io">;

/** `load`, `export`, `import`, `receipt`. */
export function addCarryingCommands(program: Command, commands: CommandDefinitions): void {
  const load = commands.define(program, {
    name: "load",
    description: "Bring images here that lists name, or archives hold.",
    examples: loadExamples,
    action: async (command) => {
      const { load: runLoad } = await import("./load.ts");
      return runLoad({ flags: flagsOf(command), io: commands.io, ...command.opts<LoadFlags>() });
    },
  });
  addFlags(load, loadFlags);
  load
    .option("--platform <PLATFORMS>", "for these: os/arch[/variant], with commas; or all")
    .option("--jobs <N>", "images at once (default 4)")
    .option("--no-referrers", "leave signatures and bills of material")
    .option("--json", "print JSON");
  addSwitch(load, "--dry-run", "say what is missing, and fetch no blob");

  const exporting = commands.define(program, {
    name: "export",
    description: "Write held images to a bundle that another store imports, and other tools read.",
    examples: exportExamples,
    action: async (command) => {
      const { exportImages } = await import("./export.ts");
      return exportImages({ flags: flagsOf(command), io: commands.io, ...command.opts<ExportFlags>() });
    },
  });
  exporting
    .requiredOption("--output <FILE>", "the bundle; .zst compresses it; - is stdout")
    .option("--images <LIST>", "what lists name, as load takes them; may be repeated", collect)
    .option("--pattern <RE>", "held images whose host/path:tag matches, in Go's syntax, with commas")
    .option("--used-since <DURATION>", "held images that were pulled, or brought here, since: 30d")
    .option("--platform <PLATFORMS>", "for these: os/arch[/variant], with commas; or all (default: what is held)")
    .option("--no-referrers", "leave signatures and bills of material")
    .option("--since <RECEIPT>", "leave out what the other side holds")
    .option("--part-size <SIZE>", "split into FILE.001 and so on: 4GiB")
    .option("--sign-key <PEM>", "sign it with this Ed25519 key")
    .option("--receipt <FILE>", "what the other side will hold then, for the next --since (default: beside the bundle)")
    .option("--offline", "fetch nothing: name what is missing")
    .option("--json", "print JSON");

  const importing = commands.define(program, {
    name: "import",
    description: "Take a bundle into the store, beside whoever serves from it.",
    examples: importExamples,
    action: async (command) => {
      const { importImages } = await import("./import.ts");
      return importImages({ flags: flagsOf(command), io: commands.io, file: command.args[0], ...command.opts<ImportFlags>() });
    },
  });
  importing
    .argument("[file]", "the bundle, or the first of its parts; - is stdin")
    .option("--from-ociregistry <DIR>", "in place of a bundle: the imagePath of a Go ociregistry")
    .option("--verify-key <PEM>", "refuse it unless it is signed with this key's other half")
    .option("--keep-tags", "tags that are here keep what they mean")
    .option("--json", "print JSON");

  const receipt = commands.define(program, {
    name: "receipt",
    description: "Write what is held, so that the next export can leave it out.",
    examples: receiptExamples,
    action: async (command) => {
      const { receipt: runReceipt } = await import("./receipt.ts");
      return runReceipt({ flags: flagsOf(command), io: commands.io, ...command.opts<ReceiptFlags>() });
    },
  });
  receipt
    .requiredOption("--output <FILE>", "the receipt; - is stdout")
    .option("--hold <DURATION>", "keep what it lists for so long: 30d")
    .option("--digests-only", "name no image");
}

const loadExamples = [
  "ociregistry load --image-file images.txt",
  "kubectl get pods -A -o yaml | ociregistry load --image-file - --platform linux/amd64,linux/arm64",
  "helm template my-chart | ociregistry load --image-file - --jobs 8 --dry-run",
  "ociregistry load --image-file 'lists/*.txt,extra.yaml' --config-file config.yaml",
  "docker save my/app:1 | ociregistry load --image-file -",
  "ociregistry load --image-file app.tar --resolve-ref registry.example.com/my/app:1",
];
const exportExamples = [
  "ociregistry export --output images.tar.zst --images images.txt --platform linux/amd64",
  "ociregistry export --output images.tar --used-since 30d --part-size 4GiB --sign-key bundle.key",
  "ociregistry export --output july.tar --images images.txt --since images.receipt.json",
  "ociregistry export --output - --pattern 'alpine:3,/team/' --offline | ssh inside ociregistry import -",
];
const importExamples = [
  "ociregistry import images.tar.zst --verify-key bundle.pub",
  "ociregistry import /media/stick/images.tar.001",
  "ssh outside ociregistry export --output - | ociregistry import -",
  "ociregistry import --from-ociregistry /var/lib/ociregistry-1 --image-path /var/lib/ociregistry",
];
const receiptExamples = ["ociregistry receipt --output inside.receipt.json --hold 30d", "ociregistry receipt --output - --digests-only"];
