/** Who may pull what, by the clients that people have: every method of logging in, right and wrong, beside names that are open to all. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestAuthority, type IssuedCertificate, type TestAuthority } from "../support/certificates.ts";
import { loginClients, programsOf, type LoginClient, type LoginClientName, type Shown } from "../support/clients-that-log-in.ts";
import { startFakeIssuer } from "../support/fake-issuer.ts";
import { startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startJwtTokenService } from "../support/jwt-token-service.ts";
import { startOpenidProvider } from "../support/openid-provider.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { startRelay, type Relay } from "../support/relay.ts";
import { ellipticKey, jwkOf, signToken, type SigningKey } from "../support/signed-tokens.ts";
import { directoryBase, searcher, startSlapd, type Slapd } from "../support/slapd.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const names = ["skopeo", "podman", "ctr", "docker"] as const satisfies readonly LoginClientName[];
const runnable = names.filter((name) => requirePrograms(...programsOf[name], "htpasswd") && (name === "skopeo" || requireRoot()));
const nothing: Shown = { kind: "nothing" };
const login = (user: string, password = `${user}-password`): Shown => ({ kind: "login", user, password });
const onlyAlice = { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] } };
const openBeside = { repositories: { ...onlyAlice, "open/**": { anonymousPolicy: ["read"], defaultPolicy: ["read"] } } };
const repositories = ["team/app", "open/app"];

let folder: TemporaryFolder;
const clients = new Map<LoginClientName, LoginClient>();

beforeAll(async () => {
  folder = await temporaryFolder();
  for (const [at, name] of runnable.entries()) {
    // A short name: podman refuses a runroot of more than 50 characters.
    const own = join(folder.path, `c${at}`);
    await mkdir(own);
    clients.set(name, await loginClients[name](own));
  }
}, 120_000);
afterAll(async () => {
  await Promise.allSettled([...clients.values()].map((client) => client[Symbol.asyncDispose]()));
  await folder?.[Symbol.asyncDispose]();
});

interface Pulled {
  readonly succeeded: boolean;
  /** What it said, when it failed. */
  readonly words: string;
}

async function pull(name: LoginClientName, reference: string, shown: Shown): Promise<Pulled> {
  const { code, stdout, stderr } = (await clients.get(name)?.pull(reference, shown)) ?? { code: null, stdout: "", stderr: "not started" };
  return { succeeded: code === 0, words: code === 0 ? "" : stderr + stdout };
}

/** A guarded server behind a relay, which hears every word that clients say. */
interface Overheard extends AsyncDisposable {
  readonly guarded: GuardedServer;
  readonly host: string;
  /** The requests since the last call, to the first manifest: `GET /v2/ Basic`. */
  asked(): readonly string[];
}

async function startOverheard(config: object, users: readonly string[] = ["alice", "bob"]): Promise<Overheard> {
  const guarded = await startGuardedServer({ repositories, users, config });
  const relay: Relay = await startRelay(guarded.server.port);
  let heard = 0;
  return {
    guarded,
    host: relay.host,
    asked() {
      const text = relay.received.slice(heard);
      heard += text.length;
      const lines = [...text.matchAll(/^(?:.*?)((?:GET|HEAD|POST) \S+) HTTP\/1\.1\r\n((?:[^\r\n]+\r\n)*)/gm)].map(([, line, headers]) => {
        const scheme = /^authorization: (\w+)/im.exec(headers ?? "")?.[1];
        return `${line}${scheme === undefined ? "" : ` ${scheme}`}`;
      });
      return lines.filter((line) => !/sha256/.test(line));
    },
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      await guarded[Symbol.asyncDispose]();
    },
  };
}

/** What each client does, and what it says when it may not. */
interface Expected {
  readonly asked: readonly string[];
  /** Undefined: the image is there. */
  readonly words: RegExp | undefined;
}

const visits = {
  "alice, of what is hers": ["team/app", login("alice")],
  "alice with a wrong password": ["team/app", login("alice", "wrong")],
  "bob, of what is alice's": ["team/app", login("bob")],
  "nobody, of what is alice's": ["team/app", nothing],
  "nobody, of what is open": ["open/app", nothing],
} as const satisfies Record<string, readonly [string, Shown]>;
type VisitName = keyof typeof visits;
type ExpectedVisits = Readonly<Record<LoginClientName, Readonly<Record<VisitName, Expected>>>>;

