/** Attacks on what a guarded server serves, over a real socket. What each shows, and the defence without which it fails, is in threats.ts. */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { basic, rawStatus, startGuardedServer, type AskOptions, type GuardedServer } from "../support/guarded-server.ts";
import { lookUntil } from "../support/looking.ts";
import { exchange } from "../support/raw-client.ts";

const secretPath = "/v2/team/secret/manifests/1";
const openPath = "/v2/open/app/manifests/1";
let guarded: GuardedServer;
/** A blob of team/secret that no other repository has. */
let blob: string;

// Passwords are hashed by a thread that gives way to everything else: on a busy machine each takes its time.
vi.setConfig({ testTimeout: 30_000 });

beforeAll(async () => {
  const accessControl = {
    repositories: {
      "**": { policies: [{ users: ["reader"], actions: ["read"] }] },
      "open/**": { anonymousPolicy: ["read"], defaultPolicy: ["read"] },
    },
  };
  guarded = await startGuardedServer({
    repositories: ["open/app"],
    users: ["reader", "stranger", "victim"],
    config: { auth: { htpasswd: { path: "HTPASSWD" }, failBudget: { perUser: 5 } }, accessControl },
  });
  const { blobs } = guarded.upstream.putImage("team/secret", "1", { layers: [{ "only-here": "nobody else's layer" }] });
  blob = [...blobs.keys()].at(-1) ?? "";
});
afterAll(() => guarded?.[Symbol.asyncDispose]());
beforeEach(() => guarded.upstream.forget());

async function statusOf(path: string, options?: AskOptions): Promise<number> {
  const answer = await guarded.get(path, options);
  await answer.arrayBuffer();
  return answer.status;
}

/** All that a client can tell two refusals by, the name it asked for aside. */
async function looks(path: string, name: string, options: AskOptions): Promise<object> {
  const answer = await guarded.get(path, options);
  const headers = Object.fromEntries([...answer.headers].filter(([key]) => !["date", "x-request-id", "content-length"].includes(key)));
  return JSON.parse(JSON.stringify({ status: answer.status, headers, body: await answer.text() }).replaceAll(name, "NAME")) as object;
}

test("threat 1: two Authorization headers are 401 in either order, also where nobody need log in", async () => {
  for (const path of [openPath, secretPath]) {
    for (const pair of [
      [basic("reader"), "Bearer x"],
      ["Bearer x", basic("reader")],
      [basic("reader"), basic("reader")],
      ["", basic("reader")],
      [basic("reader"), ""],
    ])
      expect([path, pair, await rawStatus(guarded.server.port, path, pair)]).toEqual([path, pair, 401]);
  }
  expect(await rawStatus(guarded.server.port, "/v2/", [basic("reader")])).toBe(200);
  expect(guarded.upstream.requests).toEqual([]);
});

test("threat 2: what is shown and is wrong is 401 where nothing shown is let in", async () => {
  expect(await statusOf(openPath)).toBe(200);
  guarded.upstream.forget();
  for (const authorization of [basic("reader", "wrong"), basic("nobody"), "Bearer x", "Basic %%%", "Negotiate x"])
    expect([authorization, await statusOf(openPath, { authorization })]).toEqual([authorization, 401]);
  expect(guarded.upstream.requests).toEqual([]);
});

test("threat 4: a private blob that is held is not shown under a repository that does not hold it, by no method and no range", async () => {
  expect(await statusOf(`/v2/team/secret/blobs/${blob}`, { user: "reader" })).toBe(200);
  guarded.upstream.forget();
  const path = `/v2/open/app/blobs/${blob}`;
  for (const options of [{}, { user: "stranger" }, { method: "HEAD" }, { headers: { range: "bytes=0-3" } }])
    expect([options, await statusOf(path, options)]).toEqual([options, 404]);
  expect(await statusOf(`/v2/team/secret/blobs/${blob}`, { user: "stranger" })).toBe(403);
  expect(await statusOf(`/v2/team/secret/blobs/${blob}`)).toBe(401);
  expect(guarded.upstream.requests.filter((line) => !line.startsWith(`HEAD ${path}`))).toEqual([]);
});

