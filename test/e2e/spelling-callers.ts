/** Callers: for each method of authentication a server, those who come to it, and what each of them gets under any spelling of one name. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createTestAuthority, type IssuedCertificate } from "../support/certificates.ts";
import type { FakeUpstream } from "../support/fake-upstream.ts";
import { startFakeIssuer } from "../support/fake-issuer.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { ellipticKey, jwkOf, publicPem, signToken, type SigningKey } from "../support/signed-tokens.ts";
import { directoryBase, startSlapd } from "../support/slapd.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** What a request shows. */
export interface Shown {
  readonly authorization?: string;
  readonly client?: IssuedCertificate;
}

export interface Caller {
  readonly who: string;
  /** The status under each spelling of the name; 0: the connection is cut. */
  readonly status: number;
  /** The status under each spelling of the same path of the other registry. */
  readonly elsewhere: number;
  /** Lets its holder in, whatever that one may then: who is inside may learn that a path means nothing. */
  readonly isLetIn: boolean;
  /** `challenge` is what one who shows nothing is told at the same place. */
  readonly show: (challenge: () => Promise<string>) => Shown | Promise<Shown>;
}

export interface CallersServer {
  readonly guarded: GuardedServer;
  readonly callers: readonly Caller[];
  /** Of the authority that its certificate is of, when it speaks TLS. */
  readonly ca?: string;
}

export interface Method {
  readonly name: string;
  readonly programs: readonly string[];
  readonly start: (stack: AsyncDisposableStack) => Promise<CallersServer>;
}

const stranger = { users: ["stranger"], actions: ["read"] };

/** `reader` may read the one name, `stranger` may read about everything but it. */
const rules = {
  repositories: {
    "**": {},
    "library/app": { policies: [{ users: ["reader"], actions: ["read"] }] },
    "*/**": { policies: [stranger] },
    "other.test:5000/library/*": { policies: [stranger] },
  },
};

const nobody: Caller = { who: "nobody", status: 401, elsewhere: 401, isLetIn: false, show: () => ({}) };
const reader = (show: Caller["show"], who = "reader"): Caller => ({ who, status: 200, elsewhere: 403, isLetIn: true, show });
const outsider = (show: Caller["show"]): Caller => ({ who: "stranger", status: 403, elsewhere: 200, isLetIn: true, show });
const wrong = (who: string, show: Caller["show"], status = 401): Caller => ({ who, status, elsewhere: status, isLetIn: status === 403, show });

export const methods: readonly Method[] = [
  { name: "htpasswd", programs: ["htpasswd"], start: withHtpasswd },
  { name: "ldap", programs: ["htpasswd", "slapd", "ldapmodify"], start: withLdap },
  { name: "client certificates", programs: ["htpasswd", "openssl"], start: withCertificates },
  { name: "tokens of a token service", programs: ["htpasswd"], start: withBearer },
  { name: "tokens of workloads", programs: ["htpasswd"], start: withWorkloads },
  { name: "our own tokens", programs: ["htpasswd"], start: withOwnTokens },
  { name: "API keys", programs: ["htpasswd"], start: withKeys },
  { name: "nobody, where the name is open to all", programs: ["htpasswd"], start: withOpenName },
  { name: "nobody, where all but the name is open", programs: ["htpasswd"], start: withLockedName },
];

async function withHtpasswd(stack: AsyncDisposableStack): Promise<CallersServer> {
  const guarded = await start(stack, { auth: { htpasswd: { path: "HTPASSWD" } }, accessControl: rules }, ["reader", "stranger"]);
  return { guarded, callers: [nobody, ...passwordCallers("password")] };
}

async function withLdap(stack: AsyncDisposableStack): Promise<CallersServer> {
  const { path } = stack.use(await temporaryFolder());
  const slapd = stack.use(await startSlapd(path));
  const person = (uid: string): string =>
    `dn: uid=${uid},ou=people,${directoryBase}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\nuserPassword: ${uid}-secret\n`;
  await slapd.add(`${person("reader")}\n${person("stranger")}`);
  const ldap = { address: "127.0.0.1", port: slapd.port, insecure: true, baseDN: `ou=people,${directoryBase}`, userAttribute: "uid" };
  const guarded = await start(stack, { auth: { ldap }, accessControl: rules });
  return { guarded, callers: [nobody, ...passwordCallers("secret")] };
}

