/** A registry's user and password, as the upstream side takes them. */
import { Secret } from "../../src/oci/secret.ts";
import type { UpstreamAuth } from "../../src/upstream/upstream-options.ts";

export function passwordAuth(user: string, password: string, realmHosts?: readonly string[]): UpstreamAuth {
  return { credential: { kind: "password", user, password: new Secret(password) }, ...(realmHosts ? { realmHosts } : {}) };
}
