/** The administrative routes: who is let in, by decision alone; what they show; and that nothing happens by mistake. */
import { describe, expect, test } from "vitest";
import { AccessPolicy, type AccessRules } from "../../src/auth/access-policy.ts";
import type { Authenticator } from "../../src/auth/authenticator.ts";
import { FailDelay } from "../../src/auth/fail-delay.ts";
import { Gate } from "../../src/auth/gate.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { OciError } from "../../src/oci/errors.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import type { AccessRecord } from "../../src/oci/access-record.ts";
import { exchange } from "../support/raw-client.ts";
import { listening, recordedActions, serving, type RecordedActions } from "./serving.ts";

const digest = `sha256:${"a".repeat(64)}`;
const layer = `sha256:${"b".repeat(64)}`;
const alpine = { name: "docker.io/library/alpine:3", digest, heldSinceMs: Date.UTC(2026, 0, 1), pulledAtMs: Date.UTC(2026, 0, 2, 3, 4, 5), blobs: [layer] };
const untagged = { ...alpine, name: `docker.io/library/alpine@${digest}`, blobs: [] };
const names = new RegistryNames({ defaultNs: "docker.io", registries: [] });

/** Answers as from the machine's own socket, which asks for nothing. */
function opened(): { readonly actions: RecordedActions; readonly ask: (target: string, init?: RequestInit) => Promise<Response> } {
  const actions = recordedActions();
  // A gate that lets an administrator in, whoever it is.
  const { app } = serving({ admin: { open: "off", actions }, gate: () => gateFor({ adminPolicy: ["ann"] }) });
  return {
    actions,
    ask: async (target, init = {}) => app.request(target, { ...init, headers: { authorization: "ann", ...Object.fromEntries(new Headers(init.headers)) } }),
  };
}

/** Sends just these lines, and reads the status and the body. */
async function rawRequest(port: number, start: string, headers: Readonly<Record<string, string>>): Promise<{ readonly status: number; readonly body: string }> {
  const lines = Object.entries({ ...headers, Connection: "close" }).map(([name, value]) => `${name}: ${value}\r\n`);
  const { received } = await exchange(`127.0.0.1:${port}`, `${start}\r\n${lines.join("")}\r\n`);
  const [head = "", body = ""] = received.split("\r\n\r\n", 2);
  return { status: Number(head.split(" ", 2)[1]), body };
}

/** Whoever writes a name into Authorization is that one; `token:NAME` comes by a token that permits to pull one repository. */
const byName: Authenticator = {
  method: "htpasswd",
  async authenticate({ authorization: [written] }) {
    if (written === undefined) return { kind: "none" };
    const name = written.replace(/^token:/, "");
    const access = written.startsWith("token:") ? [{ type: "repository", name: "library/alpine", actions: ["pull"] }] : undefined;
    return { kind: "admitted", principal: { name, groups: [], method: "htpasswd", ...(access ? { access } : {}) } };
  },
};

function gateFor({ adminPolicy }: { readonly adminPolicy: readonly string[] }): Gate {
  const rules: AccessRules = {
    fetch: "readers",
    groups: new Map(),
    repositories: [],
    adminPolicy: { users: new Set(adminPolicy), groups: new Set(), actions: new Set(["read"]), conditions: [] },
    metrics: { users: new Set(), anonymousPolicy: new Set() },
  };
  return new Gate({
    headerMethods: [byName],
    certificates: undefined,
    challenge: { kind: "basic", realm: "here" },
    failDelay: new FailDelay({ delayMs: 0, clock: systemClock }),
    access: { policy: new AccessPolicy(rules, names.defaultHost), hasConditions: false },
    names: () => names,
    now: () => 0,
  });
}

