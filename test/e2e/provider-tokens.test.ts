/** zot's documented set-up with Authentik, and RomM's variables, as they are written: access tokens as passwords, beside a file of users. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startOpenidProvider, type OpenidProvider } from "../support/openid-provider.ts";
import { requirePrograms } from "../support/programs.ts";

const people = new Map([
  ["alice-id", { email: "alice@example.com", email_verified: false, preferred_username: "alice", groups: ["ops"] }],
  ["bob-id", { email: "bob@example.com", preferred_username: "bob", groups: ["guests"] }],
]);
const ping = "/v2/";
const [common, secret] = ["/v2/team/app/manifests/1", "/v2/infra/app/manifests/1"];
const accessControl = { repositories: { "**": { defaultPolicy: ["read"] }, "infra/**": { policies: [{ groups: ["ops"], actions: ["read"] }] } } };

describe.runIf(requirePrograms("htpasswd"))("access tokens as passwords", () => {
  let authentik: OpenidProvider;

  beforeAll(async () => {
    authentik = await startOpenidProvider({ people });
  });
  afterAll(() => authentik?.[Symbol.asyncDispose]());

  /** As zot's documents have it, but for host and secrets. */
  const documented = () => ({
    htpasswd: { path: "HTPASSWD" },
    failDelay: 5,
    openid: {
      providers: {
        oidc: {
          name: "authentik",
          issuer: authentik.issuer,
          clientid: authentik.clientId,
          clientsecret: authentik.clientSecret,
          scopes: ["openid", "profile", "email", "groups"],
        },
      },
    },
  });

  const start = (more: object = {}): Promise<GuardedServer> =>
    startGuardedServer({ repositories: ["team/app", "infra/app"], users: ["local"], config: { auth: documented(), accessControl, ...more } });

  async function status(guarded: GuardedServer, path: string, user: string, password: string): Promise<number> {
    return (await guarded.get(path, { authorization: basic(user, password) })).status;
  }

  test("let in whose they are, with the groups that the provider gives, in the order in which docker asks", async () => {
    await using guarded = await start();
    const first = await guarded.get(ping);
    expect([first.status, first.headers.get("www-authenticate")]).toEqual([401, 'Basic realm="Authorization Required"']);
    const [alice, bob] = [await authentik.accessToken("alice-id"), await authentik.accessToken("bob-id")];
    expect(await status(guarded, ping, "alice", alice)).toBe(200);
    expect(await status(guarded, common, "alice", alice)).toBe(200);
    expect(await status(guarded, secret, "alice@example.com", alice)).toBe(200);
    expect(await status(guarded, common, "bob", bob)).toBe(200);
    expect(await status(guarded, secret, "bob", bob)).toBe(403);
    expect((await guarded.get(common, { authorization: `Bearer ${alice}` })).status).toBe(200);
    const byTag = guarded.upstream.requests.filter((line) => line.endsWith("/manifests/1"));
    expect(byTag).toEqual(["HEAD /v2/team/app/manifests/1", "HEAD /v2/infra/app/manifests/1"]);
  });

  test("of somebody else, or changed, let nobody in, after the delay, and the log says why", async () => {
    await using guarded = await start({ auth: { ...documented(), failDelay: 1 } });
    const token = await authentik.accessToken("alice-id");
    expect(await status(guarded, ping, "mallory", token)).toBe(401);
    expect(await status(guarded, ping, "alice", `${token.slice(0, -8)}AAAAAAAA`)).toBe(401);
    expect(guarded.upstream.requests).toEqual([]);
    await guarded.server.process.waitForOutput(/openid.*refused.*|refused.*openid/);
    expect(guarded.server.process.output).not.toContain(token.slice(-20));
  });

  test("go on while the provider is away, and so does the file of users, at once", async () => {
    await using guarded = await start();
    const token = await authentik.accessToken("alice-id");
    const later = await authentik.accessToken("bob-id");
    expect(await status(guarded, common, "alice", token)).toBe(200);
    await authentik.refuse();
    try {
      expect(await status(guarded, common, "alice", token)).toBe(200);
      expect(await status(guarded, common, "bob", later)).toBe(200);
      const beganMs = performance.now();
      expect(await status(guarded, common, "local", "local-password")).toBe(200);
      expect(performance.now() - beganMs).toBeLessThan(2_000);
    } finally {
      await authentik.accept();
    }
  });

  test("nobody waits for a provider at the start, and a login is 503 until it is there", async () => {
    const token = await authentik.accessToken("alice-id");
    await authentik.refuse();
    try {
      await using guarded = await start();
      expect(await status(guarded, ping, "alice", token)).toBe(503);
      expect(await status(guarded, ping, "local", "local-password")).toBe(200);
      await guarded.server.process.waitForOutput(/openid provider/);
    } finally {
      await authentik.accept();
    }
  });

  test("RomM's variables do the same, with no file of ours, and the address without its slash", async () => {
    await using guarded = await startGuardedServer({
      repositories: ["team/app"],
      config: {},
      env: {
        OIDC_ENABLED: "true",
        OIDC_PROVIDER: "authentik",
        OIDC_CLIENT_ID: authentik.clientId,
        OIDC_CLIENT_SECRET: authentik.clientSecret,
        OIDC_REDIRECT_URI: "http://registry.host.local/api/oauth/openid",
        OIDC_SERVER_APPLICATION_URL: authentik.issuer.slice(0, -1),
      },
    });
    expect(await status(guarded, common, "alice", await authentik.accessToken("alice-id"))).toBe(200);
    expect((await guarded.get(common)).status).toBe(401);
  });

  test("are of the same person whose name stands in the file of users too, which lets him in while the provider is away", async () => {
    await using guarded = await startGuardedServer({
      repositories: ["team/app"],
      users: ["alice@example.com"],
      config: { auth: { ...documented(), failDelay: 0 } },
    });
    const token = await authentik.accessToken("alice-id");
    for (const shown of ["alice@example.com-password", token]) expect(await status(guarded, common, "alice@example.com", shown)).toBe(200);
    expect((await guarded.get(common, { authorization: `Bearer ${token}` })).status).toBe(200);
  });

  test("with our own token service, the token that they buy carries their groups, and none that lasts", async () => {
    await using guarded = await startGuardedServer({
      repositories: ["infra/app"],
      users: ["local"],
      config: { auth: { ...documented(), tokenService: "builtin" }, accessControl },
    });
    const challenge = (await guarded.get(ping)).headers.get("www-authenticate") ?? "";
    const [, realm = "", service = ""] = /realm="([^"]+)",service="([^"]+)"/.exec(challenge) ?? [];
    const buy = async (user: string, password: string): Promise<{ readonly token: string; readonly refresh_token?: string }> => {
      const url = `${realm}?service=${service}&scope=repository:infra/app:pull&offline_token=true`;
      const answer = await fetch(url, { headers: { authorization: basic(user, password) } });
      return (await answer.json()) as { token: string };
    };
    const [alice, bob] = [await buy("alice", await authentik.accessToken("alice-id")), await buy("bob", await authentik.accessToken("bob-id"))];
    expect((await guarded.get(secret, { authorization: `Bearer ${alice.token}` })).status).toBe(200);
    expect((await guarded.get(secret, { authorization: `Bearer ${bob.token}` })).status).not.toBe(200);
    expect(alice.refresh_token).toBeUndefined();
    expect((await buy("local", "local-password")).refresh_token).toBeDefined();
  });
});
