/** API keys, whole: made over HTTP, shown once, used by the clients that people have, narrower than their owners, revoked everywhere within two seconds. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loginClients, programsOf, type LoginClient, type LoginClientName } from "../support/clients-that-log-in.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";
import { secretsLeftBy } from "../support/secret-traces.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const keysPath = "/zot/auth/apikey";
const [team, other, open] = ["/v2/team/app/manifests/1", "/v2/other/app/manifests/1", "/v2/open/app/manifests/1"];
const repositories = ["team/app", "other/app", "open/app"];
const accessControl = {
  repositories: {
    "**": { policies: [{ users: ["alice", "ci"], actions: ["read"] }] },
    "open/**": { anonymousPolicy: ["read"], defaultPolicy: ["read"] },
  },
  adminPolicy: { users: ["root"], actions: ["read", "delete"] },
  metrics: { users: ["alice"] },
};

interface Made {
  readonly apiKey: string;
  readonly uuid: string;
}

/** A key of a user whose password is `NAME-password`. */
async function make(url: string, user: string, body: object = {}): Promise<Made> {
  const response = await fetch(url + keysPath, { method: "POST", headers: { authorization: basic(user) }, body: JSON.stringify({ label: "test", ...body }) });
  expect(response.status).toBe(201);
  return (await response.json()) as Made; // Two of its members.
}

async function statusOf(url: string, path: string, user: string, password: string): Promise<number> {
  const response = await fetch(url + path, { headers: { authorization: basic(user, password) } });
  await response.arrayBuffer();
  return response.status;
}

async function keyRecords(statePath: string): Promise<readonly string[]> {
  const entries = await readdir(join(statePath, "records"), { recursive: true, withFileTypes: true });
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => readFile(join(entry.parentPath, entry.name), "utf8").then((text) => `${join(entry.parentPath, entry.name)}\n${text}`)),
  );
}

