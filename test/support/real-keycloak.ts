/** A real Keycloak, unpacked into a folder and started in its development mode. Takes Java 17 and half a minute. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, startProcess } from "./processes.ts";

const run = promisify(execFile);
/** Who may do everything in it. */
export const admin = { username: "admin", password: "admin-password" };

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
  /** The certificate of the key that `corp` signs tokens with, as PEM. */
  certificate(): Promise<string>;
  /** Its own program for administrators. */
  readonly kcadm: string;
  /** Asks its API for administrators: `GET`, `/admin/realms/corp/users`. */
  call(method: string, path: string, body?: object): Promise<unknown>;
}

/** Somebody's browser, as far as Keycloak sees it. */
export class KeycloakVisitor {
  readonly #cookies = new Map<string, string>();
  readonly #login: { readonly username: string; readonly password: string };
  /** How often it was asked for its password. */
  asked = 0;

  constructor(login: { readonly username: string; readonly password: string }) {
    this.#login = login;
  }

  /** Does what somebody does who is sent to `url`: types name and password where they are asked for, and comes back to an address outside. */
  async visit(url: URL): Promise<URL> {
    let answer = await this.#ask(url);
    const action = /<form[^>]*action="([^"]+)"/.exec(answer.text)?.[1]?.replaceAll("&amp;", "&");
    if (answer.location === null && action !== undefined) {
      this.asked++;
      answer = await this.#ask(new URL(action), new URLSearchParams(this.#login));
    }
    if (answer.location === null) throw new Error(`keycloak did not send anybody back: ${answer.status} ${answer.text.slice(0, 500)}`);
    return new URL(answer.location);
  }

  async #ask(url: URL, body?: URLSearchParams): Promise<{ readonly status: number; readonly location: string | null; readonly text: string }> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { redirect: "manual", headers: { cookie }, ...(body ? { method: "POST", body } : {}) });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/;\s*max-age=0\b/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return { status: answer.status, location: answer.headers.get("location"), text: await answer.text() };
  }
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
    kcadm: join(folder, "bin", "kcadm.sh"),
    call: (method, path, body) => call(baseUrl, method, path, body),
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
