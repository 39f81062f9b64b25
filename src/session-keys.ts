/** Session keys of a configuration: what sessions are named by, and what a provider gave is sealed by, where the operator has keys of his own. */
import type { SessionKeys } from "./auth/sessions.ts";
import { readNamedFile } from "./config/named-file.ts";
import { readSessionKeys, type SessionConfig } from "./config/session-config.ts";

/** None: hashes and seals need no key of his; one makes what is kept worthless without it. Throws `ConfigError`. */
export async function sessionKeysOf({ keysPath }: Pick<SessionConfig, "keysPath">): Promise<SessionKeys> {
  if (keysPath === undefined) return { hashKey: undefined, encryptKey: undefined };
  return readSessionKeys("auth.sessionKeysFile", await readNamedFile("auth.sessionKeysFile", keysPath));
}