function expectVisits(one: () => Overheard, expected: ExpectedVisits): void {
  const rows = runnable.flatMap((name) => Object.entries(expected[name]).map(([visit, outcome]) => ({ name, visit: visit as VisitName, outcome }))); // Its own keys.
  test.each(rows)(
    "$name: $visit",
    async ({ name, visit, outcome }) => {
      const [path, shown] = visits[visit];
      const pulled = await pull(name, `${one().host}/${path}:1`, shown);
      expect(one().asked()).toEqual(outcome.asked);
      if (outcome.words) expect(pulled.words).toMatch(outcome.words);
      expect(pulled.succeeded).toBe(outcome.words === undefined);
    },
    60_000,
  );
}

const wrong = /unauthorized: the credentials are wrong, or are no longer valid/;
const bobMayNot = /denied: bob may not read team\/app/;
const required = /unauthorized: authentication is required to read team\/app/;
/** The asker, and then the same with what it has. */
const [teamGet, openGet] = ["GET /v2/team/app/manifests/1", "GET /v2/open/app/manifests/1"];
const [teamHead, openHead] = ["HEAD /v2/team/app/manifests/1", "HEAD /v2/open/app/manifests/1"];

describe("htpasswd, beside names that are open to all", () => {
  let one: Overheard;
  beforeAll(async () => {
    one = await startOverheard({ auth: { htpasswd: { path: "HTPASSWD" } }, accessControl: openBeside });
  });
  afterAll(() => one?.[Symbol.asyncDispose]());

  // What has no login shows an empty one.
  const withBasic = ["GET /v2/", `${teamGet} Basic`];
  const loggingIn = ["GET /v2/", "GET /v2/ Basic"];
  expectVisits(() => one, {
    skopeo: {
      "alice, of what is hers": { asked: withBasic, words: undefined },
      "alice with a wrong password": { asked: withBasic, words: wrong },
      "bob, of what is alice's": { asked: withBasic, words: bobMayNot },
      "nobody, of what is alice's": { asked: withBasic, words: required },
      "nobody, of what is open": { asked: ["GET /v2/", `${openGet} Basic`], words: undefined },
    },
    podman: {
      "alice, of what is hers": { asked: [...loggingIn, ...withBasic], words: undefined },
      "alice with a wrong password": { asked: loggingIn, words: /invalid username\/password/ },
      "bob, of what is alice's": { asked: [...loggingIn, ...withBasic], words: bobMayNot },
      "nobody, of what is alice's": { asked: withBasic, words: required },
      "nobody, of what is open": { asked: ["GET /v2/", `${openGet} Basic`], words: undefined },
    },
    ctr: {
      "alice, of what is hers": { asked: [teamHead, `${teamHead} Basic`], words: undefined },
      // It repeats a login that was refused.
      "alice with a wrong password": { asked: [teamHead, ...Array.from({ length: 5 }, () => `${teamHead} Basic`)], words: /401 Unauthorized/ },
      "bob, of what is alice's": { asked: [teamHead, `${teamHead} Basic`], words: /403 Forbidden/ },
      "nobody, of what is alice's": { asked: [teamHead], words: /401 Unauthorized/ },
      "nobody, of what is open": { asked: [openHead], words: undefined },
    },
    docker: {
      "alice, of what is hers": { asked: [...loggingIn, "GET /v2/", `${teamHead} Basic`], words: undefined },
      "alice with a wrong password": { asked: loggingIn, words: /401 Unauthorized/ },
      "bob, of what is alice's": { asked: [...loggingIn, "GET /v2/", `${teamHead} Basic`, `${teamGet} Basic`], words: bobMayNot },
      "nobody, of what is alice's": { asked: ["GET /v2/"], words: /no basic auth credentials/ },
      // It must be told to log in to do so ever, and then it does not go on without: what the start says, and tokens mend.
      "nobody, of what is open": { asked: ["GET /v2/"], words: /no basic auth credentials/ },
    },
  });

  test("the start says what docker cannot do, and which setting mends it", () => {
    expect(one.guarded.server.process.output).toContain('"setting":"auth.tokenService: builtin"');
  });
});

