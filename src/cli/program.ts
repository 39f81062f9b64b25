/** The command line: which command was meant, its flags, and what its end means for the exit code. */
import { Command, CommanderError } from "commander";
import { packageVersion } from "../config/package-version.ts";
import type { ApiKeyCreateOptions } from "./apikey-create.ts";
import type { AuthCheckOptions } from "./auth-check.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { errorLines, isMisuse } from "./error-lines.ts";
import type { ExportCommandOptions } from "./export.ts";
import { addFlags, addSwitch, flagsOf, globalFlags, loadFlags, normalizeSwitches, serveFlags } from "./flag-table.ts";
import type { ImportCommandOptions } from "./import.ts";
import type { ListCommandOptions } from "./list.ts";
import type { LoadCommandOptions } from "./load.ts";
import type { LoginCommandOptions, LoginPlaceOptions } from "./login.ts";
import type { PinCommandOptions } from "./pin.ts";
import type { PruneCommandOptions } from "./prune.ts";
import type { ReceiptCommandOptions } from "./receipt.ts";
import type { VerifyCommandOptions } from "./verify.ts";

const helpColumnsMax = 100;

/**
 * Runs what `args` (without node and script) say and resolves to the exit code: 0 done, 1 failed, 2 the command line was misused.
 * Results go to stdout, everything else to stderr, each error on a line of its own. Never rejects.
 */
export async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const outcome: { code: number } = { code: exitCodes.done };
  const program = createProgram(io, outcome);
  try {
    if (args.length === 0) program.help({ error: true });
    await program.parseAsync(normalizeSwitches(args), { from: "user" });
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError)
      return error.code === "commander.helpDisplayed" || error.code === "commander.version" ? exitCodes.done : exitCodes.misuse;
    for (const line of errorLines(error)) io.writeError(`ociregistry: ${line}\n`);
    return isMisuse(error) ? exitCodes.misuse : exitCodes.failed;
  }
}

