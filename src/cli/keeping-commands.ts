/** The commands about what is held: list, pin, unpin, verify, prune. */
import type { Command } from "commander";
import type { CommandDefinitions } from "./command-definitions.ts";
import { addSwitch, flagsOf } from "./flag-table.ts";
import type { ListCommandOptions } from "./list.ts";
import type { PinCommandOptions } from "./pin.ts";
import type { PruneCommandOptions } from "./prune.ts";
import type { VerifyCommandOptions } from "./verify.ts";

type ListFlags = Omit<ListCommandOptions, "flags" | "io">;
type PinFlags = Omit<PinCommandOptions, "flags" | "io" | "does" | "references">;
type VerifyFlags = Omit<VerifyCommandOptions, "flags" | "io">;
type PruneFlags = Omit<PruneCommandOptions, "flags" | "io">;

/** `list`, `pin`, `unpin`, `verify`, `prune`. */
export function addKeepingCommands(program: Command, commands: CommandDefinitions): void {
  const list = commands.define(program, {
    name: "list",
    description: "Say what is held.",
    examples: listExamples,
    action: async (command) => {
      const { list: runList } = await import("./list.ts");
      return runList({ flags: flagsOf(command), io: commands.io, ...command.opts<ListFlags>() });
    },
  });
  list
    .option("--pattern <RE>", "only names in which one of these is found: Go's regular expressions, with commas")
    .option("--registry <HOST>", "only this registry's")
    .option("--complete", "only what can be pulled from here whole")
    .option("--incomplete", "only what cannot")
    .option("--sort <ORDER>", "name (default), used (the latest first) or size (the largest first)")
    .option("--tree", "print what each image is made of, and what it has to itself")
    .option("--json", "print JSON, a line for each image");
  addSwitch(list, "--header", "name the columns");
  addSwitch(list, "--short-digest", "print twelve characters of each digest");

  for (const does of ["pin", "unpin"] as const) {
    const what = does === "pin" ? "Keep images, whatever is pruned or evicted." : "No longer keep them.";
    const pin = commands.define(program, {
      name: does,
      description: what,
      examples: does === "pin" ? pinExamples : unpinExamples,
      action: async (command) => {
        const { pin: runPin } = await import("./pin.ts");
        return runPin({ flags: flagsOf(command), io: commands.io, does, references: command.args, ...command.opts<PinFlags>() });
      },
    });
    pin.argument("[images...]", "by name: a tag, or a digest").option("--image-file <FILES>", "lists of images: files, folders, quoted globs; - is stdin");
    if (does === "pin")
      pin
        .option("--for <DURATION>", "so long, such as 30d, or as it is pinned already; else until it is unpinned")
        .option("--reason <TEXT>", "why: list --tree and --json say it");
    pin.option("--json", "print JSON, a line for each image");
  }

  const verify = commands.define(program, {
    name: "verify",
    description: "Say whether what is held is right and whole.",
    examples: verifyExamples,
    action: async (command) => {
      const { verify: runVerify } = await import("./verify.ts");
      return runVerify({ flags: flagsOf(command), io: commands.io, ...command.opts<VerifyFlags>() });
    },
  });
  verify
    .option("--images <LISTS>", "only whether what these lists name could be pulled with no network")
    .option("--platform <PLATFORMS>", "for these: os/arch[/variant], with commas; or all")
    .option("--rate <SIZE>", "read so much a second at most (default 50MiB; 0: no bound)")
    .option("--jobs <N>", "files at once (default 2)")
    .option("--json", "print JSON: an object for each finding, on a line of its own, and one at the end");
  addSwitch(verify, "--repair", "fetch again what is wrong or missing");

  const pruning = commands.define(program, {
    name: "prune",
    description: "Remove images, beside whoever serves; what others need of them stays.",
    examples: pruneExamples,
    action: async (command) => {
      const { prune } = await import("./prune.ts");
      return prune({ flags: flagsOf(command), io: commands.io, ...command.opts<PruneFlags>() });
    },
  });
  pruning
    .option("--pattern <RE>", "images in whose name one of these is found: Go's regular expressions, with commas")
    .option("--date <DATE>", "images that came before this: YYYY-MM-DDTHH:MM:SS")
    .option("--timezone <ZONE>", "of the date (default: pruneConfig.timezone, else UTC)")
    .option("--json", "print JSON, a line for each image and one for the sums");
  addSwitch(pruning, "--dry-run", "say what would go, why, and what that would free");
}

const listExamples = [
  "ociregistry list --header --short-digest",
  "ociregistry list --pattern 'docker.io/library/.*,quay.io/.*:v1' --sort size",
  "ociregistry list --tree --pattern alpine --image-path ./cache",
  "ociregistry list --json --incomplete | jq -r .repository",
];
const pinExamples = [
  "ociregistry pin docker.io/library/alpine:3.20 --reason 'the installer needs it'",
  "ociregistry pin quay.io/team/app@sha256:<hex> --for 30d",
  "kubectl get pods -A -o yaml | ociregistry pin --image-file -",
];
const unpinExamples = ["ociregistry unpin docker.io/library/alpine:3.20", "ociregistry unpin --image-file images.txt"];
const verifyExamples = [
  "ociregistry verify --image-path ./cache",
  "ociregistry verify --repair --rate 200MiB --config-file config.yaml",
  "kubectl get pods -A -o yaml | ociregistry verify --images - --platform linux/amd64,linux/arm64",
];
const pruneExamples = [
  "ociregistry prune --pattern kubernetesui/dashboard:v2.7.0 --dry-run",
  "ociregistry prune --pattern 'curl,^quay[.]io/.*-rc[0-9]+$'",
  "ociregistry prune --date 2026-03-01T22:17:31 --timezone Europe/Berlin --dry-run --json",
  "ociregistry prune --config-file config.yaml",
];