test("threat 6: whoever may not read a name cannot tell whether it is there, and asks nobody by trying", async () => {
  expect(await statusOf(secretPath, { user: "reader" })).toBe(200);
  guarded.upstream.forget();
  const unknown = `sha256:${"0".repeat(64)}`;
  for (const options of [{}, { user: "stranger" }]) {
    for (const rest of ["manifests/1", "tags/list", `referrers/${unknown}`, `blobs/${blob}`]) {
      const there = await looks(`/v2/team/secret/${rest}`, "team/secret", options);
      expect(there).toMatchObject({ status: "user" in options ? 403 : 401 });
      expect(await looks(`/v2/team/nothing/${rest}`, "team/nothing", options)).toEqual(there);
    }
    const held = await looks(`/v2/team/secret/blobs/${blob}`, "team/secret", options);
    expect(await looks(`/v2/team/secret/blobs/${unknown}`, "team/secret", options)).toEqual(held);
  }
  expect(guarded.upstream.requests).toEqual([]);
});

test("threat 18: X-Forwarded-For from anybody changes neither whose budget is spent nor what the log says", async () => {
  for (let at = 1; at <= 5; at++) {
    const headers = {
      "x-forwarded-for": `198.51.100.${at}`,
      "x-real-ip": `198.51.100.${at}`,
      forwarded: `for=198.51.100.${at}`,
      "x-request-id": `spoofed-${at}`,
    };
    expect(await statusOf(secretPath, { authorization: basic("victim", `guess${at}`), headers })).toBe(401);
  }
  // The budget of five is spent: nobody looks at the right one either.
  expect(await statusOf(secretPath, { user: "victim", headers: { "x-forwarded-for": "198.51.100.9" } })).toBe(401);
  const line = await lineWith(/"requestId":"spoofed-5".*"msg":"access denied"/);
  expect(JSON.parse(line)).toMatchObject({ client: "127.0.0.1" });
});

test("threat 22: a stranger's refusal and a known user's are the same but for their ids", async () => {
  const refused = await looks(secretPath, "team/secret", { authorization: basic("reader", "wrong, too") });
  expect(refused).toMatchObject({ status: 401 });
  expect(await looks(secretPath, "team/secret", { authorization: basic("whoever", "wrong, too") })).toEqual(refused);
});