function createProgram(io: CommandIo, outcome: { code: number }): Command {
  const program = new Command("ociregistry");
  configureCommand(program, io);
  program.description("A caching pull-through registry in front of every container registry.");
  program.version(packageVersion(), "--version", "print the version");
  addFlags(program, globalFlags);

  /** A command's module is loaded when it runs: a probe need not read what serves. */
  const define = (parent: Command, name: string, description: string, examples: readonly string[], action: (command: Command) => Promise<number>): Command => {
    const command = parent.command(name).description(description);
    configureCommand(command, io);
    command.addHelpText("after", examplesText(examples));
    return command.action(async () => {
      outcome.code = await action(command);
    });
  };

  const serve = define(program, "serve", "Serve images, fetching from upstreams what is not held.", serveExamples, async (command) => {
    const { serve: runServe } = await import("./serve.ts");
    return runServe({ flags: flagsOf(command), io });
  });
  addFlags(serve, serveFlags);

  const load = define(program, "load", "Bring images here that lists name, or archives hold.", loadExamples, async (command) => {
    const { load: runLoad } = await import("./load.ts");
    return runLoad({ flags: flagsOf(command), io, ...command.opts<LoadFlags>() });
  });
  addFlags(load, loadFlags);
  load
    .option("--platform <PLATFORMS>", "for these: os/arch[/variant], with commas; or all")
    .option("--jobs <N>", "images at once (default 4)")
    .option("--no-referrers", "leave signatures and bills of material")
    .option("--json", "print JSON");
  addSwitch(load, "--dry-run", "say what is missing, and fetch no blob");

  const exporting = define(
    program,
    "export",
    "Write held images to a bundle that another store imports, and other tools read.",
    exportExamples,
    async (command) => {
      const { exportImages } = await import("./export.ts");
      return exportImages({ flags: flagsOf(command), io, ...command.opts<ExportFlags>() });
    },
  );
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

  const importing = define(program, "import", "Take a bundle into the store, beside whoever serves from it.", importExamples, async (command) => {
    const { importImages } = await import("./import.ts");
    return importImages({ flags: flagsOf(command), io, file: command.args[0], ...command.opts<ImportFlags>() });
  });
  importing
    .argument("[file]", "the bundle, or the first of its parts; - is stdin")
    .option("--from-ociregistry <DIR>", "in place of a bundle: the imagePath of a Go ociregistry")
    .option("--verify-key <PEM>", "refuse it unless it is signed with this key's other half")
    .option("--keep-tags", "tags that are here keep what they mean")
    .option("--json", "print JSON");

  const receipt = define(program, "receipt", "Write what is held, so that the next export can leave it out.", receiptExamples, async (command) => {
    const { receipt: runReceipt } = await import("./receipt.ts");
    return runReceipt({ flags: flagsOf(command), io, ...command.opts<ReceiptFlags>() });
  });
  receipt
    .requiredOption("--output <FILE>", "the receipt; - is stdout")
    .option("--hold <DURATION>", "keep what it lists for so long: 30d")
    .option("--digests-only", "name no image");

  const list = define(program, "list", "Say what is held.", listExamples, async (command) => {
    const { list: runList } = await import("./list.ts");
    return runList({ flags: flagsOf(command), io, ...command.opts<ListFlags>() });
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
    const pin = define(program, does, what, does === "pin" ? pinExamples : unpinExamples, async (command) => {
      const { pin: runPin } = await import("./pin.ts");
      return runPin({ flags: flagsOf(command), io, does, references: command.args, ...command.opts<PinFlags>() });
    });
    pin.argument("[images...]", "by name: a tag, or a digest").option("--image-file <FILES>", "lists of images: files, folders, quoted globs; - is stdin");
    if (does === "pin")
      pin
        .option("--for <DURATION>", "so long, such as 30d, or as it is pinned already; else until it is unpinned")
        .option("--reason <TEXT>", "why: list --tree and --json say it");
    pin.option("--json", "print JSON, a line for each image");
  }

  const verify = define(program, "verify", "Say whether what is held is right and whole.", verifyExamples, async (command) => {
    const { verify: runVerify } = await import("./verify.ts");
    return runVerify({ flags: flagsOf(command), io, ...command.opts<VerifyFlags>() });
  });
  verify
    .option("--images <LISTS>", "only whether what these lists name could be pulled with no network")
    .option("--platform <PLATFORMS>", "for these: os/arch[/variant], with commas; or all")
    .option("--rate <SIZE>", "read so much a second at most (default 50MiB; 0: no bound)")
    .option("--jobs <N>", "files at once (default 2)")
    .option("--json", "print JSON: an object for each finding, on a line of its own, and one at the end");
  addSwitch(verify, "--repair", "fetch again what is wrong or missing");

  const pruning = define(program, "prune", "Remove images, beside whoever serves; what others need of them stays.", pruneExamples, async (command) => {
    const { prune } = await import("./prune.ts");
    return prune({ flags: flagsOf(command), io, ...command.opts<PruneFlags>() });
  });
  pruning
    .option("--pattern <RE>", "images in whose name one of these is found: Go's regular expressions, with commas")
    .option("--date <DATE>", "images that came before this: YYYY-MM-DDTHH:MM:SS")
    .option("--timezone <ZONE>", "of the date (default: pruneConfig.timezone, else UTC)")
    .option("--json", "print JSON, a line for each image and one for the sums");
  addSwitch(pruning, "--dry-run", "say what would go, why, and what that would free");

  const health = define(program, "health", "Ask a running server whether it is alive.", healthExamples, async (command) => {
    const { health: runHealth } = await import("./health.ts");
    return runHealth({ flags: flagsOf(command), io, url: command.opts<{ url?: string }>().url });
  });
  health.option("--url <URL>", "ask this, not what the configuration says");

  const config = program.command("config").description("Check a configuration; print what one may say.");
  configureCommand(config, io);
  const check = define(config, "check", "Say what is wrong with a configuration.", checkExamples, async (command) => {
    const { configCheck } = await import("./config-check.ts");
    return configCheck({ flags: flagsOf(command), io, ...command.opts<{ online?: boolean; json?: boolean }>() });
  });
  check.option("--online", "try every registry with its credential").option("--json", "print JSON");
  define(config, "schema", "Print the JSON Schema, for editors.", schemaExamples, async () => {
    const { configSchema } = await import("./config-schema.ts");
    return configSchema({ io });
  });

  const auth = program.command("auth").description("Who may do what.");
  configureCommand(auth, io);
  const authCheck = define(auth, "check", "Say what somebody may do, and which rule says so.", authCheckExamples, async (command) => {
    const { authCheck: runCheck } = await import("./auth-check.ts");
    return runCheck({ flags: flagsOf(command), io, ...command.opts<AuthCheckFlags>() });
  });
  authCheck
    .requiredOption("--repository <NAME>", "which, as policies name it or with its registry")
    .option("--action <ACTION>", "to do what", "read")
    .option("--user <NAME>", "who; nobody in particular unless given")
    .option("--groups <GROUPS>", "groups of the user's own method, with commas; may be repeated", collect)
    .option("--reference <TAG>", "for conditions: the tag or digest that is asked for")
    .option("--client <ADDRESS>", "for conditions: where the request comes from")
    .option("--json", "print JSON");

  const authHash = define(
    auth,
    "hash",
    "Make a line of a password file, by bcrypt, from a password that is typed or comes by stdin.",
    authHashExamples,
    async (command) => {
      const { authHash: runHash } = await import("./auth-hash.ts");
      return runHash({ io, ...command.opts<{ user?: string }>() });
    },
  );
  authHash.option("--user <NAME>", "whose line; only the hash unless given");

  const authRevoke = define(
    auth,
    "revoke",
    "End what clients keep instead of passwords: our refresh tokens, and the sessions of browsers.",
    authRevokeExamples,
    async (command) => {
      const { authRevoke: runRevoke } = await import("./auth-revoke.ts");
      return runRevoke({ flags: flagsOf(command), io, ...command.opts<{ user?: string; all?: boolean }>() });
    },
  );
  authRevoke.option("--user <NAME>", "whose").option("--all", "everybody's");

  for (const does of ["login", "logout"] as const) {
    const what =
      does === "login"
        ? "Let docker, podman and their like in at a registry, with a browser's help: get an API key, and write it where they look."
        : "Take out what docker, podman and their like show to a registry, and end the key that it is.";
    const command = define(program, does, what, does === "login" ? loginExamples : logoutExamples, async (defined) => {
      const server = defined.args[0];
      if (does === "logout") {
        const { logout } = await import("./logout.ts");
        return logout({ io, server, ...defined.opts<LogoutFlags>() });
      }
      const { login } = await import("./login.ts");
      return login({ io, server, ...defined.opts<LoginFlags>() });
    });
    command.argument("[url]", "the registry: https://HOST[:PORT], or HOST[:PORT]");
    if (does === "login") {
      command
        .option("--label <TEXT>", "what the key is called (default: login on, and the name of this machine)")
        .option("--expires <DURATION>", "how long the key is good: 12h, 90d (default 90d)");
      addSwitch(command, "--read-only", "a key that pulls, and does nothing else that you may do");
    }
    command
      .option("--auth-file <FILE>", "keep it there: docker's config.json, or podman's auth.json (default: both, where those look)")
      .option("--no-docker", "leave docker's file")
      .option("--no-podman", "leave podman's file")
      .option("--ca-file <PEM>", "trust this authority too");
    addSwitch(command, "--plain-http", "speak http to other machines than this one: everybody on the way gets the key");
  }

  const keys = program.command("apikey").description("Keys that stand in for passwords: people's, and those of machines.");
  configureCommand(keys, io);
  const keyCreate = define(keys, "create", "Make a key; it is printed this once.", keyCreateExamples, async (command) => {
    const { apiKeyCreate } = await import("./apikey-create.ts");
    return apiKeyCreate({ flags: flagsOf(command), io, ...command.opts<KeyCreateFlags>() });
  });
  keyCreate
    .requiredOption("--user <NAME>", "in whose name it acts; of a machine, any that nobody has")
    .requiredOption("--label <TEXT>", "what it is for")
    .option("--expires <DURATION>", "how long it is good: 90d; until it is revoked unless given")
    .option("--repository <PATTERNS>", "only these repositories, as policies name them, with commas; may be repeated", collect)
    .option("--action <ACTIONS>", "only these actions, with commas; may be repeated", collect)
    .option("--json", "print JSON");
  const keyList = define(keys, "list", "Say what keys there are.", keyListExamples, async (command) => {
    const { apiKeyList } = await import("./apikey-list.ts");
    return apiKeyList({ flags: flagsOf(command), io, ...command.opts<{ user?: string; json?: boolean }>() });
  });
  keyList.option("--user <NAME>", "whose; everybody's unless given").option("--json", "print JSON, a line for each key");
  const keyRevoke = define(keys, "revoke", "End a key; servers refuse it within two seconds.", keyRevokeExamples, async (command) => {
    const { apiKeyRevoke } = await import("./apikey-revoke.ts");
    return apiKeyRevoke({ flags: flagsOf(command), io, id: command.args[0], ...command.opts<{ user?: string }>() });
  });
  keyRevoke.argument("[id]", "which, as the list says").option("--user <NAME>", "in place of an id: all of this user's");

  define(program, "version", "Print the version.", ["ociregistry version"], async () => {
    const { version } = await import("./version.ts");
    return version({ io });
  });
  program.addHelpText("after", examplesText(programExamples));
  return program;
}

type ListFlags = Omit<ListCommandOptions, "flags" | "io">;
type PruneFlags = Omit<PruneCommandOptions, "flags" | "io">;
type PinFlags = Omit<PinCommandOptions, "flags" | "io" | "does" | "references">;
type LoadFlags = Omit<LoadCommandOptions, "flags" | "io">;
type ExportFlags = Omit<ExportCommandOptions, "flags" | "io">;
type ImportFlags = Omit<ImportCommandOptions, "flags" | "io" | "file">;
type ReceiptFlags = Omit<ReceiptCommandOptions, "flags" | "io">;
type VerifyFlags = Omit<VerifyCommandOptions, "flags" | "io">;
type LoginFlags = Omit<LoginCommandOptions, "io" | "server" | "clock">;
type LogoutFlags = Omit<LoginPlaceOptions, "io" | "server" | "clock">;
type AuthCheckFlags = Omit<AuthCheckOptions, "flags" | "io">;
type KeyCreateFlags = Omit<ApiKeyCreateOptions, "flags" | "io">;

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

function configureCommand(command: Command, io: CommandIo): void {
  const columns = Math.min(io.columns, helpColumnsMax);
  command
    .exitOverride()
    .helpCommand(false)
    .helpOption("-h, --help", "print this help")
    .configureOutput({
      writeOut: (text) => io.writeOut(text),
      writeErr: (text) => io.writeError(text),
      getOutHelpWidth: () => columns,
      getErrHelpWidth: () => columns,
      outputError: (text, write) =>
        write(
          `ociregistry: ${text
            .replace(/^error: /, "")
            .trim()
            .replaceAll(/\s*\n\s*/g, " ")}\n`,
        ),
    });
  command.configureHelp({ showGlobalOptions: command.parent !== null });
}

function examplesText(examples: readonly string[]): string {
  return `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}`;
}

const programExamples = [
  "ociregistry serve --image-path ./cache",
  "ociregistry serve --config-file config.yaml --port 5000",
  "ociregistry config check --config-file config.yaml",
  "ociregistry serve --help",
];
const serveExamples = [
  "ociregistry serve --image-path ./cache --hello-world",
  "ociregistry --config-file config.yaml serve --port=5000 --log-level debug",
  "OCIREGISTRY_TAG_TTL=5m ociregistry serve --image-path ./cache",
  "ociregistry serve --image-path ./cache --air-gapped",
];
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
const verifyExamples = [
  "ociregistry verify --image-path ./cache",
  "ociregistry verify --repair --rate 200MiB --config-file config.yaml",
  "kubectl get pods -A -o yaml | ociregistry verify --images - --platform linux/amd64,linux/arm64",
];
const receiptExamples = ["ociregistry receipt --output inside.receipt.json --hold 30d", "ociregistry receipt --output - --digests-only"];
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
const pruneExamples = [
  "ociregistry prune --pattern kubernetesui/dashboard:v2.7.0 --dry-run",
  "ociregistry prune --pattern 'curl,^quay[.]io/.*-rc[0-9]+$'",
  "ociregistry prune --date 2026-03-01T22:17:31 --timezone Europe/Berlin --dry-run --json",
  "ociregistry prune --config-file config.yaml",
];
const healthExamples = ["ociregistry health --config-file config.yaml", "ociregistry health --url http://127.0.0.1:8080/readyz"];
const checkExamples = ["ociregistry config check --config-file config.yaml", "ociregistry config check --online --config-file config.yaml"];
const authHashExamples = ["ociregistry auth hash --user alice >> htpasswd", "pass show registry/alice | ociregistry auth hash --user alice"];
const authRevokeExamples = ["ociregistry auth revoke --user alice --config-file config.yaml", "ociregistry auth revoke --all --config-file config.yaml"];
const loginExamples = [
  "ociregistry login https://registry.example.com",
  "ociregistry login registry.example.com --label 'build farm' --expires 365d --read-only",
  "ociregistry login registry.example.com --ca-file company.pem --no-docker",
  "ociregistry login http://127.0.0.1:8080 --auth-file ./auth.json",
];
const logoutExamples = ["ociregistry logout https://registry.example.com", "ociregistry logout registry.example.com --auth-file ./auth.json"];
const keyCreateExamples = [
  "ociregistry apikey create --user ci --label 'build farm' --expires 90d --repository 'team/**' --action read --config-file config.yaml",
  "ociregistry apikey create --user alice --label laptop --config-file config.yaml | docker login -u alice --password-stdin registry.example.com",
];
const keyListExamples = ["ociregistry apikey list --config-file config.yaml", "ociregistry apikey list --user ci --json --config-file config.yaml | jq -r .id"];
const keyRevokeExamples = [
  "ociregistry apikey revoke 1f0c2a6e-52b3-9d9c-4f7e-0d6a51b1c7aa --config-file config.yaml",
  "ociregistry apikey revoke --user ci --config-file config.yaml",
];
const authCheckExamples = [
  "ociregistry auth check --config-file config.yaml --repository library/alpine --user alice --groups dev",
  "ociregistry auth check --config-file config.yaml --repository quay.io/team/app --action fetch --json",
];
const schemaExamples = ["ociregistry config schema > ociregistry.schema.json"];
