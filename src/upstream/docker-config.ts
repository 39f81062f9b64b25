/** DockerConfigCredentials: what `docker login` and `podman login` have stored, in their files or with their helpers. */
import { join } from "node:path";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { ChangingFile, type Found } from "./changing-file.ts";
import { helperExpiryMs, helperProgram, helperProvider } from "./credential-helper.ts";
import { identified, type Credential, type CredentialContent, type CredentialSource, type CredentialStatus } from "./credentials.ts";
import { findAuth, findBroken, parseDockerConfig, type RegistryEntries } from "./docker-config-file.ts";
import type { ManagedToken } from "./token-managers.ts";
import type { DockerConfigOptions } from "./upstream-options.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface DockerConfigCredentialsOptions extends DockerConfigOptions {
  readonly host: RegistryHost;
  /** Keeps what a helper gives. */
  readonly managers: { use(token: ManagedToken): CredentialSource };
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  /** Says where the files are, and (a part of it) to helpers what they need. */
  readonly environment?: Environment;
}

export class DockerConfigCredentials implements CredentialSource {
  readonly #options: DockerConfigCredentialsOptions;
  readonly #environment: Environment;
  readonly #file: ChangingFile<RegistryEntries>;
  /** By suffix: those that the file names now, once they have been needed. */
  readonly #helpers = new Map<string, CredentialSource>();
  #isClosed = false;

  /** Looks at the file for the first time, in the background. */
  constructor(options: DockerConfigCredentialsOptions) {
    const { path, host, clock, background, environment = process.env } = options;
    this.#options = options;
    this.#environment = environment;
    this.#file = new ChangingFile({
      name: "docker config",
      paths: path === undefined ? usualPaths(environment) : [path],
      parse: (bytes) => parseDockerConfig(bytes, host),
      expected: "a JSON object",
      cures: {
        absent: path === undefined ? "log in with docker or podman, or name the file by path in providerOpts" : "mend path in providerOpts",
        broken: "mend it, or log in again",
      },
      onChange: (found) => this.#changed(found),
      clock,
      background,
    });
    void this.#file.look(); // Owned by the background; whoever asks hears what is wrong.
  }

  /** Undefined when neither the file nor its helper has anything for the repository. */
  async current(name: string, signal: AbortSignal): Promise<Credential | undefined> {
    const { path, value: entries } = await this.#file.get(signal);
    // Whoever names a helper for this registry means that one. A store for all may lack what podman has put beside it.
    if (entries.helper !== undefined) return this.#helper(entries.helper).current(name, signal);
    const stored = entries.store === undefined ? undefined : await this.#helper(entries.store).current(name, signal);
    if (stored) return stored;
    const content = this.#auth(entries, name, path);
    return content && identified(content);
  }

  async renew(credential: Credential, name: string, signal: AbortSignal): Promise<boolean> {
    try {
      const { value: entries } = await this.#file.get(signal);
      const suffix = entries.helper ?? entries.store;
      if (suffix !== undefined && (await this.#helper(suffix).renew(credential, name, signal))) return true;
      const now = await this.current(name, signal);
      return now !== undefined && now.id !== credential.id;
    } catch (error) {
      signal.throwIfAborted();
      // What is wrong with the file or the helper is told to whoever asks for the credential.
      if (error instanceof OciError) return false;
      throw error;
    }
  }

  status(): CredentialStatus | undefined {
    const { path = "", problem: ofFile, value: entries } = this.#file.found ?? {};
    const problem = ofFile ?? (entries && problemIn(entries, path));
    if (problem) return { description: "docker config", state: "failing", reason: problem.message };
    const suffix = entries?.helper ?? (entries?.auths.length === 0 ? entries.store : undefined);
    return suffix === undefined ? undefined : this.#helpers.get(suffix)?.status();
  }

  close(): void {
    this.#isClosed = true;
    this.#keepHelpers([]);
  }

  #changed({ path = "", value, problem }: Found<RegistryEntries>): void {
    const { log, host } = this.#options;
    if (problem) log.warn({ registry: host, problem: problem.message, keptOld: value !== undefined }, "docker configuration not read");
    else log.info({ registry: host, file: path }, "docker configuration read");
    const ofEntry = problem || !value ? undefined : problemIn(value, path);
    if (ofEntry) log.warn({ registry: host, problem: ofEntry.message }, "docker configuration has an entry that is of no use");
    this.#keepHelpers([value?.helper, value?.store]);
  }

  #keepHelpers(suffixes: readonly (string | undefined)[]): void {
    for (const [suffix, helper] of this.#helpers) {
      if (suffixes.includes(suffix)) continue;
      helper.close();
      this.#helpers.delete(suffix);
    }
  }

  #helper(suffix: string): CredentialSource {
    const known = this.#helpers.get(suffix);
    if (known) return known;
    if (this.#isClosed) throw new OciError("OVERLOADED", "docker config: it is not used any more", { retryAfterMs: 1_000 });
    const { host, managers, clock } = this.#options;
    const program = helperProgram(suffix);
    const source = managers.use({
      key: JSON.stringify(["docker-config", program.command, host]),
      provider: () => helperProvider({ ...program, host, clock, environment: this.#environment }),
      expiryMs: helperExpiryMs,
    });
    this.#helpers.set(suffix, source);
    return source;
  }

  #auth(entries: RegistryEntries, name: string, path: string): CredentialContent | undefined {
    try {
      return findAuth(entries, name);
    } catch (error) {
      if (error instanceof OciError) throw located(error, path);
      throw error;
    }
  }
}

/** What keeps some of the registry's repositories from being pulled; where a helper has the last word, entries do not matter. */
function problemIn(entries: RegistryEntries, path: string): OciError | undefined {
  const broken = entries.helper === undefined ? findBroken(entries) : undefined;
  return broken && located(broken, path);
}

function located({ code, message }: OciError, path: string): OciError {
  return new OciError(code, `docker config ${path}: ${message}; log in again`);
}

/** Docker's files, then podman's. */
function usualPaths({ DOCKER_CONFIG, HOME, REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR }: Environment): readonly string[] {
  return [
    ...(DOCKER_CONFIG ? [join(DOCKER_CONFIG, "config.json")] : []),
    ...(HOME ? [join(HOME, ".docker", "config.json")] : []),
    ...(REGISTRY_AUTH_FILE ? [REGISTRY_AUTH_FILE] : []),
    ...(XDG_RUNTIME_DIR ? [join(XDG_RUNTIME_DIR, "containers", "auth.json")] : []),
  ];
}
