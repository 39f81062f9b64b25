/** Who is let in, by which method, and what the answers look like: zot's decisions over a real socket. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startUntiringClients } from "../support/untiring-clients.ts";
import { basic, rawStatus, startGuardedServer, type AskOptions, type GuardedServer } from "../support/guarded-server.ts";

const htpasswd = { auth: { htpasswd: { path: "HTPASSWD" } } };
const challenge = 'Basic realm="Authorization Required"';
const anonymousOnTmp = { repositories: { "**": { defaultPolicy: ["read"] }, "tmp/**": { anonymousPolicy: ["read"], defaultPolicy: ["read"] } } };
const dockerAgents = ["docker/28.2.2 go/go1.24.3", "Docker-Client/28.2.2 (linux)"];

/** What became of it, and how long it took. */
async function ask(guarded: GuardedServer, path: string, options: AskOptions = {}) {
  const startMs = performance.now();
  const answer = await guarded.get(path, options);
  const body = await answer.text();
  return { status: answer.status, challenge: answer.headers.get("www-authenticate"), body, ms: performance.now() - startMs, headers: answer.headers };
}

async function statusOf(guarded: GuardedServer, path: string, options?: AskOptions): Promise<number> {
  return (await ask(guarded, path, options)).status;
}

describe("htpasswd", () => {
  let guarded: GuardedServer;
  beforeAll(async () => {
    guarded = await startGuardedServer({ repositories: ["library/app"], config: htpasswd, users: ["a", "b"] });
  });
  afterAll(() => guarded?.[Symbol.asyncDispose]());
  beforeEach(() => guarded.upstream.forget());

  test("nobody gets in without a credential: 401 with a challenge, JSON, and nothing asked upstream", async () => {
    for (const path of ["/v2/", "/v2", "/v2/library/app/manifests/1", "/v2/_catalog", "/v2/library/app/tags/list", "/metrics", "/v2/nothing"]) {
      for (const method of ["GET", "HEAD"]) {
        const { status, challenge: shown, body, headers } = await ask(guarded, path, { method });
        expect({ path, method, status, shown }).toEqual({ path, method, status: 401, shown: challenge });
        expect(headers.get("content-type")).toBe("application/json");
        if (method === "GET") expect(JSON.parse(body)).toEqual({ errors: [{ code: "UNAUTHORIZED", message: expect.any(String) }] });
      }
    }
    expect(guarded.upstream.requests).toEqual([]);
  });

  test("a good password gets 200, and /v2/ says how one logs in there too", async () => {
    expect(await ask(guarded, "/v2/", { user: "a" })).toMatchObject({ status: 200, challenge });
    expect(await statusOf(guarded, "/v2/library/app/manifests/1", { user: "a" })).toBe(200);
  });

  test.each([
    ["a wrong password", basic("a", "wrong")],
    ["an unknown user", basic("nobody", "a-password")],
    ["a token", "Bearer x"],
    ["no base64", "Basic %%%"],
    ["no colon", `Basic ${Buffer.from("a").toString("base64")}`],
    ["no name", basic("", "x")],
    ["another scheme", "Digest username=a"],
  ])("%s is 401, with the same body as any other", async (_, authorization) => {
    const refused = await ask(guarded, "/v2/library/app/manifests/1", { authorization });
    expect(refused).toMatchObject({ status: 401, challenge });
    expect(refused.body).toBe((await ask(guarded, "/v2/library/app/manifests/1", { authorization: basic("a", "wrong too") })).body);
  });

  test("two Authorization headers are 401 in either order", async () => {
    for (const lines of [
      [basic("a"), basic("b")],
      [basic("a"), "Bearer x"],
      ["Bearer x", basic("a")],
    ]) {
      expect(await rawStatus(guarded.server.port, "/v2/", lines)).toBe(401);
    }
    expect(await rawStatus(guarded.server.port, "/v2/", [basic("a")])).toBe(200);
  });

  test("the gate answers before the 405 of a write", async () => {
    for (const [method, path] of [
      ["PUT", "/v2/library/app/manifests/1"],
      ["POST", "/v2/library/app/blobs/uploads/"],
      ["DELETE", "/v2/library/app/manifests/1"],
      ["POST", "/v2/"],
    ] as const) {
      expect([await statusOf(guarded, path, { method }), await statusOf(guarded, path, { method, user: "a" })]).toEqual([401, 405]);
    }
  });

  test("probes are open", async () => {
    for (const path of ["/healthz", "/livez", "/readyz", "/health"]) expect(await statusOf(guarded, path)).toBe(200);
  });

  test("answers are for this client alone", async () => {
    const { headers } = await ask(guarded, "/v2/library/app/manifests/1", { user: "a" });
    expect([headers.get("vary"), headers.get("cache-control")]).toEqual(["Authorization", "private"]);
  });

  test("names that mean nothing tell those outside nothing", async () => {
    expect(await statusOf(guarded, "/v2/docker.io/library/app/manifests/1?ns=other.test")).toBe(401);
    expect(await statusOf(guarded, "/v2/docker.io/library/app/manifests/1?ns=other.test", { user: "a" })).toBe(400);
  });

  test("the log says who, what and why, and holds no password", async () => {
    await ask(guarded, "/v2/library/app/manifests/1", { authorization: basic("a", "se-cr-et"), headers: { "x-request-id": "denied-1" } });
    const line = await lineWith(guarded, /"requestId":"denied-1".*"msg":"access denied"/);
    expect(JSON.parse(line)).toMatchObject({
      level: "info",
      requestId: "denied-1",
      method: "GET",
      client: "127.0.0.1",
      action: "read",
      repository: "docker.io/library/app",
      decision: "denied",
      rule: "authentication",
    });
    expect(guarded.server.process.output).not.toContain("se-cr-et");
    expect(guarded.server.process.output).not.toContain(basic("a", "se-cr-et").slice(6));
  });
});

