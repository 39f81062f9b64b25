/** SessionConfig: where browser sessions are kept, and how, as the program is told. */
import { Secret } from "../oci/secret.ts";
import type { Finding } from "./finding.ts";
import type { ParsedClientAuth } from "./client-auth-schema.ts";
import { readSecretMap } from "./secret-map.ts";

export interface SessionConfig {
  readonly driver: SessionDriverConfig;
  /** JSON or YAML with `hashKey`, and perhaps `encryptKey`. */
  readonly keysPath: string | undefined;
  /** Browsers come by TLS, whatever it looks like from here. */
  readonly isSecure: boolean;
}

export type SessionDriverConfig =
  | { readonly kind: "local" }
  /** The address may hold a password. */
  | { readonly kind: "redis"; readonly url: Secret; readonly keyPrefix: string };

const defaultKeyPrefix = "zotsession";

/** Trusts what `checkSessions` has checked. */
export function sessionConfigOf({ sessionDriver, sessionKeysFile, secureSession }: ParsedClientAuth): SessionConfig {
  const { name, url, keyprefix = defaultKeyPrefix } = sessionDriver;
  const isRedis = name === "redis" && url !== undefined;
  return {
    driver: isRedis ? { kind: "redis", url: new Secret(url), keyPrefix: keyprefix } : { kind: "local" },
    keysPath: sessionKeysFile,
    isSecure: secureSession,
  };
}

/** Everything because of which sessions cannot be kept as it is written. */
export function checkSessions({ sessionDriver: { name, url, keyprefix } }: ParsedClientAuth): readonly Finding[] {
  const path = ["auth", "sessionDriver"];
  if (name === "local") {
    return url === undefined ? [] : [{ path: [...path, "url"], message: "auth.sessionDriver.url has no effect: its name is local, and not redis" }];
  }
  const { protocol, hostname } = URL.parse(url ?? "") ?? {};
  if (url === undefined) return [{ path: [...path, "name"], message: "auth.sessionDriver is redis, and has no url" }];
  // The address may hold a password: it is not shown.
  if ((protocol !== "redis:" && protocol !== "rediss:") || !hostname)
    return [{ path: [...path, "url"], message: "auth.sessionDriver.url must be redis://host:port, or rediss://host:port for TLS" }];
  return /^[^\s\0]{1,64}$/.test(keyprefix ?? defaultKeyPrefix)
    ? []
    : [{ path: [...path, "keyprefix"], message: "auth.sessionDriver.keyprefix must be a word of at most 64 characters" }];
}

/** What is allowed and yet perhaps not meant. */
export function noticesOfSessions({ openid, sessionDriver, sessionKeysFile }: ParsedClientAuth): readonly Finding[] {
  if (!openid || sessionDriver.name !== "redis" || sessionKeysFile !== undefined) return [];
  const message =
    "auth.sessionDriver is redis, without auth.sessionKeysFile: refresh tokens of providers lie there beside the key that they are sealed by; give all servers the same encryptKey";
  return [{ path: ["auth", "sessionDriver"], message }];
}

/** What is in the file. Throws `ConfigError` that begins with `key`, and quotes nothing of the file. */
export function readSessionKeys(key: string, text: string): { readonly hashKey: Secret; readonly encryptKey: Secret | undefined } {
  const { hashKey, encryptKey } = readSecretMap(key, text, ["hashKey"], ["encryptKey"]);
  return { hashKey: new Secret(hashKey), encryptKey: encryptKey === undefined ? undefined : new Secret(encryptKey) };
}