function passwordCallers(ending: string): readonly Caller[] {
  return [
    wrong("reader with a wrong password", () => ({ authorization: basic("reader", "wrong") })),
    outsider(() => ({ authorization: basic("stranger", `stranger-${ending}`) })),
    reader(() => ({ authorization: basic("reader", `reader-${ending}`) })),
  ];
}

async function withKeys(stack: AsyncDisposableStack): Promise<CallersServer> {
  // Its owner may read both names: what is open of them is the scope's word.
  const repositories = { "**": {}, "*/**": { defaultPolicy: ["read"] }, "other.test:5000/library/*": { defaultPolicy: ["read"] } };
  const guarded = await start(stack, { auth: { htpasswd: { path: "HTPASSWD" }, apikey: true }, accessControl: { repositories } }, ["reader"]);
  const keyFor = async (pattern: string): Promise<string> => {
    const body = JSON.stringify({ label: pattern, scope: { repositories: [pattern], actions: ["read"] } });
    const answer = await fetch(`${guarded.server.url}/zot/auth/apikey`, { method: "POST", headers: { authorization: basic("reader") }, body });
    return ((await answer.json()) as { apiKey: string }).apiKey; // One of its members.
  };
  const [here, elsewhere] = [await keyFor("library/app"), await keyFor("other.test:5000/library/*")];
  return {
    guarded,
    callers: [
      nobody,
      wrong("reader with a key that is none", () => ({ authorization: basic("reader", `zak_${"0".repeat(32)}`) })),
      wrong("stranger with reader's key", () => ({ authorization: basic("stranger", here) })),
      outsider(() => ({ authorization: basic("reader", elsewhere) })),
      reader(() => ({ authorization: basic("reader", here) }), "a key for the name"),
    ],
  };
}

async function withCertificates(stack: AsyncDisposableStack): Promise<CallersServer> {
  const [{ path }, { path: strangersPath }] = [stack.use(await temporaryFolder()), stack.use(await temporaryFolder())];
  const [authority, strangers] = [await createTestAuthority(path), await createTestAuthority(strangersPath)];
  const server = await authority.issue();
  const tls = { cert: server.certificateFile, key: server.keyFile, cacert: authority.certificateFile };
  const guarded = await start(stack, { http: { tls, accessControl: rules } });
  const [known, other, forged] = [
    await authority.issue({ commonName: "reader" }),
    await authority.issue({ commonName: "stranger" }),
    await strangers.issue({ commonName: "reader" }),
  ];
  const callers = [
    nobody,
    wrong("reader of another authority", () => ({ client: forged }), 0),
    outsider(() => ({ client: other })),
    reader(() => ({ client: known })),
  ];
  return { guarded, callers, ca: authority.certificate };
}

async function withBearer(stack: AsyncDisposableStack): Promise<CallersServer> {
  const { path } = stack.use(await temporaryFolder());
  const [key, otherKey] = [ellipticKey(), ellipticKey()];
  const [cert, issuer] = [join(path, "key.pem"), "https://tokens.example.com"];
  await writeFile(cert, publicPem(key));
  const guarded = await start(stack, { auth: { bearer: { realm: `${issuer}/token`, service: "registry", issuer, cert } }, accessControl: rules });
  const token = (subject: string, names: readonly string[], by = key): Shown => {
    const access = names.map((name) => ({ type: "repository", name, actions: ["pull"] }));
    return bearer(by, { iss: issuer, sub: subject, aud: "registry", access });
  };
  const asked = async (challenge: () => Promise<string>): Promise<readonly string[]> => [
    /scope="repository:(.+):pull"/.exec(await challenge())?.[1] ?? "no scope",
  ];
  const callers = [
    nobody,
    wrong("reader with a token of another key", async (challenge) => token("reader", await asked(challenge), otherKey)),
    { ...reader(() => token("reader", ["team/app", "app/library", "library/app/app", "library/*", "**"]), "reader with a token for other names"), status: 401 },
    outsider(async (challenge) => token("stranger", await asked(challenge))),
    reader(async (challenge) => token("reader", await asked(challenge))),
    // A token means the same however it names the repository, and however the request does.
    ...["library/app", "docker.io/library/app", "hub/library/app"].map((name) => reader(() => token("reader", [name]), `reader with a token for ${name}`)),
  ];
  return { guarded, callers };
}