describe.runIf(requirePrograms("htpasswd"))("API keys", () => {
  let guarded: GuardedServer;
  beforeAll(async () => {
    const auth = { htpasswd: { path: "HTPASSWD" }, apikey: true };
    guarded = await startGuardedServer({ repositories, users: ["alice", "bob", "root"], config: { auth, accessControl } });
  });
  afterAll(() => guarded?.[Symbol.asyncDispose]());

  test("nobody makes any without a name, a wrong password makes none, and both are told how to log in", async () => {
    for (const method of ["GET", "POST", "DELETE"]) {
      for (const authorization of [undefined, basic("alice", "wrong")]) {
        const answer = await guarded.get(keysPath, { method, ...(authorization === undefined ? {} : { authorization }) });
        expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, 'Basic realm="Authorization Required"']);
        expect(await answer.json()).toMatchObject({ errors: [{ code: "UNAUTHORIZED" }] });
      }
    }
    expect((await guarded.get(keysPath, { method: "OPTIONS" })).status).toBe(204);
  });

  test("a key pulls what its owner may pull, in its owner's name alone, and asks the upstream no more than a password does", async () => {
    const { apiKey } = await make(guarded.server.url, "alice");
    guarded.upstream.forget();
    expect(await statusOf(guarded.server.url, team, "alice", apiKey)).toBe(200);
    expect(guarded.upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1", expect.stringMatching(/^GET \/v2\/team\/app\/manifests\/sha256:/)]);
    expect(await statusOf(guarded.server.url, team, "bob", apiKey)).toBe(401);
    expect(await statusOf(guarded.server.url, open, "bob", apiKey)).toBe(401);
    expect(await statusOf(guarded.server.url, team, "alice", `zak_${"0".repeat(32)}`)).toBe(401);
    const bobs = await make(guarded.server.url, "bob");
    expect([await statusOf(guarded.server.url, team, "bob", bobs.apiKey), await statusOf(guarded.server.url, open, "bob", bobs.apiKey)]).toEqual([403, 200]);
  });

  test("a key with a scope opens what it names, and neither lists, nor administrates, nor measures more than that", async () => {
    const { apiKey } = await make(guarded.server.url, "alice", { scope: { repositories: ["team/**", "elsewhere/**"], actions: ["read"] } });
    const whole = await make(guarded.server.url, "alice");
    const statuses = async (password: string) =>
      Promise.all(
        [team, "/v2/team/app/tags/list", other, "/v2/", "/v2/_catalog", "/metrics", "/cmd/blob/list"].map((path) =>
          statusOf(guarded.server.url, path, "alice", password),
        ),
      );
    expect(await statuses(apiKey)).toEqual([200, 200, 403, 200, 200, 403, 403]);
    expect(await statuses(whole.apiKey)).toEqual([200, 200, 200, 200, 200, 200, 403]);
    const catalogOf = async (password: string) =>
      ((await (await guarded.get("/v2/_catalog", { authorization: basic("alice", password) })).json()) as { repositories: string[] }).repositories;
    expect(await catalogOf(apiKey)).toEqual(["docker.io/team/app"]);
    const all = await lookUntil(
      () => catalogOf(whole.apiKey), // What was listed a moment ago is trusted for another.
      (names) => names.includes("docker.io/other/app"),
      { waitMs: 10_000 },
    );
    expect(all).toEqual(expect.arrayContaining(["docker.io/other/app", "docker.io/team/app"]));
    const refused = await guarded.get(other, { authorization: basic("alice", apiKey) });
    expect(await refused.json()).toEqual({ errors: [{ code: "DENIED", message: "alice may not read other/app: the key is not for this" }] });
    const roots = [await make(guarded.server.url, "root"), await make(guarded.server.url, "root", { scope: { actions: ["read", "delete"] } })];
    expect(await Promise.all(roots.map((key) => statusOf(guarded.server.url, "/cmd/blob/list", "root", key.apiKey)))).toEqual([200, 403]);
  });

  test("a browser's session makes keys where its page means it to, and no other site's page can have it do so", async () => {
    const { url } = guarded.server;
    const form = new URLSearchParams({ username: "alice", password: "alice-password" });
    const signedIn = await fetch(`${url}/zot/auth/login`, { method: "POST", body: form, redirect: "manual" });
    const cookie = signedIn.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
    const page = { cookie, "x-zot-api-client": "zot-ui" };
    const post = async (headers: Record<string, string>) => fetch(url + keysPath, { method: "POST", headers, body: JSON.stringify({ label: "in a browser" }) });
    expect((await post({ cookie })).status).toBe(401);
    expect((await post({ ...page, origin: "https://evil.example" })).status).toBe(403);
    expect((await post({ ...page, "sec-fetch-site": "cross-site" })).status).toBe(403);
    const made = await post({ ...page, origin: url, "sec-fetch-site": "same-origin" });
    expect(made.status).toBe(201);
    const { apiKey, uuid } = (await made.json()) as Made; // Two of its members.
    expect(await statusOf(url, team, "alice", apiKey)).toBe(200);
    expect((await fetch(`${url}${keysPath}?id=${uuid}`, { method: "DELETE", headers: { cookie } })).status).toBe(401);
    expect((await fetch(`${url}${keysPath}?id=${uuid}`, { method: "DELETE", headers: page })).status).toBe(200);
  });

  test("whoever found a key makes no other of it, and does not see which there are", async () => {
    const { apiKey, uuid } = await make(guarded.server.url, "alice");
    const authorization = basic("alice", apiKey);
    const body = JSON.stringify({ label: "more" });
    expect((await fetch(guarded.server.url + keysPath, { method: "POST", headers: { authorization }, body })).status).toBe(403);
    expect((await guarded.get(keysPath, { authorization })).status).toBe(403);
    expect((await guarded.get(`${keysPath}?id=${uuid}`, { method: "DELETE", authorization })).status).toBe(403);
    expect(await statusOf(guarded.server.url, team, "alice", apiKey)).toBe(200);
  });

  test("a body over 8 KiB is refused however it comes, and a date in the past is", async () => {
    const post = async (body: string | ReadableStream) => {
      const init = { method: "POST", headers: { authorization: basic("alice") }, body, duplex: "half" } as const;
      return (await fetch(guarded.server.url + keysPath, init)).status;
    };
    const large = JSON.stringify({ label: "x" }).padEnd(8_193);
    expect(await post(large)).toBe(413);
    expect(await post(new Blob([large]).stream())).toBe(413);
    expect(await post(JSON.stringify({ label: "x", expirationDate: "2020-01-01T00:00:00Z" }))).toBe(400);
  });

  test("neither the store, nor the log, nor any later answer has a key; the records have hashes", async () => {
    const { apiKey, uuid } = await make(guarded.server.url, "alice");
    await statusOf(guarded.server.url, team, "alice", apiKey);
    const listed = await (await guarded.get(keysPath, { user: "alice" })).text();
    expect(listed).toContain(uuid);
    expect(await secretsLeftBy(guarded.server, [apiKey, apiKey.slice(4)], { answers: [listed] })).toEqual([]);
    const records = await keyRecords(join(guarded.server.imagePath, "state"));
    expect(records.filter((record) => record.includes(uuid.replaceAll("-", ""))).length).toBeGreaterThan(0);
  });

  test("who is taken out of the password file is out with every key", async () => {
    const { apiKey } = await make(guarded.server.url, "bob");
    expect(await statusOf(guarded.server.url, open, "bob", apiKey)).toBe(200);
    await guarded.writeUsers(["alice", "root"]);
    const status = await lookUntil(
      () => statusOf(guarded.server.url, open, "bob", apiKey),
      (seen) => seen === 401,
      { waitMs: 10_000 },
    );
    expect(status).toBe(401);
    await guarded.writeUsers(["alice", "bob", "root"]);
  });

  test("guessing keys ends as guessing passwords does", async () => {
    const auth = { htpasswd: { path: "HTPASSWD" }, apikey: true, failBudget: { perUser: 5 } };
    await using one = await startGuardedServer({ repositories, users: ["alice"], config: { auth, accessControl } });
    const { apiKey } = await make(one.server.url, "alice");
    const guess = (at: number) => `zak_${String(at).padStart(32, "0")}`;
    for (let at = 0; at < 6; at++) expect(await statusOf(one.server.url, team, "alice", guess(at))).toBe(401);
    expect(await statusOf(one.server.url, team, "alice", apiKey)).toBe(401);
    expect(one.upstream.requests).toEqual([]);
  });
});

