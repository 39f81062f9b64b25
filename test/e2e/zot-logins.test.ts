/** Who is let in, by each method and by several at once: zot's list, by its numbers, over real sockets; and where zot opens up and we do not. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestAuthority, type IssuedCertificate, type TestAuthority } from "../support/certificates.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { askRaw, basic, startGuardedServer, type GuardedServer, type RawAnswer } from "../support/guarded-server.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { ellipticKey, publicPem, signToken } from "../support/signed-tokens.ts";
import { directoryBase, startSlapd } from "../support/slapd.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { passwordLine } from "../support/token-service.ts";

const ping = "/v2/";
const [open, closed] = ["/v2/open/app/manifests/1", "/v2/team/app/manifests/1"];
const key = ellipticKey();
const issuer = "https://tokens.example.com";
const htpasswd = { path: "HTPASSWD" };
const anonymousOnOpen = { repositories: { "**": { defaultPolicy: ["read"] }, "open/**": { anonymousPolicy: ["read"] } } };
const onlyAnonymous = { repositories: { "open/**": { anonymousPolicy: ["read"] } } };

interface Shown {
  readonly authorization?: readonly string[];
  readonly agent?: string;
  readonly cookie?: string;
  /** As a page of zot's asks. */
  readonly ui?: boolean;
  readonly client?: IssuedCertificate | undefined;
  readonly method?: string;
}

interface Place {
  readonly guarded: GuardedServer;
  readonly ca?: string;
}

function ask({ guarded, ca }: Place, path: string, { authorization = [], agent, cookie, ui = false, client, method = "GET" }: Shown = {}): Promise<RawAnswer> {
  const headers = {
    ...(agent === undefined ? {} : { "User-Agent": agent }),
    ...(cookie === undefined ? {} : { Cookie: cookie }),
    ...(ui ? { "X-ZOT-API-CLIENT": "zot-ui" } : {}),
    Authorization: authorization,
  };
  const tls = ca === undefined ? {} : { tls: { ca, ...(client ? { cert: client.certificate, key: client.key } : {}) } };
  return askRaw({ port: guarded.server.port, path, method, headers, ...tls });
}

function token(claims: object = {}, header: Readonly<Record<string, unknown>> = {}): string {
  const now = Math.floor(Date.now() / 1_000);
  const access = [{ type: "repository", name: "team/app", actions: ["pull"] }];
  return signToken(key, { iss: issuer, sub: "a", aud: "registry", iat: now, exp: now + 300, access, ...claims }, header);
}

