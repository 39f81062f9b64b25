/** Clients known by tokens of others, by tokens of our own, and by certificates: what they get over real sockets. */
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";
import { SignJWT, exportJWK, type JWTPayload } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runLine } from "../cli/captured-io.ts";
import { createTestAuthority, type IssuedCertificate, type TestAuthority } from "../support/certificates.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { lookUntil } from "../support/looking.ts";
import { startUntiringClients } from "../support/untiring-clients.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const issuer = "https://tokens.example.com";
const pull = (name: string) => [{ type: "repository", name, actions: ["pull"] }];

async function token(claims: JWTPayload, { lifeSeconds = 300, subject = "alice" } = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  return await new SignJWT({ iss: issuer, sub: subject, aud: "registry", iat: now, exp: now + lifeSeconds, ...claims })
    .setProtectedHeader({ alg: "ES256" })
    .sign(privateKey);
}

async function ask(guarded: GuardedServer, path: string, bearer?: string, method = "GET") {
  const answer = await guarded.get(path, { method, ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }) });
  return { status: answer.status, challenge: answer.headers.get("www-authenticate") };
}

describe("tokens of a token service", () => {
  let folder: TemporaryFolder;
  let guarded: GuardedServer;
  const challenge = (scope: string, error?: string) =>
    `Bearer realm="${issuer}/token",service="registry"${scope === "" ? "" : `,scope="${scope}"`}${error === undefined ? "" : `,error="${error}"`}`;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const cert = join(folder.path, "key.pem");
    await writeFile(cert, publicKey.export({ type: "spki", format: "pem" }));
    guarded = await startGuardedServer({
      repositories: ["a/b", "a/c", "denied/x"],
      users: ["a"],
      config: { auth: { htpasswd: { path: "HTPASSWD" }, bearer: { realm: `${issuer}/token`, service: "registry", issuer, cert } } },
      registries: (upstream) => [
        { name: "docker.io", endpoints: [upstream.url], originFallback: false },
        { name: "other.test:5000", aliases: ["other"], endpoints: [upstream.url], originFallback: false },
      ],
    });
  });
  afterAll(async () => {
    await guarded?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  test("without one: a challenge for what was asked, on HEAD too", async () => {
    expect(await ask(guarded, "/v2/")).toEqual({ status: 401, challenge: challenge("") });
    for (const method of ["GET", "HEAD"]) {
      expect(await ask(guarded, "/v2/a/b/manifests/1", undefined, method)).toEqual({ status: 401, challenge: challenge("repository:a/b:pull") });
    }
    expect(await ask(guarded, "/v2/_catalog")).toEqual({ status: 401, challenge: challenge("registry:catalog:*") });
    expect(await ask(guarded, "/v2/a/b/manifests/1", undefined, "PUT")).toEqual({ status: 401, challenge: challenge("repository:a/b:pull,push") });
  });

  test("a token opens what it names, and nothing else", async () => {
    const good = await token({ access: pull("a/b") });
    expect((await ask(guarded, "/v2/", good)).status).toBe(200);
    expect((await ask(guarded, "/v2/a/b/manifests/1", good)).status).toBe(200);
    expect(await ask(guarded, "/v2/a/c/manifests/1", good)).toEqual({ status: 401, challenge: challenge("repository:a/c:pull", "insufficient_scope") });
    expect(await ask(guarded, "/v2/a/b/manifests/1", good, "PUT")).toEqual({
      status: 401,
      challenge: challenge("repository:a/b:pull,push", "insufficient_scope"),
    });
    expect((await ask(guarded, "/v2/_catalog", good)).status).toBe(401);
    expect((await ask(guarded, "/v2/_catalog", await token({ access: [{ type: "registry", name: "catalog", actions: ["*"] }] }))).status).toBe(200);
  });

  test("a token for a bare name opens no other upstream's, and is asked for by an alias", async () => {
    const bare = await token({ access: pull("a/b") });
    expect(await ask(guarded, "/v2/a/b/manifests/1?ns=other", bare)).toEqual({
      status: 401,
      challenge: challenge("repository:other/a/b:pull", "insufficient_scope"),
    });
    expect((await ask(guarded, "/v2/a/b/manifests/1?ns=other", await token({ access: pull("other/a/b") }))).status).toBe(200);
    expect((await ask(guarded, "/v2/a/b/manifests/1", await token({ access: pull("other/a/b") }))).status).toBe(401);
  });

  test.each([
    ["expired", async () => token({ access: pull("a/b") }, { lifeSeconds: -120 })],
    ["for another service", async () => token({ access: pull("a/b"), aud: "elsewhere" })],
    ["of another issuer", async () => token({ access: pull("a/b"), iss: "https://evil.example.com" })],
    ["garbage", async () => "x.y.z"],
  ])("one that is %s is 401 with a challenge that says so", async (_, make) => {
    expect(await ask(guarded, "/v2/a/b/manifests/1", await make())).toEqual({ status: 401, challenge: challenge("repository:a/b:pull", "invalid_token") });
  });

  test("passwords are dead then", async () => {
    expect((await guarded.get("/v2/", { user: "a" })).status).toBe(401);
  });
});

