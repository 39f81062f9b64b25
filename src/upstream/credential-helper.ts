/**
 * Docker's credential helpers: `docker-credential-<suffix> get`, asked for a registry by its name, answers a user and a secret. The
 * protocol is that of docker-credential-helpers.
 */
import { dockerHub, type RegistryHost } from "../oci/repository.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { CredentialContent, CredentialProvider, IssuedCredential } from "./credentials.ts";
import { parseJsonObject } from "./json-object.ts";
import { complaint, typed } from "./program-complaint.ts";
import { programEnvironment } from "./program-environment.ts";
import { runProgram, type Program } from "./run-program.ts";

/** Helpers do not say how long a secret lives: they are asked again this often. */
export const helperExpiryMs = 600_000;

/** Under this name docker keeps what belongs to its Hub. */
export const dockerHubKey = "https://index.docker.io/v1/";

/** With dots: docker's own of Windows is called `desktop.exe` where Linux runs in there. */
const suffixPattern = /^[a-z0-9.-]{1,64}$/;
/** Whose secret is a token for the registry's token service. */
export const identityUser = "<token>";
/** The helper has nothing for the registry. */
const none: IssuedCredential = { content: undefined, expiresAtMs: undefined };

export interface HelperOptions extends Program {
  /** The registry whose credential it is asked for. */
  readonly host: RegistryHost;
  readonly clock: Clock;
  /** Ours; a part of it is shown to the helper. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** The helper as docker's configuration names it, by its suffix. Throws `DENIED` when that is none. */
export function helperProgram(suffix: string): Program {
  if (suffixPattern.test(suffix)) return { command: `docker-credential-${suffix}`, args: [] };
  throw new OciError("DENIED", `a credential helper is named by small letters, digits, dots and hyphens ("pass" for docker-credential-pass)`);
}

/** Asks the helper at each fetch. */
export function helperProvider({ command, args, host, clock, environment = process.env }: HelperOptions): CredentialProvider {
  const server = host === dockerHub ? dockerHubKey : host;
  const description = `${command} for ${host}`;
  const byHand = `echo ${server} | ${typed({ command, args })} get`;
  return {
    description,
    async fetch(signal) {
      const run = { input: server, environment: programEnvironment(environment), what: description, clock };
      const outcome = await runProgram({ command, args: [...args, "get"] }, run, signal);
      if (outcome.exitCode !== 0) {
        if (/credentials not found/i.test(outcome.stdout.toString("utf8"))) return none;
        throw complaint(outcome, description, byHand);
      }
      const content = parseHelperAnswer(outcome.stdout);
      if (content === "none") return none;
      if (content) return { content, expiresAtMs: undefined };
      throw new OciError("DENIED", `${description}: what it answered is not {"Username":...,"Secret":...}; is it a docker credential helper? See: ${byHand}`);
    },
  };
}

/** A helper's answer; undefined when it is none. */
export function parseHelperAnswer(bytes: Buffer): CredentialContent | "none" | undefined {
  const { Username: user, Secret: secret } = parseJsonObject(bytes) ?? {};
  if (typeof user !== "string" || typeof secret !== "string") return undefined;
  if (secret === "") return "none";
  return user === identityUser ? { kind: "identity", token: secret } : { kind: "basic", user, password: secret };
}