describe.runIf(requirePrograms("htpasswd", "openssl", "slapd", "ldapmodify"))("zot's list", () => {
  const stack = new AsyncDisposableStack();
  const started = new Map<string, Promise<Place>>();
  let authority: TestAuthority;
  let certificates: Readonly<Record<"x" | "nameless" | "stranger", IssuedCertificate>>;
  let configurations: Readonly<Record<string, object>>;

  beforeAll(async () => {
    const [{ path }, { path: strangers }] = [stack.use(await temporaryFolder()), stack.use(await temporaryFolder())];
    authority = await createTestAuthority(path);
    const server = await authority.issue();
    certificates = {
      x: await authority.issue({ commonName: "x" }),
      nameless: await authority.issue({ commonName: "x", names: ["URI:spiffe://elsewhere/x"] }),
      stranger: await (await createTestAuthority(strangers)).issue({ commonName: "x" }),
    };
    const tls = { cert: server.certificateFile, key: server.keyFile, cacert: authority.certificateFile };
    const slapd = stack.use(await startSlapd(path));
    const ldap = { address: "127.0.0.1", port: slapd.port, insecure: true, baseDN: `ou=people,${directoryBase}`, userAttribute: "uid" };
    const cert = join(path, "key.pem");
    await writeFile(cert, publicPem(key));
    const bearer = { realm: `${issuer}/token`, service: "registry", issuer, cert };
    const mtls = { identityAttributes: ["URI"], uriSanPattern: "spiffe://here/(.+)" };
    const onlyX = {
      repositories: { "**": { policies: [{ users: ["x"], actions: ["read"] }] }, "open/**": { policies: [{ users: ["a"], actions: ["read"] }] } },
    };
    configurations = {
      none: {},
      htp: { auth: { htpasswd } },
      "htp, failDelay": { auth: { htpasswd, failDelay: 1 } },
      "htp, long failDelay": { auth: { htpasswd, failDelay: 20 } },
      "htp+anon": { auth: { htpasswd }, accessControl: anonymousOnOpen },
      "htp+anon only": { auth: { htpasswd }, accessControl: onlyAnonymous },
      mtls: { http: { tls, accessControl: onlyX } },
      "mtls+htp": { http: { tls, auth: { htpasswd }, accessControl: onlyX } },
      "mtls+anon": { http: { tls, auth: { mtls }, accessControl: anonymousOnOpen } },
      ldap: { auth: { ldap }, accessControl: { repositories: { "**": { policies: [{ users: ["alice"], actions: ["read"] }] } } } },
      "htp+ldap": { auth: { htpasswd, ldap } },
      bearer: { auth: { bearer } },
      "bearer+htp": { auth: { bearer, htpasswd } },
    };
  });
  afterAll(() => stack.disposeAsync());

  function at(name: string): Promise<Place> {
    const start = async (): Promise<Place> => {
      const guarded = stack.use(
        await startGuardedServer({ repositories: ["open/app", "team/app"], users: ["a", "alice"], config: configurations[name] ?? {} }),
      );
      return name.startsWith("mtls") ? { guarded, ca: authority.certificate } : { guarded };
    };
    const place = started.get(name) ?? start();
    started.set(name, place);
    return place;
  }

  interface Vector {
    readonly number: number;
    readonly configuration: string;
    readonly asks: readonly (readonly [path: string, shown: Shown | ((place: Place) => Shown | Promise<Shown>), status: number])[];
    /** Each answer takes at least, or less than, so long. */
    readonly atLeastMs?: number;
    readonly belowMs?: number;
  }

  const wrong = { authorization: [basic("a", "wrong")] };
  const good = { authorization: [basic("a")] };
  const empty = { authorization: ["Basic Og=="] };
  const shows = (authorization: string): Shown => ({ authorization: [authorization] });
  const bearer =
    (...made: Parameters<typeof token>) =>
    (): Shown =>
      shows(`Bearer ${token(...made)}`);
  /** Of a browser in which somebody has signed in. */
  const session = async ({ guarded }: Place): Promise<Shown> => {
    const browser = new CookieBrowser(guarded.server.url);
    await browser.submit("/zot/auth/login", { username: "a", password: "a-password" });
    return { cookie: `session=${browser.cookies.get("session")}`, ui: true };
  };
  const certificate =
    (name: "x" | "nameless" | "stranger", more: Shown = {}) =>
    (): Shown => ({ ...more, client: certificates[name] });

  const vectors: readonly Vector[] = [
    { number: 1, configuration: "htp", asks: [[ping, {}, 401]] },
    { number: 2, configuration: "htp", asks: [[ping, good, 200]] },
    {
      number: 3,
      configuration: "htp, failDelay",
      atLeastMs: 990,
      asks: [wrong, shows("Bearer x"), shows("Basic %%%"), shows(`Basic ${btoa("a")}`)].map((shown) => [ping, shown, 401] as const),
    },
    {
      number: 4,
      configuration: "htp, long failDelay",
      belowMs: 20_000,
      asks: [
        [ping, empty, 401],
        [ping, {}, 401],
      ],
    },
    {
      number: 5,
      configuration: "htp+anon",
      asks: [
        [open, empty, 200],
        [open, {}, 200],
        [closed, {}, 401],
      ],
    },
    { number: 6, configuration: "htp+anon", asks: [[open, wrong, 401]] },
    {
      number: 7,
      configuration: "htp+anon",
      asks: [
        ...["docker/28.2.2 go/go1.24", "Docker-Client/28.2.2 (linux)"].map((agent) => [ping, { agent }, 401] as const),
        [ping, { agent: "containerd/2.0" }, 200],
      ],
    },
    { number: 8, configuration: "htp+anon only", asks: [[ping, { agent: "docker/28.2.2" }, 200]] },
    {
      number: 9,
      configuration: "htp",
      asks: [
        [ping, { cookie: "session=x; user=a" }, 401],
        [ping, async (place) => ({ ...(await session(place)), ui: false }), 401],
      ],
    },
    {
      number: 10,
      configuration: "htp",
      asks: [
        [ping, session, 200],
        [closed, session, 200],
      ],
    },
    {
      number: 11,
      configuration: "htp+anon",
      asks: [
        [open, { cookie: "session=garbage", ui: true }, 200],
        [closed, { cookie: "session=garbage", ui: true }, 401],
      ],
    },
    { number: 12, configuration: "htp", asks: [[ping, { authorization: [basic("a"), basic("a")] }, 401]] },
    {
      number: 13,
      configuration: "mtls",
      asks: [
        [ping, {}, 401],
        [closed, certificate("x"), 200],
        [ping, certificate("stranger"), 0],
      ],
    },
    {
      number: 14,
      configuration: "mtls+htp",
      asks: [
        [open, certificate("x", good), 200],
        [closed, certificate("x", good), 403],
        [closed, certificate("x"), 200],
        [closed, certificate("x", wrong), 401],
      ],
    },
    {
      number: 15,
      configuration: "mtls+anon",
      asks: [
        [open, certificate("nameless"), 401],
        [open, {}, 200],
      ],
    },
    {
      number: 17,
      configuration: "htp+ldap",
      asks: ["alice-secret", "alice-password", "neither"].map((password, at) => [closed, shows(basic("alice", password)), [200, 200, 401][at] ?? 0] as const),
    },
    {
      number: 19,
      configuration: "bearer",
      asks: [
        [closed, bearer(), 200],
        [closed, () => ({ ...bearer()(), method: "PUT" }), 401],
        [open, bearer(), 401],
        [ping, bearer(), 200],
        ["/v2/_catalog", bearer(), 401],
      ],
    },
    { number: 20, configuration: "bearer", asks: [[closed, bearer({ exp: 1 }), 401]] },
    {
      number: 21,
      configuration: "bearer+htp",
      asks: [
        [ping, good, 401],
        [ping, bearer(), 200],
      ],
    },
    {
      number: 22,
      configuration: "none",
      asks: [
        [ping, {}, 200],
        [closed, wrong, 200],
        [closed, shows("Bearer x"), 200],
      ],
    },
  ];
  /** Of API keys (16), and of openid (18): in tests of their own. */
  const elsewhere = [16, 18];

  test("all of the list are here, but for those that have tests of their own", () => {
    expect([...vectors.map(({ number }) => number), ...elsewhere].toSorted((one, other) => one - other)).toEqual(Array.from({ length: 22 }, (_, at) => at + 1));
  });

  test.each(vectors)("$number: $configuration", async ({ configuration, asks, atLeastMs = 0, belowMs = Infinity }) => {
    const place = await at(configuration);
    for (const [path, shown, status] of asks) {
      const startMs = performance.now();
      const answer = await ask(place, path, typeof shown === "function" ? await shown(place) : shown);
      expect([path, answer.status]).toEqual([path, status]);
      // Every 401 says how one logs in, but to a page, as in zot, which leaves it out where a token was wrong too.
      if (typeof shown !== "function" && shown.ui === true) expect(answer.challenge).toBeUndefined();
      else if (status === 401) expect(answer.challenge).toMatch(configuration.startsWith("bearer") ? /^Bearer realm=/ : /^Basic realm=/);
      const tookMs = performance.now() - startMs;
      expect([tookMs >= atLeastMs, tookMs < belowMs]).toEqual([true, true]);
    }
  });

  test("OPTIONS asks for nothing, and is never asked who it is", async () => {
    const place = await at("htp");
    place.guarded.upstream.forget();
    for (const shown of [{}, wrong, { authorization: [basic("a"), "Bearer x"] }]) {
      for (const path of [ping, closed, "/v2/no/such/tags/list"]) {
        expect([path, (await ask(place, path, { ...shown, method: "OPTIONS" })).status]).toEqual([path, 204]);
      }
    }
    expect(place.guarded.upstream.requests).toEqual([]);
  });

  test.each(["ALICE", "Alice", "alice "])("a directory alone lets in who is in it; %j is alice", async (name) => {
    const place = await at("ldap");
    expect((await ask(place, closed, shows(basic("alice", "alice-secret")))).status).toBe(200);
    expect((await ask(place, closed, shows(basic("alice", "alice-password")))).status).toBe(401);
    expect((await ask(place, closed, shows(basic("alice", "")))).status).toBe(401);
    expect((await ask(place, closed, shows(basic(name, "alice-secret")))).status).toBe(200);
  });

  test.each([
    ["for another service", { aud: "elsewhere" }, {}],
    ["for no service", { aud: undefined }, {}],
    ["of another client of the same realm", { aud: "other-client", azp: "other-client" }, {}],
    ["without an end", { exp: undefined }, {}],
    ["that lives ten years", { exp: Math.floor(Date.now() / 1_000) + 315_360_000 }, {}],
    ["with an extension that must be understood", {}, { crit: ["x"], x: true }],
  ])("zot takes a token %s, and we do not", async (_, claims, header) => {
    expect(await ask(await at("bearer"), closed, bearer(claims, header)())).toEqual({
      status: 401,
      challenge: `Bearer realm="${issuer}/token",service="registry",scope="repository:team/app:pull",error="invalid_token"`,
    });
  });

  test("zot takes a token without its scheme, and we do not; a key's unknown name is no matter where there is one key", async () => {
    const place = await at("bearer");
    expect((await ask(place, closed, shows(token()))).status).toBe(401);
    expect((await ask(place, closed, bearer({}, { kid: "unheard of" })())).status).toBe(200);
  });

  test("zot takes a longer name that ends like one that is meant, and we do not", async () => {
    const evil = await authority.issue({ commonName: "x", names: ["URI:spiffe://evil/spiffe://here/alice"] });
    const alice = await authority.issue({ commonName: "x", names: ["URI:spiffe://here/alice"] });
    const place = await at("mtls+anon");
    expect([(await ask(place, closed, { client: evil })).status, (await ask(place, closed, { client: alice })).status]).toEqual([401, 200]);
  });
});

