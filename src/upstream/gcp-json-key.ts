/** Google's `_json_key`: the key file of a service account is the password itself. Whatever lies there now counts, once it is whole. */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import { Secret } from "../oci/secret.ts";
import { ChangingFile } from "./changing-file.ts";
import { identified, type Credential, type CredentialSource } from "./credentials.ts";
import { parseGcpKey } from "./gcp-key-file.ts";
import type { GcpOptions } from "./upstream-options.ts";

export interface GcpJsonKeyContext {
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** Reads the file for the first time, in the background. */
export function gcpJsonKeySource({ keyFile }: Pick<GcpOptions, "keyFile">, { clock, log, background }: GcpJsonKeyContext): CredentialSource {
  const file = new ChangingFile({
    name: "gcp keyFile",
    paths: keyFile === undefined ? [] : [keyFile],
    parse: parseKeyText,
    expected: "the key of a service account",
    cures: { absent: "name one by keyFile in providerOpts", broken: "make a new key for the account, or leave out use: json-key" },
    onChange({ path, value, problem }) {
      if (problem) log.warn({ credential: "gcp keyFile", problem: problem.message, keptOld: value !== undefined }, "key file not read");
      else log.info({ credential: "gcp keyFile", file: path }, "key file read");
    },
    clock,
    background,
  });
  void file.look(); // Owned by the background; whoever asks hears what is wrong.
  const current = async (signal: AbortSignal): Promise<Credential> =>
    identified({ kind: "basic", user: "_json_key", password: (await file.get(signal)).value.reveal() });
  return {
    current: (_, signal) => current(signal),
    async renew(credential, _, signal) {
      try {
        return (await current(signal)).id !== credential.id;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof OciError) return false; // Told to whoever asks for the credential.
        throw error;
      }
    },
    status() {
      const reason = file.found?.problem?.message;
      return reason === undefined ? undefined : { description: "gcp keyFile", state: "failing", reason };
    },
    close() {},
  };
}

/** Undefined for what is no key of a service account. */
function parseKeyText(bytes: Buffer): Secret | undefined {
  const text = bytes.toString("utf8").trim();
  try {
    return parseGcpKey(text, "").kind === "service-account" ? new Secret(text) : undefined;
  } catch (error) {
    if (error instanceof OciError) return undefined;
    throw error;
  }
}