describe("failDelay", () => {
  const startDelayed = (failDelay: number): Promise<GuardedServer> => startGuardedServer({ config: { auth: { ...htpasswd.auth, failDelay } }, users: ["a"] });

  test("what was shown and is wrong is answered after it", async () => {
    await using guarded = await startDelayed(1);
    for (const authorization of [basic("a", "wrong"), "Bearer x", "Basic %%%"]) {
      const { status, ms } = await ask(guarded, "/v2/", { authorization });
      expect([authorization, status, ms > 990]).toEqual([authorization, 401, true]);
    }
  });

  test("who only asks how one logs in is answered before it", async () => {
    await using guarded = await startDelayed(20);
    for (const options of [{ authorization: "Basic Og==" }, {}]) {
      const { status, ms } = await ask(guarded, "/v2/", options);
      expect([status, ms < 20_000]).toEqual([401, true]);
    }
  });
});

describe("htpasswd beside names that are open to all", () => {
  let guarded: GuardedServer;
  beforeAll(async () => {
    const accessControl = { ...anonymousOnTmp, metrics: { users: ["prom"] }, adminPolicy: { users: ["admin"], actions: ["read"] } };
    guarded = await startGuardedServer({ repositories: ["tmp/app", "team/app"], config: { ...htpasswd, accessControl }, users: ["a", "prom", "admin"] });
  });
  afterAll(() => guarded?.[Symbol.asyncDispose]());

  test.each([
    ["nothing", {}],
    ["an empty login", { authorization: "Basic Og==" }],
  ])("%s reads what is open", async (_, options) => {
    expect(await statusOf(guarded, "/v2/tmp/app/manifests/1", options)).toBe(200);
    expect(await statusOf(guarded, "/v2/team/app/manifests/1", options)).toBe(401);
  });

  test("a wrong password is never taken for none", async () => {
    expect(await statusOf(guarded, "/v2/tmp/app/manifests/1", { authorization: basic("a", "wrong") })).toBe(401);
  });

  test("docker is told to log in at /v2/, others are let in and told how", async () => {
    for (const agent of dockerAgents) {
      for (const path of ["/v2/", "/v2"]) expect(await statusOf(guarded, path, { headers: { "user-agent": agent } })).toBe(401);
      expect(await statusOf(guarded, "/v2/tmp/app/manifests/1", { headers: { "user-agent": agent } })).toBe(200);
    }
    expect(await ask(guarded, "/v2/", { headers: { "user-agent": "containers/5.23" } })).toMatchObject({ status: 200, challenge });
  });

  test("what may not be read looks the same whether it is there or not", async () => {
    const one = await ask(guarded, "/v2/team/app/manifests/1");
    const other = await ask(guarded, "/v2/team/none/manifests/1");
    expect(one.body.replaceAll("team/app", "NAME")).toBe(other.body.replaceAll("team/none", "NAME"));
    expect([one.status, other.status]).toEqual([401, 401]);
  });

  test("metrics are for whom metrics names", async () => {
    const statuses = await Promise.all([undefined, "prom", "a", "admin"].map((user) => statusOf(guarded, "/metrics", { user })));
    expect(statuses).toEqual([401, 200, 403, 403]);
  });

  test("a refusal of somebody who is known is 403 without a challenge", async () => {
    expect(await ask(guarded, "/metrics", { user: "a" })).toMatchObject({ status: 403, challenge: null });
  });
});