describe("where people are asked who they are", () => {
  const { app } = serving({ admin: { open: "loopback", actions: recordedActions() }, gate: () => gateFor({ adminPolicy: ["ann"] }) });
  const status = async (headers: Record<string, string>, path = "/cmd/blob/list"): Promise<number> => (await app.request(path, { headers })).status;

  test("only whom adminPolicy names is let in, though adminApi is loopback", async () => {
    expect([await status({}), await status({ authorization: "bob" }), await status({ authorization: "ann" })]).toEqual([401, 403, 200]);
    expect(await (await app.request("/cmd/stop", { headers: { authorization: "bob" } })).json()).toEqual({
      errors: [{ code: "DENIED", message: "bob may not administrate: accessControl.adminPolicy is for those whom it names" }],
    });
  });

  test("a token that permits to pull does not administrate, whoever it names", async () => {
    expect(await status({ authorization: "token:ann" })).toBe(401);
  });

  const browsers: readonly (readonly [string, number, Readonly<Record<string, string>>])[] = [
    ["an image in another's page (CSRF by GET)", 403, { "sec-fetch-site": "cross-site" }],
    ["a link in a page of another port", 403, { "sec-fetch-site": "same-site" }],
    ["two words for it", 403, { "sec-fetch-site": "none, cross-site" }],
    ["a form of another site", 403, { origin: "https://evil.example" }],
    ["a sandboxed page", 403, { origin: "null" }],
    ["an address typed into a browser", 200, { "sec-fetch-site": "none" }],
    ["a page of this very server", 200, { "sec-fetch-site": "same-origin" }],
    ["a proxy that says for whom", 200, { "x-forwarded-for": "10.0.0.9", "x-real-ip": "10.0.0.9", via: "1.1 proxy" }],
  ];
  test.each(browsers)("a browser that logs in by itself, and %s: %d", async (_, expected, headers) => {
    const refused: AccessRecord[] = [];
    const actions = recordedActions();
    const audit = { refused: (record: AccessRecord) => refused.push(record), admitted: () => {} };
    const { app } = serving({ admin: { open: "off", actions }, gate: () => gateFor({ adminPolicy: ["ann"] }), audit });
    const answer = await app.request("/cmd/stop", { headers: { authorization: "ann", ...headers } });
    expect(answer.status).toBe(expected);
    expect(actions.calls).toEqual(expected === 200 ? [["stop"]] : []);
    expect(refused.map(({ action, rule }) => [action, rule])).toEqual(expected === 200 ? [] : [["admin", "no page in a browser"]]);
    if (expected === 403) expect(await answer.text()).toContain("a page in a browser has sent it");
  });

  test("who is kept out does not learn which routes there are", async () => {
    expect([await status({ authorization: "bob" }, "/cmd/nothing"), await status({ authorization: "ann" }, "/cmd/nothing")]).toEqual([403, 404]);
  });
});

