/** A real Keycloak, unpacked into a folder and started in its development mode: one realm, one user, one registry. Takes Java 17 and half a minute. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, startProcess } from "./processes.ts";

const run = promisify(execFile);
/** Of the client `pages`. */
export const pagesSecret = "pages-secret";
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
  /** Of the realm `corp`, in which `alice` has the password `secret`, `registry` and `other` are registries, and `pages` sends browsers. */
  readonly issuer: string;
  /** The certificate of the key that it signs tokens with, as PEM. */
  certificate(): Promise<string>;
  /** Does what `alice` does in a browser that is sent to `url`: types name and password, and comes back to an address outside. */
  visit(url: URL): Promise<URL>;
  /** From now on `alice` is in the group `dev`, or is not. */
  setMember(isMember: boolean): Promise<void>;
  /** From now on `alice` may log in, or may not. */
  setEnabled(isEnabled: boolean): Promise<void>;
  /** It signs by a new key from now on. */
  rotateKeys(): Promise<void>;
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
    groups: [{ name: "dev" }],
    clients: [
      ...["registry", "other"].map((clientId) => ({ clientId, protocol: "docker-v2", enabled: true })),
      {
        clientId: "pages",
        secret: pagesSecret,
        redirectUris: ["*"],
        attributes: { "post.logout.redirect.uris": "+" },
        protocolMappers: [
          {
            name: "groups",
            protocol: "openid-connect",
            protocolMapper: "oidc-group-membership-mapper",
            config: { "claim.name": "groups", "full.path": "false", "id.token.claim": "true", "access.token.claim": "true", "userinfo.token.claim": "true" },
          },
        ],
      },
    ],
  });
  const [alice] = (await call(baseUrl, "GET", "/admin/realms/corp/users?username=alice")) as readonly [{ readonly id: string }]; // Its documented shape.
  const [dev] = (await call(baseUrl, "GET", "/admin/realms/corp/groups?search=dev")) as readonly [{ readonly id: string }]; // As above.
  return {
    baseUrl,
    issuer: `${baseUrl}/realms/corp`,
    async certificate() {
      const { keys } = (await call(baseUrl, "GET", "/admin/realms/corp/keys")) as { keys: readonly Record<string, unknown>[] }; // Its documented shape.
      const signing = keys.find(({ algorithm, use }) => algorithm === "RS256" && use === "SIG");
      return `-----BEGIN CERTIFICATE-----\n${String(signing?.["certificate"])}\n-----END CERTIFICATE-----\n`;
    },
    visit: (url) => logIn(url),
    async setMember(isMember) {
      await call(baseUrl, isMember ? "PUT" : "DELETE", `/admin/realms/corp/users/${alice.id}/groups/${dev.id}`);
    },
    async setEnabled(isEnabled) {
      await call(baseUrl, "PUT", `/admin/realms/corp/users/${alice.id}`, { enabled: isEnabled });
    },
    async rotateKeys() {
      const component = {
        name: "newer",
        providerId: "rsa-generated",
        providerType: "org.keycloak.keys.KeyProvider",
        config: { priority: ["1000"], keySize: ["2048"] },
      };
      await call(baseUrl, "POST", "/admin/realms/corp/components", component);
    },
    [Symbol.asyncDispose]: () => running.kill(),
  };
}

/** The page's form, filled in and sent with the cookies that came with it. */
async function logIn(url: URL): Promise<URL> {
  const page = await fetch(url, { redirect: "manual" });
  const html = await page.text();
  const action = /<form[^>]*action="([^"]+)"/.exec(html)?.[1]?.replaceAll("&amp;", "&");
  if (action === undefined) throw new Error(`keycloak showed no form: ${page.status} ${html.slice(0, 500)}`);
  const cookie = page.headers
    .getSetCookie()
    .map((line) => line.split(";", 1)[0] ?? "")
    .join("; ");
  const answer = await fetch(action, {
    method: "POST",
    redirect: "manual",
    headers: { cookie },
    body: new URLSearchParams({ username: "alice", password: "secret" }),
  });
  const location = answer.headers.get("location");
  if (location === null) throw new Error(`keycloak did not take the password: ${answer.status} ${(await answer.text()).slice(0, 500)}`);
  return new URL(location);
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