async function withWorkloads(stack: AsyncDisposableStack): Promise<CallersServer> {
  const key = ellipticKey();
  const provider = await startFakeIssuer();
  stack.defer(() => provider.close());
  provider.keys = [jwkOf(key, { kid: "1" })];
  const { issuer } = provider;
  const oidc = [{ issuer, audiences: ["registry"], claimMapping: { username: "claims.sub" } }];
  const guarded = await start(stack, { auth: { bearer: { oidc } }, accessControl: rules });
  const token = (subject: string, claims: object = {}): Shown => bearer(key, { iss: issuer, sub: subject, aud: "registry", ...claims }, { kid: "1" });
  const callers = [
    nobody,
    wrong("reader with a token for another service", () => token("reader", { aud: "elsewhere" })),
    outsider(() => token("stranger")),
    reader(() => token("reader")),
  ];
  return { guarded, callers };
}

async function withOwnTokens(stack: AsyncDisposableStack): Promise<CallersServer> {
  const auth = { htpasswd: { path: "HTPASSWD" }, tokenService: "builtin" };
  const guarded = await start(stack, { auth, accessControl: rules }, ["reader", "stranger"]);
  /** As clients do: whatever the challenge says, with a password. */
  const followed = async (user: string, challenge: () => Promise<string>): Promise<Shown> => {
    const told = await challenge();
    const [realm = "", service = "", scope = ""] = ["realm", "service", "scope"].map((name) => new RegExp(`${name}="([^"]*)"`).exec(told)?.[1]);
    const answer = await fetch(`${realm}?${new URLSearchParams({ service, scope }).toString()}`, { headers: { authorization: basic(user) } });
    return { authorization: `Bearer ${((await answer.json()) as { token: string }).token}` };
  };
  const bare = `Bearer realm="${guarded.server.url}/token",service="ociregistry",scope="repository:library/app:pull"`;
  const kept = await followed("reader", async () => bare);
  const callers = [
    nobody,
    wrong("reader with a wrong password", () => ({ authorization: basic("reader", "wrong") })),
    outsider((challenge) => followed("stranger", challenge)),
    reader((challenge) => followed("reader", challenge)),
    reader(() => kept, "reader with a token for the bare name"),
    reader(() => ({ authorization: basic("reader") }), "reader with a password"),
  ];
  return { guarded, callers };
}

async function withOpenName(stack: AsyncDisposableStack): Promise<CallersServer> {
  const accessControl = { repositories: { "**": {}, "library/app": { anonymousPolicy: ["read"] } } };
  const guarded = await start(stack, { auth: { htpasswd: { path: "HTPASSWD" } }, accessControl }, ["reader"]);
  const callers: readonly Caller[] = [
    wrong("reader with a wrong password", () => ({ authorization: basic("reader", "wrong") })),
    wrong("reader, who has a name", () => ({ authorization: basic("reader") }), 403),
    { ...nobody, status: 200, isLetIn: true },
    { ...nobody, who: "nobody, as skopeo says it", status: 200, isLetIn: true, show: () => ({ authorization: "Basic Og==" }) },
  ];
  return { guarded, callers };
}

async function withLockedName(stack: AsyncDisposableStack): Promise<CallersServer> {
  const accessControl = { repositories: { "**": { anonymousPolicy: ["read"] }, "library/app": {}, "other.test:5000/**": { anonymousPolicy: ["read"] } } };
  const guarded = await start(stack, { accessControl });
  return { guarded, callers: [{ ...nobody, elsewhere: 200, isLetIn: true }] };
}

function bearer(key: SigningKey, claims: object, header: Readonly<Record<string, unknown>> = {}): Shown {
  const now = Math.floor(Date.now() / 1_000);
  return { authorization: `Bearer ${signToken(key, { iat: now, exp: now + 3_600, ...claims }, header)}` };
}

async function start(stack: AsyncDisposableStack, config: object, users: readonly string[] = []): Promise<GuardedServer> {
  const registries = (upstream: FakeUpstream): readonly object[] => [
    { name: "docker.io", aliases: ["hub"], endpoints: [upstream.url], originFallback: false },
    { name: "other.test:5000", aliases: ["other"], endpoints: [upstream.url], originFallback: false },
  ];
  // Each read is confirmed upstream: under which name shows there.
  return stack.use(await startGuardedServer({ repositories: ["library/app"], users, config: { tagTtl: "0s", ...config }, registries }));
}
