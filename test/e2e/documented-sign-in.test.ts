/** The set-ups that are documented for Authentik, pasted with nothing changed but addresses and secrets: people come in, groups decide, and so on while it is away. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startOpenidProvider, type OpenidProvider } from "../support/openid-provider.ts";
import { requirePrograms } from "../support/programs.ts";

const root = join(import.meta.dirname, "..", "..");
const page = await readFile(join(root, "docs", "sign-in.md"), "utf8");
const section = /^### Authentik\n[^]*?(?=^###)/m.exec(page)?.[0] ?? "";
const blockOf = (language: string): string => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(section)?.[1] ?? "";

const manifest = "/v2/team/app/manifests/1";
const accessControl = {
  repositories: {
    "team/**": {
      policies: [
        { groups: ["dev"], actions: ["read"] },
        { users: ["local"], actions: ["read"] },
      ],
    },
  },
};
const clientSecret = "the-clients-secret";
/** Ours, where nothing is said of it. */
const ownUrl = "http://registry.example.test";

interface Pasted {
  readonly config: object;
  readonly env: Readonly<Record<string, string>>;
  /** As whom alice is known then. */
  readonly name: string;
  /** Where browsers come back to; undefined: at our own address. */
  readonly redirectUri: string | undefined;
}

type Paste = (provider: OpenidProvider) => Promise<Pasted>;

function replaced(text: string, { issuer, clientId }: OpenidProvider): string {
  const words: readonly (readonly [string, string])[] = [
    ["https://auth.example.com/application/o/registry/", issuer],
    ["https://auth.example.com/application/o/registry", issuer.replace(/\/$/, "")],
    ["https://registry.example.com", ownUrl],
    ["/etc/zot/htpasswd", "HTPASSWD"],
    ["/etc/ociregistry/htpasswd", "HTPASSWD"],
    ["clientsecretFile: /run/secrets/authentik", `clientsecret: ${clientSecret}`],
    ["CLIENT-ID", clientId],
    ["CLIENT-SECRET", clientSecret],
    ["client-id", clientId],
    ["client-secret", clientSecret],
  ];
  return words.reduce((written, [theirs, ours]) => written.replaceAll(theirs, ours), text);
}

const blocks: readonly (readonly [string, Paste])[] = [
  [
    "zot's own block",
    async (provider) => {
      const text = await readFile(join(root, "test", "config", "examples", "zot-authentik.yaml"), "utf8");
      return { config: parse(replaced(text, provider)) as object, env: {}, name: "alice@example.com", redirectUri: undefined };
    },
  ],
  [
    "the block of docs/sign-in.md",
    async (provider) => {
      const config = parse(replaced(blockOf("yaml"), provider)) as object;
      return { config, env: {}, name: "alice", redirectUri: `${ownUrl}/zot/auth/callback/oidc` };
    },
  ],
  [
    "RomM's variables",
    async (provider) => {
      const lines = replaced(blockOf("sh"), provider).trim().split("\n");
      const env = Object.fromEntries(lines.map((line): [string, string] => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
      const auth = { htpasswd: { path: "HTPASSWD" } };
      return { config: { auth }, env, name: "alice@example.com", redirectUri: `${ownUrl}/api/oauth/openid` };
    },
  ],
];

describe.runIf(requirePrograms("htpasswd")).each(blocks)("%s", (_, paste) => {
  test("lets people in by a browser and by their token, as far as their groups go, and the file of users while Authentik is away", async () => {
    // As Authentik's own mapping has it: of nobody's address it says that it is verified.
    const alice = { preferred_username: "alice", email: "alice@example.com", email_verified: false, groups: ["dev"] };
    const bob = { preferred_username: "bob", email: "bob@example.com", email_verified: false, groups: ["guests"] };
    await using provider = await startOpenidProvider({
      people: new Map([
        ["1", alice],
        ["2", bob],
      ]),
      clientSecret,
    });
    const { config, env, name, redirectUri } = await paste(provider);
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["local"], config: { ...config, accessControl }, env });
    provider.allow(redirectUri ?? `${guarded.server.url}/zot/auth/callback/oidc`);

    const browser = await signIn(guarded, provider, "1");
    expect((await browser.ui(manifest)).status).toBe(200);
    expect((await (await signIn(guarded, provider, "2")).ui(manifest)).status).toBe(403);

    // As docker asks: first whether it must say who it is, then with what it was told to; an address of the person does for a name.
    const token = await provider.accessToken("1");
    const bare = await guarded.get("/v2/");
    expect([bare.status, bare.headers.get("www-authenticate")]).toEqual([401, expect.stringMatching(/^Basic realm=/)]);
    for (const user of [name, "alice@example.com"]) {
      expect((await guarded.get("/v2/", { authorization: basic(user, token) })).status).toBe(200);
      expect((await guarded.get(manifest, { authorization: basic(user, token) })).status).toBe(200);
    }
    expect((await guarded.get("/v2/", { authorization: basic("bob@example.com", token) })).status).toBe(401);
    expect((await guarded.get(manifest, { authorization: basic("bob@example.com", await provider.accessToken("2")) })).status).toBe(403);

    await provider.refuse();
    expect((await guarded.get(manifest, { user: "local" })).status).toBe(200);
    expect((await browser.ui(manifest)).status).toBe(200);
    expect((await guarded.get(manifest, { authorization: basic(name, token) })).status).toBe(200);
    const form = await new CookieBrowser(guarded.server.url).submit("/zot/auth/login", { username: "local", password: "local-password" });
    expect([form.status, form.headers.getSetCookie().length]).toEqual([303, 1]);
  }, 120_000);
});

async function signIn({ server }: GuardedServer, provider: OpenidProvider, subject: string): Promise<CookieBrowser> {
  provider.visitor = subject;
  const browser = new CookieBrowser(server.url);
  const begun = await browser.ask("/zot/auth/login?provider=oidc&callback_ui=/home");
  const { pathname, search } = await provider.visit(new URL(begun.headers.get("location") ?? ""));
  const answer = await browser.ask(pathname + search);
  expect([answer.status, answer.headers.get("location")]).toEqual([302, "/home"]);
  return browser;
}