describe.runIf(requirePrograms("htpasswd"))("API keys and our own tokens", () => {
  interface TokenAnswer {
    readonly token: string;
    readonly refresh_token?: string;
  }

  async function tokenFor({ url }: OurServer, user: string, password: string, names: readonly string[]): Promise<TokenAnswer | number> {
    const scopes = names.map((name) => `scope=${name}`).join("&");
    const response = await fetch(`${url}/zot/auth/token?service=ociregistry&offline_token=true&${scopes}`, {
      headers: { authorization: basic(user, password) },
    });
    return response.ok ? ((await response.json()) as TokenAnswer) : response.status; // Two of its members.
  }

  test("a token for a key says no more than the key, is no way to more keys, and ends with it", async () => {
    const auth = { htpasswd: { path: "HTPASSWD" }, apikey: true, tokenService: "builtin" };
    await using guarded = await startGuardedServer({ repositories, users: ["alice"], config: { auth, accessControl } });
    const { server } = guarded;
    for (const path of [team, other]) expect(await statusOf(server.url, path, "alice", "alice-password")).toBe(200);
    const { apiKey, uuid } = await make(server.url, "alice", { scopes: ["team/**"] });
    const wanted = ["repository:team/app:pull", "repository:other/app:pull", "registry:catalog:*"];
    const answer = await tokenFor(server, "alice", apiKey, wanted);
    if (typeof answer === "number") throw new Error(`no token: ${answer}`);
    // A refresh token would outlive the key, and know of no scope.
    expect(answer.refresh_token).toBeUndefined();
    const bearer = (path: string, method = "GET") => guarded.get(path, { method, authorization: `Bearer ${answer.token}` });
    expect([(await bearer(team)).status, (await bearer(other)).status, (await bearer("/metrics")).status]).toEqual([200, 403, 403]);
    expect(await (await bearer("/v2/_catalog")).json()).toEqual({ repositories: ["docker.io/team/app"] });
    expect([(await bearer(keysPath)).status, (await bearer(keysPath, "POST")).status]).toEqual([403, 403]);
    const byPassword = await tokenFor(server, "alice", "alice-password", wanted);
    expect(byPassword).toHaveProperty("refresh_token");
    await guarded.get(`${keysPath}?id=${uuid}`, { method: "DELETE", user: "alice" });
    const ended = await lookUntil(
      () => tokenFor(server, "alice", apiKey, wanted),
      (seen) => seen === 401,
      { waitMs: 10_000 },
    );
    expect(ended).toBe(401);
  });
});