describe("our own token service, behind one challenge", () => {
  let one: Overheard;
  beforeAll(async () => {
    one = await startOverheard({ auth: { htpasswd: { path: "HTPASSWD" }, tokenService: "builtin" }, accessControl: openBeside });
  });
  afterAll(() => one?.[Symbol.asyncDispose]());

  const scopeOf = (name: string) => `scope=repository%3A${name}%2Fapp%3Apull`;
  const tokenFor = (name: string, user?: string) =>
    `GET /zot/auth/token?${user === undefined ? "" : `account=${user}&`}${scopeOf(name)}&service=ociregistry${user === undefined ? "" : " Basic"}`;
  const podmanLogin = (user: string) => ["GET /v2/", `GET /zot/auth/token?account=${user}&service=ociregistry Basic`];
  const dockerLogin = (user: string) => ["GET /v2/", `GET /zot/auth/token?account=${user}&client_id=docker&offline_token=true&service=ociregistry Basic`];
  // What a challenge adds to what was asked for is asked for twice.
  const again = [`GET /zot/auth/token?${scopeOf("team")}&${scopeOf("team")}&service=ociregistry`, `${teamGet} Bearer`];
  expectVisits(() => one, {
    skopeo: {
      "alice, of what is hers": { asked: ["GET /v2/", tokenFor("team", "alice"), `${teamGet} Bearer`], words: undefined },
      "alice with a wrong password": { asked: ["GET /v2/", tokenFor("team", "alice")], words: wrong },
      "bob, of what is alice's": { asked: ["GET /v2/", tokenFor("team", "bob"), `${teamGet} Bearer`], words: bobMayNot },
      "nobody, of what is alice's": { asked: ["GET /v2/", tokenFor("team"), `${teamGet} Bearer`, ...again], words: required },
      "nobody, of what is open": { asked: ["GET /v2/", tokenFor("open"), `${openGet} Bearer`], words: undefined },
    },
    podman: {
      "alice, of what is hers": {
        asked: [...podmanLogin("alice"), "GET /v2/ Bearer", "GET /v2/", tokenFor("team", "alice"), `${teamGet} Bearer`],
        words: undefined,
      },
      "alice with a wrong password": { asked: podmanLogin("alice"), words: /invalid username\/password/ },
      "bob, of what is alice's": {
        asked: [...podmanLogin("bob"), "GET /v2/ Bearer", "GET /v2/", tokenFor("team", "bob"), `${teamGet} Bearer`],
        words: bobMayNot,
      },
      "nobody, of what is alice's": { asked: ["GET /v2/", tokenFor("team"), `${teamGet} Bearer`, ...again], words: required },
      "nobody, of what is open": { asked: ["GET /v2/", tokenFor("open"), `${openGet} Bearer`], words: undefined },
    },
    ctr: {
      // It asks for a second token for what the manifest names.
      "alice, of what is hers": { asked: [teamHead, "POST /zot/auth/token", `${teamHead} Bearer`, "POST /zot/auth/token"], words: undefined },
      "alice with a wrong password": { asked: [teamHead, "POST /zot/auth/token", `${tokenFor("team")} Basic`], words: /401 Unauthorized/ },
      "bob, of what is alice's": { asked: [teamHead, "POST /zot/auth/token", `${teamHead} Bearer`], words: /403 Forbidden/ },
      "nobody, of what is alice's": { asked: [teamHead, tokenFor("team"), `${teamHead} Bearer`], words: /may require authorization/ },
      "nobody, of what is open": { asked: [openHead], words: undefined },
    },
    docker: {
      // What it keeps is not the password: the refresh token gets it the next token.
      "alice, of what is hers": {
        asked: [...dockerLogin("alice"), "GET /v2/ Bearer", "GET /v2/", "POST /zot/auth/token", `${teamHead} Bearer`],
        words: undefined,
      },
      "alice with a wrong password": { asked: dockerLogin("alice"), words: wrong },
      "bob, of what is alice's": {
        asked: [...dockerLogin("bob"), "GET /v2/ Bearer", "GET /v2/", "POST /zot/auth/token", `${teamHead} Bearer`, `${teamGet} Bearer`],
        words: bobMayNot,
      },
      "nobody, of what is alice's": {
        asked: ["GET /v2/", tokenFor("team"), `${teamHead} Bearer`, `${teamGet} Bearer`],
        words: /repository does not exist or may require 'docker login'/,
      },
      "nobody, of what is open": { asked: ["GET /v2/", tokenFor("open"), `${openHead} Bearer`], words: undefined },
    },
  });
});

