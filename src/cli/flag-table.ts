/** The flags that set configuration keys. A flag is its key in kebab-case; flags that take no value also take `=true` and `=false`. */
import type { Command } from "commander";
import { Option } from "commander";
import { flagOf } from "../config/flags.ts";

interface ConfigFlag {
  /** The configuration key. */
  readonly key: string;
  /** What stands for its value in help; undefined for one that takes none. */
  readonly value?: string;
  readonly help: string;
}

/** Before or after any command. */
export const globalFlags: readonly ConfigFlag[] = [
  { key: "configFile", value: "FILE", help: "configuration (YAML); none unless given" },
  { key: "imagePath", value: "FOLDER", help: "image store (default /var/lib/ociregistry)" },
  { key: "logLevel", value: "LEVEL", help: "error, warn, info (default) or debug" },
  { key: "logFile", value: "FILE", help: "log there, not to stderr" },
  { key: "logFormat", value: "FORMAT", help: "auto (default), json or text" },
];

/** After `serve`. */
export const serveFlags: readonly ConfigFlag[] = [
  { key: "host", value: "ADDRESS", help: "address to listen on (default ::, IPv4 too)" },
  { key: "port", value: "PORT", help: "port to listen on (default 8080; 0: any)" },
  { key: "health", value: "PORT", help: "extra plain-HTTP port for probes" },
  { key: "metrics", value: "PORT", help: "extra plain-HTTP port for metrics" },
  { key: "defaultNs", value: "HOST", help: "registry of names without one (default docker.io)" },
  { key: "alwaysPullLatest", help: "revalidate the tag latest on every pull" },
  { key: "airGapped", help: "never connect to an upstream" },
  { key: "helloWorld", help: "serve hello-world out of this program" },
  { key: "pullTimeout", value: "MS", help: "how long a download may stand still (default 60000)" },
  { key: "preloadImages", value: "FILES", help: "lists of images, or archives, to load at the start" },
  { key: "preloadRequired", help: "not to be ready before they are here" },
  { key: "os", value: "OS", help: "operating system to load images for (default linux)" },
  { key: "arch", value: "ARCH", help: "architecture to load images for (default amd64)" },
];

/** After `load`. */
export const loadFlags: readonly ConfigFlag[] = [
  { key: "imageFile", value: "FILES", help: "lists or archives: files, folders, quoted globs, commas between; - is stdin" },
  { key: "resolveRef", value: "REF", help: "name for an archive's image that has none" },
  { key: "os", value: "OS", help: "operating system to load for (default linux)" },
  { key: "arch", value: "ARCH", help: "architecture to load for (default amd64)" },
  { key: "pullTimeout", value: "MS", help: "how long a download may stand still (default 60000)" },
  { key: "defaultNs", value: "HOST", help: "registry of names without one (default docker.io)" },
];

/** What is added by `addSwitch`. */
const ownSwitches = ["--dry-run", "--header", "--plain-http", "--read-only", "--repair", "--short-digest"];

/** Teaches `command` its flags. `--no-x` is what `--x=false` becomes; people need not see it. */
export function addFlags(command: Command, flags: readonly ConfigFlag[]): void {
  for (const { key, value, help } of flags) {
    const flag = flagOf(key);
    command.addOption(new Option(value === undefined ? flag : `${flag} <${value}>`, help));
    if (value === undefined) command.addOption(new Option(flag.replace(/^--/, "--no-")).hideHelp());
  }
}

/** A flag of a command's own that takes no value, and `=true` and `=false` as those of the configuration do. */
export function addSwitch(command: Command, flag: `--${string}`, help: string): void {
  command.addOption(new Option(flag, help));
  command.addOption(new Option(flag.replace(/^--/, "--no-")).hideHelp());
}

/** Turns `--x=true` into `--x` and `--x=false` into `--no-x`, for flags that take no value; all after `--` stays as it is. */
export function normalizeSwitches(args: readonly string[]): readonly string[] {
  const switches = new Set([...serveFlags.filter(({ value }) => value === undefined).map(({ key }) => flagOf(key)), ...ownSwitches]);
  const end = args.indexOf("--");
  return args.map((arg, index) => {
    const [, flag = "", value] = /^(--[a-z-]+)=(true|false)$/i.exec(arg) ?? [];
    if (!switches.has(flag) || (end !== -1 && index > end)) return arg;
    return value?.toLowerCase() === "true" ? flag : flag.replace(/^--/, "--no-");
  });
}

/** The flags that were given to `command`, global ones included: key to text. */
export function flagsOf(command: Command): ReadonlyMap<string, string> {
  const given = command.optsWithGlobals<Record<string, string | boolean | undefined>>();
  return new Map([...globalFlags, ...serveFlags, ...loadFlags].flatMap(({ key }) => (given[key] === undefined ? [] : [[key, String(given[key])]])));
}