describe("names that are open to all, and nothing else", () => {
  test("docker is let in at /v2/ too; metrics are as metrics says", async () => {
    const accessControl = { repositories: { "tmp/**": { anonymousPolicy: ["read"] } }, metrics: { anonymousPolicy: ["read"] } };
    await using guarded = await startGuardedServer({ repositories: ["tmp/app", "b/app"], config: { ...htpasswd, accessControl }, users: ["a"] });
    expect(await statusOf(guarded, "/v2/", { headers: { "user-agent": dockerAgents[0] ?? "" } })).toBe(200);
    expect(await statusOf(guarded, "/v2/tmp/app/manifests/1")).toBe(200);
    expect(await statusOf(guarded, "/v2/tmp/app/manifests/1", { user: "a" })).toBe(403); // Whoever has a name has not the rights of those without.
    expect(await statusOf(guarded, "/metrics")).toBe(200);
    expect(await statusOf(guarded, "/metrics", { user: "a" })).toBe(403);
  });

  test("an accessControl without a method opens nothing", async () => {
    await using guarded = await startGuardedServer({ repositories: ["tmp/app", "b/app"], config: { accessControl: anonymousOnTmp } });
    expect(await statusOf(guarded, "/v2/tmp/app/manifests/1", { authorization: basic("a") })).toBe(200);
    expect(await statusOf(guarded, "/v2/b/app/manifests/1")).toBe(401);
  });

  test("an empty accessControl lets nobody read anything", async () => {
    await using guarded = await startGuardedServer({ repositories: ["b/app"], config: { ...htpasswd, accessControl: {} }, users: ["a"] });
    expect(await statusOf(guarded, "/v2/b/app/manifests/1", { user: "a" })).toBe(403);
    expect(guarded.upstream.requests).toEqual([]);
  });
});

test("without a method everybody is let in, whatever is shown, and nothing is said of it", async () => {
  await using guarded = await startGuardedServer({ repositories: ["b/app"], config: {} });
  for (const authorization of [undefined, basic("a"), "Bearer x"]) {
    const answer = await ask(guarded, "/v2/b/app/manifests/1", authorization === undefined ? {} : { authorization });
    expect(answer.status).toBe(200);
    expect([answer.headers.get("vary"), answer.headers.get("cache-control"), answer.challenge]).toEqual([null, null, null]);
  }
  expect(guarded.server.process.output).toContain("open: everybody who can reach this port may pull");
});

test("an auth that names no method lets everybody in, and the server does not call itself open", async () => {
  await using guarded = await startGuardedServer({ repositories: ["b/app"], config: { auth: { failDelay: 1 } } });
  expect(await statusOf(guarded, "/v2/b/app/manifests/1")).toBe(200);
  expect(guarded.server.process.output).toContain(
    "auth names no way to log in: everybody who can reach this port may pull from the registries that are listed",
  );
  expect(guarded.server.process.output).not.toContain('"msg":"open:');
  expect(await statusOf(guarded, "/v2/unlisted.example/b/app/manifests/1")).toBe(404);
});

test("who may only read what is held causes no first fetch", async () => {
  const accessControl = {
    fetch: "byAction",
    repositories: { "**": { defaultPolicy: ["read"], policies: [{ users: ["a"], actions: ["fetch", "read"] }] } },
  };
  await using guarded = await startGuardedServer({ repositories: ["b/app"], config: { ...htpasswd, accessControl }, users: ["a", "b"] });
  expect(await statusOf(guarded, "/v2/b/app/manifests/1", { user: "b" })).toBe(404);
  expect(guarded.upstream.requests).toEqual([]);
  expect(await statusOf(guarded, "/v2/b/app/manifests/1", { user: "a" })).toBe(200);
  expect(await statusOf(guarded, "/v2/b/app/manifests/1", { user: "b" })).toBe(200);
});

test("a user who is taken out of the file is out within two seconds, and others notice nothing", async () => {
  await using guarded = await startGuardedServer({ repositories: ["b/app"], config: htpasswd, users: ["a", "b"] });
  const statuses = new Set<number>();
  await using crowd = startUntiringClients(16, async () => statuses.add(await statusOf(guarded, "/v2/b/app/manifests/1", { user: "a" })));
  expect(await statusOf(guarded, "/v2/b/app/manifests/1", { user: "b" })).toBe(200);
  await guarded.writeUsers(["a"]);
  const startMs = performance.now();
  while ((await statusOf(guarded, "/v2/b/app/manifests/1", { user: "b" })) === 200) if (performance.now() - startMs > 20_000) break;
  const tookMs = performance.now() - startMs;
  await crowd.stop();
  expect([...statuses]).toEqual([200]);
  expect(tookMs).toBeLessThan(2_000 + 2 * crowd.worstMs);
});

/** The first line of the log that matches, once it is there. */
async function lineWith({ server }: GuardedServer, pattern: RegExp): Promise<string> {
  const endMs = performance.now() + 5_000;
  while (performance.now() < endMs) {
    const line = server.process.output.split("\n").find((one) => pattern.test(one));
    if (line !== undefined) return line;
    await fetch(`${server.url}/healthz`);
  }
  throw new Error(`no line like ${pattern}`);
}
