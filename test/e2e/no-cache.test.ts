/** `Cache-Control: no-cache`: whoever administrates learns what the upstream says now; everybody else gets what is held while it is fresh. */
import { request } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";

const path = "/v2/docker.io/team/app/manifests/1";
const asked = { "cache-control": "max-age=0, No-Cache" };
const head = "HEAD /v2/team/app/manifests/1";

let guarded: GuardedServer;

beforeEach(async () => {
  guarded = await startGuardedServer({
    repositories: ["team/app"],
    users: ["admin", "alice"],
    config: {
      auth: { htpasswd: { path: "HTPASSWD" }, apikey: true, tokenService: "builtin", failDelay: 0 },
      accessControl: {
        repositories: { "**": { policies: [{ users: ["alice", "admin"], actions: ["read"] }], anonymousPolicy: ["read"] } },
        adminPolicy: {
          users: ["admin"],
          actions: ["read", "create"],
          conditions: [{ expression: `!req.userAgent.startsWith("robot")`, message: "no robots" }],
        },
      },
    },
  });
  await guarded.get(path, { user: "admin" });
  expect(guarded.upstream.requests).toHaveLength(2);
});
/** What the upstream was asked since it gave the image. */
const seen = (): readonly string[] => guarded.upstream.requests.slice(2);

afterEach(() => guarded?.[Symbol.asyncDispose]());

test("an administrator's is heard, of a tag that is fresh and of one that was missing a moment ago", async () => {
  expect((await guarded.get(path, { user: "admin" })).status).toBe(200);
  expect(seen()).toEqual([]);
  expect((await guarded.get(path, { user: "admin", headers: asked })).status).toBe(200);
  expect((await guarded.get(path, { user: "admin", headers: asked, method: "HEAD" })).status).toBe(200);
  expect(seen()).toEqual([head, head]);
  const missing = path.replace(/1$/, "2");
  expect((await guarded.get(missing, { user: "admin" })).status).toBe(404);
  guarded.upstream.putImage("team/app", "2");
  expect((await guarded.get(missing, { user: "admin" })).status).toBe(404);
  expect((await guarded.get(missing, { user: "admin", headers: asked })).status).toBe(200);
});

test("an administrator's is heard with a token of ours too, which is how clients show who they are", async () => {
  const token = async (user: string): Promise<string> => {
    const challenge = (await guarded.get("/v2/")).headers.get("www-authenticate") ?? "";
    const service = encodeURIComponent(/service="([^"]*)"/.exec(challenge)?.[1] ?? "");
    const answer = await guarded.get(`/zot/auth/token?service=${service}&scope=repository:docker.io/team/app:pull`, { user });
    return `Bearer ${((await answer.json()) as { readonly token: string }).token}`;
  };
  expect((await guarded.get(path, { authorization: await token("alice"), headers: asked })).status).toBe(200);
  expect(seen()).toEqual([]);
  expect((await guarded.get(path, { authorization: await token("admin"), headers: asked })).status).toBe(200);
  expect(seen()).toEqual([head]);
});

test("nobody else's is", async () => {
  const made = await guarded.get("/zot/auth/apikey", {
    method: "POST",
    user: "admin",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ label: "narrow", scope: { actions: ["read"] } }),
  });
  const { apiKey } = (await made.json()) as { readonly apiKey: string };
  for (const who of [{ user: "alice" }, {}, { authorization: basic("admin", apiKey) }])
    expect((await guarded.get(path, { ...who, headers: asked })).status).toBe(200);
  expect((await guarded.get(path, { user: "admin", headers: { ...asked, "user-agent": "robot" } })).status).toBe(200);
  expect((await guarded.get(path, { user: "admin", headers: { "cache-control": "x-no-cache, no-cache-x" } })).status).toBe(200);
  expect(seen()).toEqual([]);
});

test("on the administrative socket everybody's is, who can open it", async () => {
  const socketPath = join(guarded.server.imagePath, "state", "admin.sock");
  expect(await status({ socketPath, path })).toBe(200);
  expect(seen()).toEqual([]);
  expect(await status({ socketPath, path, headers: asked })).toBe(200);
  expect(seen()).toEqual([head]);
});

function status(options: { readonly socketPath: string; readonly path: string; readonly headers?: Readonly<Record<string, string>> }): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ ...options, agent: false }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode ?? 0)))
      .on("error", reject)
      .end();
  });
}
