/** Loading: defaults <- file <- environment <- flags. Reads the configuration's own file and nothing else. */
import { readFile, stat } from "node:fs/promises";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { configOf } from "./config-of.ts";
import { crossCheck, noticesOf } from "./cross-checks.ts";
import { readEnvironment, variableOf } from "./environment.ts";
import type { Finding } from "./finding.ts";
import { flagOf } from "./flags.ts";
import type { KeyPath } from "./key-path.ts";
import { withKeycloakVariables } from "./keycloak-variables.ts";
import { withOpenidVariables } from "./openid-variables.ts";
import { findKeysNotYet, notYetFinding } from "./not-yet.ts";
import { reasonOf } from "./named-file.ts";
import { namedSecrets } from "./named-secrets.ts";
import { configSchema } from "./schema.ts";
import { findingsOf } from "./schema-issues.ts";
import { Vocabulary } from "./vocabulary.ts";
import { isList, readYaml, type RawMap, type RawValue, type YamlSource } from "./yaml-source.ts";
import { adoptZotKeys, findUnset } from "./zot-keys.ts";

export interface LoadOptions {
  /** `OCIREGISTRY_*` variables, and those that `${VAR}` names. */
  readonly environment: NodeJS.ProcessEnv;
  /** Top-level keys given on the command line, as text, `configFile` among them. */
  readonly flags?: ReadonlyMap<string, string>;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Lines worth telling a person, none of them an error. */
  readonly notices: readonly string[];
  /** Secrets stand in the file itself. */
  readonly holdsSecrets: boolean;
  /** The line for something that is found out about a key later. */
  readonly describe: (finding: Finding) => string;
}

const configFileBytesMax = 1_048_576;

/** The file that is to be loaded; undefined for none. */
export function configFileOf({ environment, flags = new Map() }: LoadOptions): string | undefined {
  return flags.get("configFile") || environment[variableOf("configFile")] || undefined;
}

/** Throws `ConfigError` with everything that is wrong, each line naming the file and line, variable or flag. */
export async function loadConfig({ environment, flags = new Map() }: LoadOptions): Promise<LoadedConfig> {
  const configFile = configFileOf({ environment, flags });
  const text = configFile === undefined ? "" : await readConfigFile(configFile);
  return readConfig(text, { configFile, environment, flags });
}

/** The same for a configuration whose text has been read; `configFile` is what messages call it. */
export function readConfig(
  text: string,
  { configFile, environment, flags = new Map() }: LoadOptions & { readonly configFile: string | undefined },
): LoadedConfig {
  const source = readYaml(text, { environment });
  const vocabulary = new Vocabulary();
  const adopted = adoptZotKeys(source.tree, vocabulary);
  const file: YamlSource = {
    ...source,
    tree: withOpenidVariables(withKeycloakVariables(adopted.tree, environment), environment),
    lineOf: (path) => source.lineOf(adopted.writtenAt(path)),
  };
  const variables = readEnvironment(environment, vocabulary.scalarKeys());
  const origins = new Origins({ configFile, file, variables: withoutFile(variables.values), flags: withoutFile(flags) });
  if (file.problems.length > 0) throw new ConfigError(file.problems.map(({ line, message }) => `${configFile}:${line}: ${message}`));

  const misplaced = [...adopted.findings, ...findUnset(source.unset)];
  if (misplaced.length > 0) throw origins.error(misplaced);
  const tree = origins.layered();
  const parsed = configSchema.safeParse(tree);
  if (!parsed.success) throw origins.error(findingsOf(parsed.error.issues, tree, vocabulary));
  const notYet = findKeysNotYet(tree, (path) => vocabulary.find(path)?.default).map((path) => notYetFinding(path, adopted.writtenAt(path)));
  const written = (path: KeyPath): boolean => isWritten(tree, path);
  const findings = [...notYet, ...crossCheck(parsed.data, written)];
  if (findings.length > 0) throw origins.error(findings);

  const notices = [
    ...noticesOf(parsed.data, written).map((finding) => origins.line(finding)),
    ...("configFile" in file.tree ? [origins.line({ path: ["configFile"], message: "configFile has no effect inside a configuration file" })] : []),
    ...variables.unknown.map((variable) => `${variable}: no such variable; top-level keys are spelt like ${variableOf("logLevel")}`),
  ];
  const config = configOf(parsed.data, { configFile, isWritten: written });
  // One that came out of a variable is not in the file.
  const holdsSecrets = namedSecrets(config).some(({ source }) => source.kind === "given" && text.includes(source.secret.reveal()));
  return { config, notices, holdsSecrets, describe: (finding) => origins.line(finding) };
}

function isWritten(tree: RawMap, path: KeyPath): boolean {
  const within = (held: RawValue | undefined, key: string | number): RawValue | undefined => {
    if (held === undefined || typeof held === "string") return undefined;
    return isList(held) ? held[Number(key)] : held[key];
  };
  return path.reduce<RawValue | undefined>(within, tree) !== undefined;
}

async function readConfigFile(configFile: string): Promise<string> {
  try {
    const { size } = await stat(configFile);
    if (size > configFileBytesMax) throw new ConfigError([`${configFile}: ${size} bytes: a configuration has at most ${configFileBytesMax}`]);
    return await readFile(configFile, "utf8");
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([`${configFile}: cannot read the configuration: ${reasonOf(error)}`], { cause: error });
  }
}

/** The file has been read: what it was named by says nothing more. */
function withoutFile(values: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...values].filter(([key]) => key !== "configFile"));
}

interface OriginsOptions {
  readonly configFile: string | undefined;
  readonly file: YamlSource;
  readonly variables: ReadonlyMap<string, string>;
  readonly flags: ReadonlyMap<string, string>;
}

/** The places where keys are set: the file, the variables, the flags. */
class Origins {
  readonly #options: OriginsOptions;

  constructor(options: OriginsOptions) {
    this.#options = options;
  }

  /** What all of them say together: later ones replace whole top-level keys. */
  layered(): RawMap {
    const { file, variables, flags } = this.#options;
    const tree: Record<string, RawMap[string]> = Object.create(null);
    for (const [key, value] of [...Object.entries(file.tree), ...variables, ...flags]) tree[key] = value;
    return tree;
  }

  error(findings: readonly Finding[]): ConfigError {
    const inOrder = findings.toSorted((one, other) => (this.#lineOf(one.path) ?? 0) - (this.#lineOf(other.path) ?? 0));
    const areFlags = findings.every(({ path: [top] }) => this.#options.flags.has(String(top)));
    return new ConfigError(
      inOrder.map((finding) => this.line(finding)),
      { isMisuse: areFlags },
    );
  }

  /** `config.yaml:12: unknown key ... (line 12)`, `OCIREGISTRY_PORT: ...`, `--port: ...`. */
  line({ path, message, namesLine = false }: Finding): string {
    const top = String(path[0]);
    const { configFile, flags, variables } = this.#options;
    if (flags.has(top)) return `${flagOf(top)}: ${message}`;
    if (variables.has(top)) return `${variableOf(top)}: ${message}`;
    const line = this.#lineOf(path);
    if (configFile === undefined || line === undefined) return message;
    return `${configFile}:${line}: ${message}${namesLine ? ` (line ${line})` : ""}`;
  }

  #lineOf(path: KeyPath): number | undefined {
    const top = String(path[0]);
    return this.#options.flags.has(top) || this.#options.variables.has(top) ? undefined : this.#options.file.lineOf(path);
  }
}