test("a token opens no more than policies do", async () => {
  await using folder = await temporaryFolder();
  const cert = join(folder.path, "keys.json");
  await writeFile(cert, JSON.stringify({ keys: [await exportJWK(publicKey)] }));
  await using guarded = await startGuardedServer({
    repositories: ["a/b", "open/x"],
    config: {
      auth: { bearer: { realm: `${issuer}/token`, service: "registry", cert } },
      accessControl: { repositories: { "a/**": { policies: [{ users: ["alice"], actions: ["read"] }] }, "open/**": { anonymousPolicy: ["read"] } } },
    },
  });
  expect((await ask(guarded, "/v2/a/b/manifests/1", await token({ access: pull("a/b") }))).status).toBe(200);
  expect(await ask(guarded, "/v2/a/b/manifests/1", await token({ access: pull("a/b") }, { subject: "mallory" }))).toEqual({ status: 403, challenge: null });
  expect((await ask(guarded, "/v2/open/x/manifests/1")).status).toBe(200);
  expect((await ask(guarded, "/v2/")).status).toBe(401);
});

test("workloads show tokens of their issuer, found by discovery", async () => {
  const requests: string[] = [];
  const provider = createServer((incoming, outgoing) => {
    void exportJWK(publicKey).then((jwk) => {
      requests.push(incoming.url ?? "");
      const own = `http://127.0.0.1:${portOf(provider)}`;
      const isDiscovery = incoming.url === "/.well-known/openid-configuration";
      outgoing.end(JSON.stringify(isDiscovery ? { issuer: own, jwks_uri: `${own}/keys` } : { keys: [{ ...jwk, kid: "1", alg: "ES256" }] }));
    });
  });
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const own = `http://127.0.0.1:${portOf(provider)}`;
  await using guarded = await startGuardedServer({
    repositories: ["a/b"],
    config: {
      auth: { bearer: { oidc: [{ issuer: own, audiences: ["registry"], claimMapping: { username: "claims.sub", groups: "claims.teams" } }] } },
      accessControl: { repositories: { "a/**": { policies: [{ groups: ["dev"], actions: ["read"] }] } } },
    },
  });
  expect(requests).toEqual([]);
  expect((await ask(guarded, "/v2/a/b/manifests/1", await token({ iss: own, teams: ["dev"] }))).status).toBe(200);
  expect((await ask(guarded, "/v2/a/b/manifests/1", await token({ iss: own, teams: ["ops"] }))).status).toBe(403);
  expect((await ask(guarded, "/v2/a/b/manifests/1", await token({ iss: own, teams: ["dev"], aud: "elsewhere" }))).status).toBe(401);
  expect((await ask(guarded, "/v2/a/b/manifests/1")).status).toBe(401);
  expect(requests).toEqual(["/.well-known/openid-configuration", "/keys"]);
  await new Promise((resolve) => provider.close(resolve));
});