describe.runIf(requirePrograms("slapd", "ldapmodify"))("a directory", () => {
  let slapd: Slapd;
  let authority: TestAuthority;
  /** RFC 4511 4.14.1 */
  const startTls = "1.3.6.1.4.1.1466.20037";
  const secret = "alice-secret"; // In support/slapd.ts.
  beforeAll(async () => {
    authority = await createTestAuthority(folder.path);
    slapd = await startSlapd(folder.path, { tls: await authority.issue() });
  });
  afterAll(() => slapd?.[Symbol.asyncDispose]());

  test.each([
    ["in the clear", () => ({ port: slapd.port, insecure: true })],
    ["over StartTLS", () => ({ port: slapd.port, startTLS: true, caCert: authority.certificateFile })],
    ["over LDAPS", () => ({ port: slapd.tlsPort, caCert: authority.certificateFile })],
  ])(
    "%s: right passwords pull, wrong ones do not, nor what is another group's, and what is open needs none",
    async (_, how) => {
      const bind = { bindDN: searcher.dn, bindPassword: searcher.password };
      const ldap = {
        address: "127.0.0.1",
        baseDN: directoryBase,
        userAttribute: "uid",
        subtreeSearch: true,
        userGroupAttribute: "memberOf",
        ...bind,
        ...how(),
      };
      const accessControl = { repositories: { ...openBeside.repositories, "team/**": { policies: [{ groups: ["dev"], actions: ["read"] }] } } };
      await using one = await startOverheard({ auth: { ldap }, accessControl });
      await slapd.asked();
      for (const name of runnable) {
        const outcomes: boolean[] = [];
        for (const shown of [login("alice", secret), login("alice", "wrong"), login("bob", "bob-secret"), nothing]) {
          outcomes.push((await pull(name, `${one.host}/team/app:1`, shown)).succeeded);
        }
        expect(outcomes, name).toEqual([true, false, false, false]);
        if (name !== "docker") expect((await pull(name, `${one.host}/open/app:1`, nothing)).succeeded, name).toBe(true);
      }
      const questions = await slapd.asked();
      expect(questions.some((line) => line.includes("uid=alice,") && line.startsWith("BIND"))).toBe(true);
      expect(questions.some((line) => line.includes(startTls))).toBe("startTLS" in how());
    },
    120_000,
  );
});

