/** A real Keycloak, unpacked into a folder and started in its development mode: one realm, one user, one registry. Takes Java 17 and half a minute. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, startProcess } from "./processes.ts";

const run = promisify(execFile);
const admin = { username: "admin", password: "admin-password" };

export interface RealKeycloakOptions {
  /** The distribution, `keycloak-VERSION.tar.gz`. */
  readonly archive: string;
  readonly folder: string;
  /** `/auth`, as it was before version 17. */
  readonly relativePath?: "/auth";
}

export interface RealKeycloak extends AsyncDisposable {
  /** Without a final slash. */
  readonly baseUrl: string;
  /** Of the realm `corp`, in which `alice` has the password `secret`, and `registry` and `other` are registries. */
  readonly issuer: string;
  /** The certificate of the key that it signs tokens with, as PEM. */
  certificate(): Promise<string>;
}

export async function startRealKeycloak({ archive, folder, relativePath }: RealKeycloakOptions): Promise<RealKeycloak> {
  await run("tar", ["--extract", "--gzip", "--strip-components=1", "--file", archive, "--directory", folder]);
  const port = await freePort();
  const path = relativePath === undefined ? [] : [`--http-relative-path=${relativePath}`];
  const args = ["start-dev", "--features=docker", `--http-port=${port}`, "--http-host=127.0.0.1", ...path];
  const env = { KC_BOOTSTRAP_ADMIN_USERNAME: admin.username, KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password };
  const running = await startProcess({ command: join(folder, "bin", "kc.sh"), args, env, ready: { output: /Listening on: \S+/ }, readyMs: 300_000 });
  const baseUrl = `http://127.0.0.1:${port}${relativePath ?? ""}`;
  await call(baseUrl, "POST", "/admin/realms", {
    realm: "corp",
    enabled: true,
    users: [
      {
        username: "alice",
        enabled: true,
        email: "alice@example.com",
        emailVerified: true,
        firstName: "Alice",
        lastName: "Example",
        credentials: [{ type: "password", value: "secret", temporary: false }],
      },
    ],
    clients: ["registry", "other"].map((clientId) => ({ clientId, protocol: "docker-v2", enabled: true })),
  });
  return {
    baseUrl,
    issuer: `${baseUrl}/realms/corp`,
    async certificate() {
      const { keys } = (await call(baseUrl, "GET", "/admin/realms/corp/keys")) as { keys: readonly Record<string, unknown>[] }; // Its documented shape.
      const signing = keys.find(({ algorithm, use }) => algorithm === "RS256" && use === "SIG");
      return `-----BEGIN CERTIFICATE-----\n${String(signing?.["certificate"])}\n-----END CERTIFICATE-----\n`;
    },
    [Symbol.asyncDispose]: () => running.kill(),
  };
}

async function call(baseUrl: string, method: string, path: string, body?: object): Promise<unknown> {
  const form = new URLSearchParams({ grant_type: "password", client_id: "admin-cli", ...admin });
  const login = await fetch(`${baseUrl}/realms/master/protocol/openid-connect/token`, { method: "POST", body: form });
  const { access_token: token } = (await login.json()) as { access_token: string }; // Its documented shape.
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const response = await fetch(`${baseUrl}${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  const text = await response.text();
  if (!response.ok) throw new Error(`keycloak: ${method} ${path}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}