describe("where nobody is asked who he is", () => {
  test("the routes are closed, and the answer names the setting", async () => {
    const refused: AccessRecord[] = [];
    const actions = recordedActions();
    const { app } = serving({ admin: { open: "off", actions }, audit: { refused: (record) => refused.push(record), admitted: () => {} } });
    await using server = await listening(app);
    const answer = await fetch(`${server.origin}/cmd/stop`);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toMatch(/set adminApi: loopback.*adminPolicy.*admin\.sock/);
    expect(refused).toEqual([expect.objectContaining({ action: "admin", isAllowed: false, rule: "adminApi: off" })]);
    expect(actions.calls).toEqual([]);
  });

  const local = { Host: "localhost:8080" };
  const tricks: readonly (readonly [string, number, Readonly<Record<string, string>>])[] = [
    ["curl on this machine", 200, local],
    ["by 127.0.0.1", 200, { Host: "127.0.0.1:5000" }],
    ["by another loopback address", 200, { Host: "127.1.2.3" }],
    ["by ::1", 200, { Host: "[::1]:8080" }],
    ["a page typed into a browser", 200, { ...local, "Sec-Fetch-Site": "none" }],
    ["a name that leads here (DNS rebinding)", 403, { Host: "evil.example:8080" }],
    ["a name that begins like ours", 403, { Host: "localhost.evil.example" }],
    ["a name that looks like an address", 403, { Host: "127.0.0.1.evil.example" }],
    ["an address of another", 403, { Host: "10.0.0.1:8080" }],
    ["a user before the host", 400, { Host: "localhost@evil.example" }],
    ["an empty Host", 403, { Host: "" }],
    ["a form of another site (CSRF)", 403, { ...local, Origin: "https://evil.example" }],
    ["a sandboxed page", 403, { ...local, Origin: "null" }],
    ["a page of this very server", 403, { ...local, Origin: "http://localhost:8080" }],
    ["an image in a page (CSRF by GET)", 403, { ...local, "Sec-Fetch-Site": "cross-site" }],
    ["a link in a page of another port", 403, { ...local, "Sec-Fetch-Site": "same-site" }],
    ["a script of the same origin", 403, { ...local, "Sec-Fetch-Site": "same-origin" }],
    ["two words for it", 403, { ...local, "Sec-Fetch-Site": "none, cross-site" }],
    ["a proxy that says for whom", 403, { ...local, "X-Forwarded-For": "10.0.0.9" }],
    ["a client that claims to be this machine", 403, { ...local, "X-Forwarded-For": "127.0.0.1" }],
    ["a proxy that says by which name", 403, { ...local, "X-Forwarded-Host": "localhost" }],
    ["a proxy that says how", 403, { ...local, "X-Forwarded-Proto": "http" }],
    ["a proxy that says it is one", 403, { ...local, Via: "1.1 proxy" }],
    ["a proxy that says for whom, as nginx is taught to", 403, { ...local, "X-Real-IP": "127.0.0.1" }],
    ["a proxy that speaks the standard's words", 403, { ...local, Forwarded: "for=127.0.0.1" }],
  ];
  test.each(tricks)("adminApi: loopback and %s: %d", async (_, status, headers) => {
    const actions = recordedActions();
    const { app } = serving({ admin: { open: "loopback", actions }, trustedProxies: ["127.0.0.1"] });
    await using server = await listening(app);
    const answer = await rawRequest(server.port, "GET /cmd/stop HTTP/1.1", headers);
    expect(answer.status).toBe(status);
    expect(actions.calls).toEqual(status === 200 ? [["stop"]] : []);
    if (status === 403) expect(answer.body).toContain("adminApi: loopback");
  });

  test("adminApi: loopback and a client of another machine behind a PROXY header: refused", async () => {
    const actions = recordedActions();
    const { app } = serving({ admin: { open: "loopback", actions } });
    await using server = await listening(app, { proxyProtocol: true });
    const behind = (address: string): Promise<{ readonly status: number }> =>
      rawRequest(server.port, `PROXY TCP4 ${address} 127.0.0.1 1 2\r\nGET /cmd/stop HTTP/1.1`, local);
    expect([(await behind("10.0.0.9")).status, (await behind("127.0.0.1")).status]).toEqual([403, 200]);
  });

  test("accessControl without a way to learn who asks keeps nobody's place: it is as without", async () => {
    const rules = { headerMethods: [], certificates: undefined, challenge: { kind: "basic", realm: "x" } } as const;
    const gate = new Gate({ ...rules, failDelay: new FailDelay({ delayMs: 0, clock: systemClock }), access: undefined, names: () => names, now: () => 0 });
    const { app } = serving({ admin: { open: "loopback", actions: recordedActions() }, gate: () => gate });
    await using server = await listening(app);
    expect((await rawRequest(server.port, "GET /cmd/blob/list HTTP/1.1", local)).status).toBe(200);
  });
});