describe("our own token service", () => {
  let guarded: GuardedServer;
  beforeAll(async () => {
    guarded = await startGuardedServer({
      repositories: ["open/app", "team/app"],
      users: ["a", "b"],
      config: {
        auth: { htpasswd: { path: "HTPASSWD" }, tokenService: "builtin" },
        accessControl: {
          repositories: { "open/**": { anonymousPolicy: ["read"], defaultPolicy: ["read"] }, "team/**": { policies: [{ users: ["a"], actions: ["read"] }] } },
        },
      },
    });
  });
  afterAll(() => guarded?.[Symbol.asyncDispose]());

  async function tokenFor(scope: string, user?: string): Promise<string> {
    const answer = await guarded.get(`/zot/auth/token?service=ociregistry&scope=${encodeURIComponent(scope)}`, { user });
    expect(answer.status).toBe(200);
    return ((await answer.json()) as { token: string }).token;
  }

  test("its challenge leads to it, at the address by which the client came", async () => {
    expect(await ask(guarded, "/v2/")).toEqual({ status: 401, challenge: `Bearer realm="${guarded.server.url}/zot/auth/token",service="ociregistry"` });
  });

  test("gives everybody a token for what that one may", async () => {
    const [open, team] = ["repository:open/app:pull", "repository:team/app:pull"];
    expect((await ask(guarded, "/v2/open/app/manifests/1", await tokenFor(open))).status).toBe(200);
    expect((await ask(guarded, "/v2/team/app/manifests/1", await tokenFor(team))).status).toBe(401);
    expect((await ask(guarded, "/v2/team/app/manifests/1", await tokenFor(team, "a"))).status).toBe(200);
    expect((await ask(guarded, "/v2/team/app/manifests/1", await tokenFor(team, "b"))).status).toBe(403);
    expect((await ask(guarded, "/v2/open/app/manifests/1", await tokenFor(team, "a"))).status).toBe(401);
  });

  test("a wrong password gets no token; a good one is taken without a token too", async () => {
    expect((await guarded.get("/zot/auth/token", { authorization: basic("a", "wrong") })).status).toBe(401);
    expect((await guarded.get("/v2/team/app/manifests/1", { user: "a" })).status).toBe(200);
    expect((await guarded.get("/v2/open/app/manifests/1")).status).toBe(200);
  });

  test("takes a form, and gives a refresh token that stands for the user", async () => {
    const form = { grant_type: "password", username: "a", password: "a-password", service: "ociregistry", client_id: "x", access_type: "offline" };
    const post = async (fields: Record<string, string>) =>
      await fetch(`${guarded.server.url}/token`, { method: "POST", body: new URLSearchParams({ scope: "repository:team/app:pull", ...fields }) });
    const first = (await (await post(form)).json()) as { refresh_token: string };
    const again = await post({ grant_type: "refresh_token", refresh_token: first.refresh_token, service: "ociregistry", client_id: "x" });
    const { access_token: renewed } = (await again.json()) as { access_token: string };
    expect((await ask(guarded, "/v2/team/app/manifests/1", renewed)).status).toBe(200);
  });

  test("a refresh token is over for a server that runs, once the command has said so, and nobody else's is", async () => {
    const post = async (fields: Record<string, string>) =>
      await fetch(`${guarded.server.url}/token`, { method: "POST", body: new URLSearchParams({ service: "ociregistry", client_id: "x", ...fields }) });
    const loginOf = async (user: string): Promise<string> => {
      const answer = await post({ grant_type: "password", username: user, password: `${user}-password`, access_type: "offline" });
      return ((await answer.json()) as { refresh_token: string }).refresh_token;
    };
    const isGood = async (token: string): Promise<boolean> => (await post({ grant_type: "refresh_token", refresh_token: token })).status === 200;
    const [a, b] = [await loginOf("a"), await loginOf("b")];
    expect([await isGood(a), await isGood(b)]).toEqual([true, true]);
    const outcome = await runLine(`auth revoke --user a --config-file ${guarded.server.configFile}`);
    expect([outcome.code, outcome.out]).toEqual([0, expect.stringMatching(/^\d+ refresh tokens? of a revoked\n0 sessions of a ended\n$/)]);
    expect([await isGood(a), await isGood(b)]).toEqual([false, true]);
    expect((await runLine(`auth revoke --all --config-file ${guarded.server.configFile}`)).code).toBe(0);
    expect([await isGood(b), await isGood(await loginOf("b"))]).toEqual([false, true]);
  });
});