describe("where zot opens up", () => {
  test.each([
    ["an empty accessControl", {}],
    ["one without repositories", { repositories: {} }],
    ["an empty entry", { repositories: { "**": { defaultPolicy: ["read"] }, "team/**": {} } }],
    ["an empty defaultPolicy", { repositories: { "**": { defaultPolicy: ["read"] }, "team/**": { defaultPolicy: [] } } }],
    ["groups that differ in case", { groups: { ops: { users: ["a"] } }, repositories: { "**": { policies: [{ groups: ["Ops"], actions: ["read"] }] } } }],
  ])("%s stays shut", async (_, accessControl) => {
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["a"], config: { auth: { htpasswd }, accessControl } });
    expect((await guarded.get(closed, { user: "a" })).status).toBe(403);
    expect((await guarded.get(closed)).status).toBe(401);
    expect(guarded.upstream.requests).toEqual([]);
  });

  test.each([
    ["a pattern without a letter", { accessControl: { repositories: { "": { defaultPolicy: ["read"] } } } }, /repositories/],
    ["bearer without its service", { auth: { bearer: { realm: issuer, cert: "/key.pem" } } }, /bearer.*service|service.*bearer/],
    ["bearer without a key", { auth: { bearer: { realm: issuer, service: "registry" } } }, /bearer.*cert|cert.*bearer/],
    ["a password file with a line that has no end", { auth: { htpasswd: { path: "LONG" } } }, /line 2: more than 4096 characters/],
  ])("%s does not start, and says why", async (_, config, complaint) => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "LONG"), `a:b\n${"c".repeat(70_000)}\n${passwordLine("d", "e")}\n`);
    const configFile = join(folder.path, "config.json");
    await writeFile(configFile, JSON.stringify({ port: 0, imagePath: join(folder.path, "store"), ...config }).replace("LONG", join(folder.path, "LONG")));
    const root = join(import.meta.dirname, "..", "..");
    const program = [join(root, "src", "main.ts"), "serve", "--config-file", configFile];
    const { code, stderr } = await runProcess(join(root, "node_modules", ".bin", "node"), program);
    expect([code, stderr]).toEqual([1, expect.stringMatching(complaint)]);
  });

  test("a password file as other systems write it: ends of lines, remarks, an entry without a name", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "users");
    const [a, b, long] = ["a", "b", "long"].map((name) => passwordLine(name, name === "long" ? "0".repeat(72) : `${name}-password`));
    await writeFile(file, `${a}\r\n# remark\r\n${passwordLine("", "x")}\r\n${b}\r\n${long}\r\n`);
    await using guarded = await startGuardedServer({ repositories: ["team/app"], config: { auth: { htpasswd: { path: file } } } });
    const statusOf = async (user: string, password: string): Promise<number> => (await guarded.get(closed, { authorization: basic(user, password) })).status;
    expect([await statusOf("a", "a-password"), await statusOf("b", "b-password"), await statusOf("", "x")]).toEqual([200, 200, 401]);
    // bcrypt looks at 72 bytes, and lets any 73rd pass.
    expect([await statusOf("long", "0".repeat(72)), await statusOf("long", "0".repeat(73))]).toEqual([200, 401]);
  });
});