describe("tokens of others", () => {
  const key: SigningKey = ellipticKey();
  const claims = (more: object) => ({ exp: Math.floor(Date.now() / 1_000) + 300, iat: Math.floor(Date.now() / 1_000), ...more });

  test.runIf(requirePrograms("skopeo"))(
    "a token service's: every client fetches one with its login, and a wrong login gets none",
    async () => {
      const certificate: IssuedCertificate = await (await createTestAuthority(folder.path)).issue();
      const tokens = await startJwtTokenService(certificate);
      tokens.users.set("alice", "alice-password").set("bob", "bob-password");
      const bearer = { realm: tokens.realm, service: tokens.service, issuer: tokens.issuer, cert: certificate.certificateFile };
      await using one = await startOverheard({ auth: { bearer }, accessControl: openBeside });
      for (const name of runnable) {
        const outcomes: boolean[] = [];
        for (const shown of [login("alice"), login("alice", "wrong"), login("bob"), nothing]) {
          outcomes.push((await pull(name, `${one.host}/team/app:1`, shown)).succeeded);
        }
        expect(outcomes, name).toEqual([true, false, false, false]);
      }
      // Passwords go to the token service, never to us.
      expect(one.asked().filter((line) => line.endsWith(" Basic"))).toEqual([]);
      await tokens.close();
    },
    120_000,
  );

  test("a workload's own: it is shown as it is", async () => {
    const issuer = await startFakeIssuer();
    issuer.keys = [jwkOf(key, { kid: "1" })];
    const bearer = { oidc: [{ issuer: issuer.issuer, audiences: ["registry"], claimMapping: { username: "claims.sub" } }] };
    await using one = await startOverheard({ auth: { bearer }, accessControl: openBeside });
    const tokenOf = (sub: string, more: object = {}): Shown => ({
      kind: "token",
      token: signToken(key, claims({ iss: issuer.issuer, aud: "registry", sub, ...more }), { kid: "1" }),
    });
    for (const name of runnable.filter((client) => client === "skopeo" || client === "docker")) {
      const reference = `${one.host}/team/app:1`;
      expect(await pull(name, reference, tokenOf("alice")), name).toEqual({ succeeded: true, words: "" });
      expect((await pull(name, reference, tokenOf("bob"))).words, name).toMatch(bobMayNot);
      expect((await pull(name, reference, tokenOf("alice", { aud: "elsewhere" }))).succeeded, name).toBe(false);
      expect((await pull(name, reference, nothing)).succeeded, name).toBe(false);
    }
    await issuer.close();
  }, 60_000);

  test.each(["off", "builtin"])(
    "an access token of the provider that people sign in with, as their password: every client logs in with it; tokenService: %s",
    async (tokenService) => {
      const people = new Map(["alice", "bob"].map((name) => [name, { email: `${name}@example.com`, preferred_username: name }]));
      await using authentik = await startOpenidProvider({ people });
      const { issuer, clientId: clientid, clientSecret: clientsecret } = authentik;
      const oidc = { issuer, clientid, clientsecret, scopes: ["openid", "profile", "email"], claimMapping: { username: "preferred_username" } };
      await using one = await startOverheard({
        auth: { htpasswd: { path: "HTPASSWD" }, tokenService, openid: { providers: { oidc } } },
        accessControl: openBeside,
      });
      const [alice, bob] = [await authentik.accessToken("alice"), await authentik.accessToken("bob")];
      for (const name of runnable) {
        const reference = `${one.host}/team/app:1`;
        expect(await pull(name, reference, login("alice", alice)), name).toEqual({ succeeded: true, words: "" });
        expect((await pull(name, reference, login("bob", bob))).succeeded, name).toBe(false);
        expect((await pull(name, reference, login("alice", bob))).succeeded, name).toBe(false);
        // Beside it the file goes on.
        expect((await pull(name, reference, login("alice"))).succeeded, name).toBe(true);
      }
    },
    120_000,
  );

  test("a workload's own, shown as a password: every client logs in with it", async () => {
    const issuer = await startFakeIssuer();
    issuer.keys = [jwkOf(key, { kid: "1" })];
    const bearer = { oidc: [{ issuer: issuer.issuer, audiences: ["registry"], claimMapping: { username: "claims.sub" } }] };
    await using one = await startOverheard({ auth: { bearer }, accessControl: openBeside });
    const shown = (sub: string, more: object = {}): Shown =>
      login("whoever", signToken(key, claims({ iss: issuer.issuer, aud: "registry", sub, ...more }), { kid: "1" }));
    for (const name of runnable) {
      const reference = `${one.host}/team/app:1`;
      expect(await pull(name, reference, shown("alice")), name).toEqual({ succeeded: true, words: "" });
      expect(
        one.asked().filter((line) => line.includes("/zot/auth/token")),
        name,
      ).not.toEqual([]);
      expect((await pull(name, reference, shown("bob"))).words, name).toMatch(name === "ctr" ? /403 Forbidden/ : bobMayNot);
      expect((await pull(name, reference, shown("alice", { aud: "elsewhere" }))).succeeded, name).toBe(false);
      expect((await pull(name, reference, login("alice"))).succeeded, name).toBe(false);
    }
    await issuer.close();
  }, 120_000);
});

test("client certificates: the right one pulls, another's and none do not, and what is open needs none", async () => {
  const authority = await createTestAuthority(folder.path);
  const own = await authority.issue();
  const tls = { cert: own.certificateFile, key: own.keyFile, cacert: authority.certificateFile };
  await using guarded = await startGuardedServer({ repositories, config: { http: { tls, accessControl: openBeside } } });
  const authorityFile = authority.certificateFile;
  const [alice, bob, expired] = [
    await authority.issue({ commonName: "alice" }),
    await authority.issue({ commonName: "bob" }),
    await authority.issue({ commonName: "alice", isExpired: true }),
  ];
  for (const name of runnable.filter((client) => client !== "docker")) {
    const client = clients.get(name);
    const codeOf = async (path: string, shown: Partial<IssuedCertificate>) =>
      (await client?.pull(`${guarded.server.host}/${path}:1`, nothing, { ...shown, authorityFile }))?.code === 0;
    expect([await codeOf("team/app", alice), await codeOf("team/app", bob), await codeOf("team/app", expired), await codeOf("team/app", {})], name).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(await codeOf("open/app", {}), name).toBe(true);
  }
}, 120_000);