describe.runIf(requirePrograms("htpasswd"))("a revoked key", () => {
  /** Both see it within two seconds of the revocation's answer. */
  async function expectRevokedEverywhere(servers: readonly OurServer[], revoke: (key: Made) => Promise<void>): Promise<void> {
    const [first] = servers;
    const key = await make(first?.url ?? "", "alice");
    const statuses = () => Promise.all(servers.map(({ url }) => statusOf(url, "/v2/", "alice", key.apiKey)));
    expect(await statuses()).toEqual(servers.map(() => 200));
    await revoke(key);
    const revokedMs = performance.now();
    const seen = await lookUntil(statuses, (now) => now.every((status) => status === 401), { waitMs: 10_000, everyMs: 20 });
    const tookMs = performance.now() - revokedMs;
    expect(seen).toEqual(servers.map(() => 401));
    console.log(`a revoked key was refused by both servers ${tookMs.toFixed(0)} ms later`);
    expect(tookMs).toBeLessThan(2_000);
  }

  async function startTwo(stack: AsyncDisposableStack, auth: object, { sharesState }: { sharesState: boolean }): Promise<readonly OurServer[]> {
    const folder = stack.use(await temporaryFolder());
    const guarded = stack.use(await startGuardedServer({ users: ["alice"], config: { auth: { htpasswd: { path: "HTPASSWD" }, apikey: true, ...auth } } }));
    const own = join(folder.path, "second");
    await mkdir(own);
    const config = {
      imagePath: sharesState ? guarded.server.imagePath : join(own, "store"),
      auth: { htpasswd: { path: join(guarded.folder, "htpasswd") }, apikey: true, ...auth },
    };
    return [guarded.server, stack.use(await startOurServer({ folder: own, config }))];
  }

  async function revokeAt({ url }: OurServer, { uuid }: Made): Promise<void> {
    expect((await fetch(`${url}${keysPath}?id=${uuid}`, { method: "DELETE", headers: { authorization: basic("alice") } })).status).toBe(200);
  }

  test("is over within two seconds in both of two servers of one folder", async () => {
    await using stack = new AsyncDisposableStack();
    const servers = await startTwo(stack, {}, { sharesState: true });
    for (const server of servers) await expectRevokedEverywhere(servers, (key) => revokeAt(server, key));
  }, 60_000);

  test.runIf(requirePrograms("redis-server", "redis-cli"))(
    "is over within two seconds in both of two servers that share a Redis and no folder",
    async () => {
      await using stack = new AsyncDisposableStack();
      const redis = stack.use(await startRedis());
      const servers = await startTwo(stack, { sessionDriver: { name: "redis", url: redis.url } }, { sharesState: false });
      for (const server of servers) await expectRevokedEverywhere(servers, (key) => revokeAt(server, key));
      expect(await redis.command("keys", "zotsession*")).not.toBe("");
      // Redis hangs: nobody can tell, nobody is let in, and passwords go on.
      const key = await make(servers[0]?.url ?? "", "alice");
      redis.freeze();
      for (const { url } of servers) {
        expect(await statusOf(url, "/v2/", "alice", key.apiKey)).toBe(503);
        expect(await statusOf(url, "/v2/", "alice", "alice-password")).toBe(200);
      }
      redis.goOn();
      const [one] = servers;
      const back = await lookUntil(
        () => statusOf(one?.url ?? "", "/v2/", "alice", key.apiKey),
        (status) => status === 200,
        { waitMs: 20_000 },
      );
      expect(back).toBe(200);
      expect(one?.process.output).not.toContain("redis-secret");
    },
    60_000,
  );
});

describe.runIf(requirePrograms("htpasswd"))("the clients that people have", () => {
  const names = ["skopeo", "podman", "ctr", "docker"] as const satisfies readonly LoginClientName[];
  const runnable = names.filter((name) => requirePrograms(...programsOf[name]) && (name === "skopeo" || requireRoot()));
  let folder: TemporaryFolder;
  const clients = new Map<LoginClientName, LoginClient>();
  beforeAll(async () => {
    folder = await temporaryFolder();
    for (const [at, name] of runnable.entries()) {
      const own = join(folder.path, `c${at}`);
      await mkdir(own);
      clients.set(name, await loginClients[name](own));
    }
  }, 120_000);
  afterAll(async () => {
    await Promise.allSettled([...clients.values()].map((client) => client[Symbol.asyncDispose]()));
    await folder?.[Symbol.asyncDispose]();
  });

  test.each([["by Basic", "off"] as const, ["by our own tokens", "builtin"] as const])(
    "%s: each pulls with a key what it is for, nothing else, and nothing once it is revoked",
    async (_, tokenService) => {
      const auth = { htpasswd: { path: "HTPASSWD" }, apikey: true, tokenService };
      await using guarded = await startGuardedServer({ repositories, users: ["alice"], config: { auth, accessControl } });
      for (const name of runnable) {
        const { apiKey, uuid } = await make(guarded.server.url, "alice", { scope: { repositories: ["team/**"], actions: ["read"] } });
        const pull = async (path: string) => {
          const shown = { kind: "login", user: "alice", password: apiKey } as const;
          return (await clients.get(name)?.pull(`${guarded.server.host}/${path}:1`, shown))?.code === 0;
        };
        expect([await pull("team/app"), await pull("other/app")], name).toEqual([true, false]);
        await guarded.get(`${keysPath}?id=${uuid}`, { method: "DELETE", user: "alice" });
        await lookUntil(
          () => statusOf(guarded.server.url, "/v2/", "alice", apiKey),
          (status) => status === 401,
          { waitMs: 10_000 },
        );
        expect(await pull("team/app"), name).toBe(false);
      }
    },
    180_000,
  );
});

test("while no keys are configured there is nothing at their place, and a key is a password like any other", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "htpasswd");
  await writeFile(file, "");
  await using server = await startOurServer({ folder: folder.path, config: { auth: { htpasswd: { path: file } } } });
  expect((await fetch(server.url + keysPath)).status).toBe(401);
  expect(await statusOf(server.url, keysPath, "alice", `zak_${"0".repeat(32)}`)).toBe(401);
});