describe("client certificates", () => {
  let folder: TemporaryFolder;
  let authority: TestAuthority;
  let server: IssuedCertificate;
  beforeAll(async () => {
    folder = await temporaryFolder();
    authority = await createTestAuthority(folder.path);
    server = await authority.issue();
  });
  afterAll(() => folder?.[Symbol.asyncDispose]());

  const tls = () => ({ cert: server.certificateFile, key: server.keyFile, cacert: authority.certificateFile });

  /** The status, or "cut". */
  function get(
    guarded: GuardedServer,
    path: string,
    { client, authorization, headers = {} }: { client?: IssuedCertificate; authorization?: string; headers?: Record<string, string> } = {},
  ): Promise<number | "cut"> {
    return new Promise((resolve) => {
      const certificate = client ? { cert: client.certificate, key: client.key } : {};
      const outgoing = httpsRequest(
        {
          host: "127.0.0.1",
          port: guarded.server.port,
          path,
          ca: authority.certificate,
          agent: false,
          headers: authorization === undefined ? headers : { ...headers, authorization },
          ...certificate,
        },
        (incoming) => {
          incoming.resume();
          resolve(incoming.statusCode ?? 0);
        },
      );
      outgoing.on("error", () => resolve("cut"));
      outgoing.end();
    });
  }

  test("alone: a valid one is its common name, none is 401, another authority's is cut off", async () => {
    await using strangers = await temporaryFolder();
    const stranger = await (await createTestAuthority(strangers.path)).issue({ commonName: "x" });
    const accessControl = { repositories: { "team/**": { policies: [{ users: ["x"], actions: ["read"] }] }, "open/**": { anonymousPolicy: ["read"] } } };
    await using guarded = await startGuardedServer({ repositories: ["team/app", "open/app"], config: { http: { tls: tls(), accessControl } } });
    const [x, y, expired] = [
      await authority.issue({ commonName: "x" }),
      await authority.issue({ commonName: "y" }),
      await authority.issue({ commonName: "x", isExpired: true }),
    ];
    expect(await get(guarded, "/v2/team/app/manifests/1", { client: x })).toBe(200);
    expect(await get(guarded, "/v2/team/app/manifests/1", { client: y })).toBe(403);
    expect(await get(guarded, "/v2/team/app/manifests/1")).toBe(401);
    expect(await get(guarded, "/v2/open/app/manifests/1")).toBe(200);
    expect(await get(guarded, "/v2/open/app/manifests/1", { authorization: basic("a") })).toBe(401);
    expect(await get(guarded, "/v2/open/app/manifests/1", { client: stranger })).toBe("cut");
    expect(await get(guarded, "/v2/open/app/manifests/1", { client: expired })).toBe("cut");
  });

  test("beside passwords: a password that is shown decides", async () => {
    const auth = { htpasswd: { path: "HTPASSWD" } };
    const accessControl = { repositories: { "**": { policies: [{ users: ["a"], actions: ["read"] }] } } };
    await using guarded = await startGuardedServer({ repositories: ["team/app"], users: ["a"], config: { auth, accessControl, http: { tls: tls() } } });
    const client = await authority.issue({ commonName: "x" });
    const path = "/v2/team/app/manifests/1";
    expect([
      await get(guarded, path, { client }),
      await get(guarded, path, { client, authorization: basic("a") }),
      await get(guarded, path, { client, authorization: basic("a", "wrong") }),
    ]).toEqual([403, 200, 401]);
  });

  test("a valid one without a usable name is nobody's, not anybody's", async () => {
    const auth = { mtls: { identityAttributes: ["URI"], uriSanPattern: "spiffe://example\\.org/workload/([a-z]+)" } };
    const accessControl = { repositories: { "open/**": { anonymousPolicy: ["read"] }, "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] } } };
    await using guarded = await startGuardedServer({ repositories: ["open/app", "team/app"], config: { auth, accessControl, http: { tls: tls() } } });
    const named = async (uri: string) => await authority.issue({ commonName: "alice", names: [`URI:${uri}`] });
    const [alice, evil] = [await named("spiffe://example.org/workload/alice"), await named("spiffe://evil/spiffe://example.org/workload/alice")];
    expect(await get(guarded, "/v2/team/app/manifests/1", { client: alice })).toBe(200);
    expect(await get(guarded, "/v2/team/app/manifests/1", { client: evil })).toBe(401);
    expect(await get(guarded, "/v2/open/app/manifests/1", { client: evil })).toBe(401);
    expect(await get(guarded, "/v2/open/app/manifests/1", { client: await authority.issue() })).toBe(401);
  });

  test("certificate and rules are exchanged under load, and no request fails", async () => {
    const rules = (user: string) => ({ repositories: { "team/**": { policies: [{ users: [user], actions: ["read"] }] } } });
    const first = await authority.issue();
    const files = { cert: join(folder.path, "live.pem"), key: join(folder.path, "live.key"), cacert: authority.certificateFile };
    await copyFile(first.certificateFile, files.cert);
    await copyFile(first.keyFile, files.key);
    const config = { http: { tls: files }, accessControl: rules("x") };
    await using guarded = await startGuardedServer({ repositories: ["team/app"], config });
    const [x, y] = [await authority.issue({ commonName: "x" }), await authority.issue({ commonName: "y" })];
    const path = "/v2/team/app/manifests/1";
    expect([await get(guarded, path, { client: x }), await get(guarded, path, { client: y })]).toEqual([200, 403]);

    const seen = new Set<number | "cut">();
    await using crowd = startUntiringClients(16, async () => seen.add(await get(guarded, "/v2/", { client: x })));
    const second = await authority.issue();
    await copyFile(second.certificateFile, files.cert);
    await copyFile(second.keyFile, files.key);
    const written = JSON.parse(await readFile(guarded.server.configFile, "utf8")) as object;
    await writeFile(guarded.server.configFile, JSON.stringify({ ...written, accessControl: rules("y") }));
    await lookUntil(
      () => get(guarded, path, { client: y }),
      (status) => status === 200,
      { waitMs: 60_000 },
    );
    expect([await get(guarded, path, { client: x }), await get(guarded, path, { client: y })]).toEqual([403, 200]);
    expect(await shownSerial(guarded)).toBe(new X509Certificate(second.certificate).serialNumber);
    await crowd.stop();
    expect([...seen]).toEqual([200]);
  }, 180_000);

  function shownSerial(guarded: GuardedServer): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port: guarded.server.port, ca: authority.certificate }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on("error", reject);
    });
  }

  test("a certificate on a revocation list is cut off", async () => {
    const [good, bad] = [await authority.issue({ commonName: "x" }), await authority.issue({ commonName: "x" })];
    const crlFile = await authority.revoke([bad]);
    await using guarded = await startGuardedServer({ repositories: ["team/app"], config: { auth: { mtls: { crlFile } }, http: { tls: tls() } } });
    expect([await get(guarded, "/v2/", { client: good }), await get(guarded, "/v2/", { client: bad })]).toEqual([200, "cut"]);
  });

  test("what a header says of a certificate is nobody's word", async () => {
    await using guarded = await startGuardedServer({ repositories: ["team/app"], config: { http: { tls: tls() } } });
    for (const name of ["x-ssl-client-cert", "x-forwarded-client-cert", "ssl-client-verify", "x-forwarded-user"]) {
      expect(await get(guarded, "/v2/", { headers: { [name]: "CN=x" } })).toBe(401);
    }
  });
});

function portOf(server: ReturnType<typeof createServer>): number {
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}