test.each([
  ["a length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"],
  ["two codings, chunked first", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"],
  ["a header that goes on in the next line", "X-A: a\r\n b\r\nTransfer-Encoding\r\n : chunked\r\n", "0\r\n\r\n"],
  ["a blank before the colon", "Content-Length : 4\r\n", "0\r\n\r\n"],
  ["lines that end in LF", "X-A: a\nContent-Length: 4\n", "0\r\n\r\n"],
  ["a length that is none", "Content-Length: +4\r\n", "0\r\n\r\n"],
])("threat 25: a request with %s is 400, and nothing behind it is taken for a request", async (_, headers, body) => {
  const authorization = `Authorization: ${basic("reader")}\r\n`;
  const behind = `GET ${secretPath} HTTP/1.1\r\nHost: x\r\n${authorization}\r\n`;
  const { received, isClosed } = await exchange(guarded.server.host, `GET /v2/ HTTP/1.1\r\nHost: x\r\n${authorization}${headers}\r\n${body}${behind}`);
  expect([received.split("\r\n", 1)[0], received.match(/HTTP\/1\.1 /g)?.length, isClosed]).toEqual(["HTTP/1.1 400 Bad Request", 1, true]);
  expect(guarded.upstream.requests).toEqual([]);
});

test("threat 25: behind a coding that nobody knows there is no second request", async () => {
  const behind = `GET ${secretPath} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic("reader")}\r\n\r\n`;
  const { received, isClosed } = await exchange(guarded.server.host, `GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${behind}`);
  expect([received.match(/HTTP\/1\.1 /g)?.length, isClosed]).toEqual([1, true]);
  expect(guarded.upstream.requests).toEqual([]);
});

test.each([
  "/v2/team/../team/secret/manifests/1",
  "/v2/team/%2e%2e/team/secret/manifests/1",
  "/v2/../../etc/passwd/manifests/1",
  "/v2/team/secret/manifests/%2e%2e",
  "/v2/team/secret/manifests/..%2f..%2fx",
  "/v2/team/secret/blobs/sha256:..%2f..%2fx",
  `/v2/team/secret/blobs/sha256:${"a".repeat(63)}`,
  `/v2/team/secret/blobs/sha256:${"a".repeat(65)}`,
  `/v2/team/secret/blobs/sha256:${"A".repeat(64)}`,
  `/v2/team/secret/blobs/md5:${"a".repeat(32)}`,
  "/v2/team/secret%00/manifests/1",
  `/v2/${"a/".repeat(150)}b/manifests/1`,
])("threat 26: %s is 400, and asks nobody", async (path) => {
  expect(await rawStatus(guarded.server.port, path, [basic("reader")])).toBe(400);
  expect(guarded.upstream.requests).toEqual([]);
});

test("threat 33: a wrong password, a token and a line break are nowhere in the log as they came", async () => {
  const secrets = ["pass-se-cr-et", "eyJhbGciOiJub25lIn0.se-cr-et.", "quer-y-se-cr-et"];
  const asked = [
    { authorization: basic("reader", secrets[0]), id: "logged-1" },
    { authorization: `Bearer ${secrets[1]}`, id: "logged-2" },
  ];
  for (const { authorization, id } of asked)
    await statusOf(`${secretPath}?token=${secrets[2]}`, { authorization, headers: { "x-request-id": id, "user-agent": "a b" } });
  await statusOf('/v2/team/a%0A{"level":"error","msg":"forged"}/manifests/1', { user: "reader", headers: { "x-request-id": "logged-3" } });
  for (const id of ["logged-1", "logged-2", "logged-3"]) await lineWith(new RegExp(`"requestId":"${id}".*"msg":"request"`));
  const { output } = guarded.server.process;
  for (const secret of [...secrets, basic("reader", secrets[0]).slice("Basic ".length), basic("reader").slice("Basic ".length)])
    expect(output).not.toContain(secret);
  expect(output.split("\n").filter((line) => line.startsWith('{"level":"error","msg":"forged"'))).toEqual([]);
});

test("threat 34: what an upstream's failure says, and the signature of the place where it failed, reach no client", async () => {
  const { upstream } = guarded;
  const signed = `${upstream.url}/v2/team/elsewhere/manifests/1?X-Amz-Signature=si-gna-ture`;
  const stop = [
    upstream.when({ repository: "team/broken" }, { redirectTo: signed }),
    upstream.when({ repository: "team/elsewhere" }, { status: 500, body: '{"errors":[{"message":"password se-cr-et of robot"}]}' }),
  ];
  const answer = await guarded.get("/v2/team/broken/manifests/1", { user: "reader" });
  const shown = JSON.stringify([...answer.headers]) + (await answer.text());
  expect(answer.status).toBe(502);
  for (const secret of ["si-gna-ture", "se-cr-et"]) expect(shown).not.toContain(secret);
  for (const end of stop) end();
});

test("threat 37: what a reader has made the cache hold is shown to nobody else, and kept by no cache on the way", async () => {
  const answer = await guarded.get(secretPath, { user: "reader" });
  expect([answer.status, answer.headers.get("cache-control"), answer.headers.get("vary")]).toEqual([200, "private", "Authorization"]);
  const digest = answer.headers.get("docker-content-digest");
  guarded.upstream.forget();
  for (const path of [secretPath, `/v2/team/secret/manifests/${digest}`, `/v2/team/secret/blobs/${blob}`, "/v2/team/secret/tags/list"]) {
    for (const method of ["GET", "HEAD"])
      expect([path, await statusOf(path, { method }), await statusOf(path, { method, user: "stranger" })]).toEqual([path, 401, 403]);
  }
  expect(guarded.upstream.requests).toEqual([]);
});

test("threat 39: headers that proxies use for certificates name nobody", async () => {
  const names = ["x-forwarded-client-cert", "x-ssl-client-s-dn", "ssl-client-subject-dn", "x-client-cn", "x-remote-user", "x-forwarded-user", "remote-user"];
  for (const name of names) expect([name, await statusOf(secretPath, { headers: { [name]: "CN=reader" } })]).toEqual([name, 401]);
});

test.each([basic("", "pw"), basic("  ", "pw"), basic("\t", "")])(
  "threat 40: %s, a password without a name, is 401 where anybody may read",
  async (authorization) => {
    expect(await statusOf(openPath, { authorization })).toBe(401);
    expect(guarded.upstream.requests).toEqual([]);
  },
);

/** The first line of the log that matches, once it is there. */
async function lineWith(pattern: RegExp): Promise<string> {
  const look = (): Promise<string | undefined> => Promise.resolve(guarded.server.process.output.split("\n").find((one) => pattern.test(one)));
  const line = await lookUntil(look, (seen) => seen !== undefined, { waitMs: 5_000, everyMs: 10 });
  if (line === undefined) throw new Error(`no line like ${String(pattern)}`);
  return line;
}