describe("what the lists show", () => {
  test("manifests, in columns; a digest in a name is cut short", async () => {
    const { actions, ask } = opened();
    actions.manifests = [alpine, untagged];
    const answer = await ask("/cmd/manifest/list?pattern=alpine,%5Ecalico&count=10");
    expect([answer.status, answer.headers.get("content-type"), answer.headers.get("cache-control")]).toEqual([
      200,
      "text/plain; charset=utf-8",
      expect.stringContaining("no-store"),
    ]);
    expect(await answer.text()).toBe(
      [
        "URL DIGEST CREATED PULLED",
        `docker.io/library/alpine:3 ${digest} 2026-01-01T00:00:00.000Z 2026-01-02T03:04:05.000Z`,
        `docker.io/library/alpine@sha256:aaaaaaaaaa ${digest} 2026-01-01T00:00:00.000Z 2026-01-02T03:04:05.000Z`,
        "",
      ].join("\n"),
    );
    expect(actions.calls).toEqual([["listManifests", { patterns: "alpine,^calico", withBlobs: false, countMax: 10 }]]);
  });

  test("images, with their blobs, by pattern or by a part of a blob's digest", async () => {
    const { actions, ask } = opened();
    actions.manifests = [alpine];
    expect(await (await ask("/cmd/image/list?digest=bbbb")).text()).toBe(
      `URL DIGEST CREATED PULLED\ndocker.io/library/alpine:3 ${digest} 2026-01-01T00:00:00.000Z 2026-01-02T03:04:05.000Z\n- ${layer}\n`,
    );
    await ask("/cmd/image/list?pattern=x&digest=bbbb");
    await ask("/cmd/image/list");
    expect(actions.calls.map(([, query]) => query)).toEqual([
      { blob: "bbbb", withBlobs: true, countMax: 50 },
      { patterns: "x", withBlobs: true, countMax: 50 },
      { withBlobs: true, countMax: 50 },
    ]);
  });

  test("blobs, with how many name them", async () => {
    const { actions, ask } = opened();
    actions.blobs = [{ digest: layer, references: 3, sizeBytes: 17 }];
    expect(await (await ask("/cmd/blob/list?substr=bb&count=-1")).text()).toBe(`URL REFCNT\n${layer} 3\n`);
    expect(actions.calls).toEqual([["listBlobs", { part: "bb", countMax: undefined }]]);
  });

  test("nothing, in words", async () => {
    const { ask } = opened();
    const texts = await Promise.all(["manifest", "image", "blob"].map(async (kind) => (await ask(`/cmd/${kind}/list`)).text()));
    expect(texts).toEqual(["no manifests found\n", "no manifests found\n", "no blobs found\n"]);
  });

  test("the same as JSON, for who accepts it", async () => {
    const { actions, ask } = opened();
    actions.manifests = [alpine];
    actions.blobs = [{ digest: layer, references: 3, sizeBytes: undefined }];
    const json = async (path: string): Promise<unknown> => (await ask(path, { headers: { accept: "text/html;q=0.1, application/json" } })).json();
    const shown = { name: alpine.name, digest, created: "2026-01-01T00:00:00.000Z", pulled: "2026-01-02T03:04:05.000Z" };
    expect(await json("/cmd/manifest/list")).toEqual([shown]);
    actions.manifests = [{ ...alpine, pulledAtMs: undefined }];
    expect(await json("/cmd/manifest/list")).toEqual([{ ...shown, pulled: null }]);
    expect(await (await ask("/cmd/manifest/list")).text()).toContain(`${digest} 2026-01-01T00:00:00.000Z -\n`);
    actions.manifests = [alpine];
    expect(await json("/cmd/image/list")).toEqual([{ ...shown, blobs: [layer] }]);
    expect(await json("/cmd/blob/list")).toEqual([{ digest: layer, references: 3 }]);
    expect(await json("/cmd/stop")).toEqual({ stopping: true });
  });
});

describe("pruning", () => {
  test("is what it says, and for real where nobody says otherwise", async () => {
    const { actions, ask } = opened();
    actions.pruned = [{ name: "docker.io/library/alpine:3", digest, reason: "not used since 2026-01-02", sizeBytes: 12 }];
    const pruned = await ask("/cmd/prune?type=created&dur=10d&count=50", { method: "DELETE" });
    expect(await pruned.text()).toBe(`pruned docker.io/library/alpine:3 ${digest} 12 not used since 2026-01-02\npruned 1 image, 12 bytes\n`);
    actions.stayingCount = 1;
    const tried = await ask("/cmd/prune?type=pattern&expr=foo,bar&count=-1&dryRun=true", { method: "DELETE", headers: { accept: "application/json" } });
    expect(await tried.json()).toEqual({
      dryRun: true,
      size: 12,
      staying: 1,
      images: [{ name: "docker.io/library/alpine:3", digest, reason: "not used since 2026-01-02", size: 12 }],
    });
    const text = await (await ask("/cmd/prune?type=pattern&expr=none&dryRun=false", { method: "DELETE" })).text();
    expect(text).toMatch(/^pruned 1 image, 12 bytes; 1 image matches and stays: pinned or kept$/m);
    expect(actions.calls.slice(0, 2).map(([, query]) => query)).toEqual([
      { type: "created", duration: "10d", expression: undefined, countMax: 50, dryRun: undefined },
      { type: "pattern", duration: undefined, expression: "foo,bar", countMax: undefined, dryRun: true },
    ]);
  });

  test.each([
    ["a parameter that is not known", "?type=accessed&dur=1d&dry_run=true", /no parameter \\"dry_run\\": there are type, dur, expr, count, dryRun/],
    ["one that comes twice", "?type=accessed&dur=1d&dryRun=true&dryRun=false", /dryRun is there twice/],
    ["a switch that is neither", "?type=accessed&dur=1d&dryRun=yes", /dryRun=\\"yes\\": true or false/],
    ["no type", "?dur=1d", /type is missing: one of accessed, created, pattern/],
    ["another type", "?type=oldest", /type=\\"oldest\\": one of accessed/],
    ["a number that is none", "?type=accessed&dur=1d&count=many", /count=\\"many\\": a whole number, or -1/],
  ])("%s is refused, and nothing is pruned", async (_, query, message) => {
    const { actions, ask } = opened();
    const answer = await ask(`/cmd/prune${query}`, { method: "DELETE" });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toMatch(message);
    expect(actions.calls).toEqual([]);
  });

  test("dryrun means dryRun", async () => {
    const { actions, ask } = opened();
    await ask("/cmd/prune?type=accessed&dur=1d&dryrun=TRUE", { method: "DELETE" });
    expect(actions.calls).toEqual([["prune", expect.objectContaining({ dryRun: true })]]);
  });

  test("what cannot be understood by whoever prunes is told as such", async () => {
    const { actions, ask } = opened();
    actions.prune = async () => {
      throw new OciError("REQUEST_INVALID", 'dur="soon": a duration such as 30d');
    };
    const answer = await ask("/cmd/prune?type=accessed&dur=soon", { method: "DELETE" });
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("a duration such as 30d")]);
  });
});

test.each([
  ["GET", "/cmd/prune?type=accessed&dur=1d", "DELETE"],
  ["POST", "/cmd/prune?type=accessed&dur=1d", "DELETE"],
  ["HEAD", "/cmd/stop", "GET"],
  ["POST", "/cmd/stop", "GET"],
  ["DELETE", "/cmd/manifest/list", "GET"],
])("%s %s does nothing: it goes with %s", async (method, target, allowed) => {
  const { actions, ask } = opened();
  const answer = await ask(target, { method });
  expect([answer.status, answer.headers.get("allow"), actions.calls]).toEqual([405, allowed, []]);
});

test("stopping stops once the answer is on its way", async () => {
  const { actions, ask } = opened();
  expect(await (await ask("/cmd/stop")).text()).toBe("stopping\n");
  expect(actions.calls).toEqual([["stop"]]);
});
