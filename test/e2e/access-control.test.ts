/** zot's documented access rules over a real socket: what each user named in them may read, and sees in the catalog. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import type { FakeUpstream } from "../support/fake-upstream.ts";

const example = join(import.meta.dirname, "..", "config", "examples", "zot-access-control.json");
const htpasswd = { htpasswd: { path: "HTPASSWD" } };

interface Rules {
  readonly accessControl: object;
  readonly repositories: readonly string[];
  readonly users: readonly string[];
}

/** user (empty: nobody), repository, whether it may read, whether the catalog shows it. */
type Row = readonly [user: string, repository: string, reads: boolean, sees: boolean];

const upstreamOf = (upstream: FakeUpstream) => [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }];

async function serveRules({ accessControl, repositories, users }: Rules): Promise<GuardedServer> {
  const config = { auth: htpasswd, accessControl: { ...accessControl, adminPolicy: withFiller(accessControl) } };
  const guarded = await startGuardedServer({ repositories, config, users: [...users, "filler"], registries: upstreamOf });
  // What the catalog is to show must be held.
  for (const repository of repositories) expect((await guarded.get(`/v2/${repository}/manifests/1`, { user: "filler" })).status).toBe(200);
  return guarded;
}

function withFiller(accessControl: object): object {
  const { adminPolicy = { users: [], actions: ["read"] } } = accessControl as { adminPolicy?: { users?: string[]; groups?: string[]; actions: string[] } };
  return { ...adminPolicy, users: [...(adminPolicy.users ?? []), "filler"] };
}

async function judge(guarded: GuardedServer, [user, repository]: Row): Promise<Row> {
  const as = user === "" ? {} : { user };
  const read = await guarded.get(`/v2/${repository}/manifests/1`, as);
  const listed = await guarded.get("/v2/_catalog?n=1000", as);
  const { repositories = [] } = (await listed.json()) as { repositories?: readonly string[] };
  expect([200, user === "" ? 401 : 403]).toContain(read.status);
  return [user, repository, read.status === 200, repositories.includes(`docker.io/${repository}`)];
}

describe("zot's documented rules", async () => {
  const { http } = JSON.parse(await readFile(example, "utf8")) as { http: { accessControl: object } };
  const repositories = ["other/app", "tmp/a", "tmp/a/b/c", "infra/x", "infra/x/y", "repos2/repo", "repos2/other"];
  let guarded: GuardedServer;
  beforeAll(async () => {
    const users = ["zed", "charlie", "alice", "bob", "mary", "mallory", "jim", "admin", "Admin"];
    guarded = await serveRules({ accessControl: http.accessControl, repositories, users });
  });
  afterAll(() => guarded?.[Symbol.asyncDispose]());

  test.each<Row>([
    ["", "other/app", false, false],
    ["", "tmp/a", true, true],
    ["", "tmp/a/b/c", true, true],
    ["", "infra/x", false, false],
    ["", "repos2/repo", false, false],
    ...["zed", "charlie", "alice", "bob", "mary", "mallory", "jim", "admin", "Admin"].flatMap((user) =>
      repositories.map((repository): Row => [user, repository, true, true]),
    ),
  ])("%j and %s", async (...row) => {
    expect(await judge(guarded, row)).toEqual(row);
  });
});

describe("rules of zot's tests", () => {
  const cases: readonly (Rules & { readonly what: string; readonly rows: readonly Row[] })[] = [
    {
      what: "a brace pattern that is longer than an exact name decides",
      accessControl: {
        repositories: {
          "**": { defaultPolicy: ["read"] },
          "{infra,repos}/**": { defaultPolicy: ["read"] },
          "infra/secret": { policies: [{ users: ["alice"], actions: ["read"] }] },
        },
      },
      repositories: ["infra/secret"],
      users: ["zed"],
      rows: [["zed", "infra/secret", true, true]],
    },
    {
      what: "whoever has a name has not the rights of those without",
      accessControl: { repositories: { "pub/**": { anonymousPolicy: ["read"] } } },
      repositories: ["pub/a", "other/a"],
      users: ["zed"],
      rows: [
        ["zed", "pub/a", false, false],
        ["", "pub/a", true, true],
        ["", "other/a", false, false],
      ],
    },
    {
      what: "an empty entry locks, and a listing shows administrators all",
      accessControl: {
        repositories: { "**": { defaultPolicy: ["read"] }, "locked/**": {} },
        adminPolicy: { users: ["root"], groups: ["ops"], actions: ["read"] },
        groups: { ops: { users: ["olga"] } },
      },
      repositories: ["locked/a", "b/a"],
      users: ["zed", "root", "olga"],
      rows: [
        ["zed", "locked/a", false, false],
        ["zed", "b/a", true, true],
        ["root", "locked/a", true, true],
        ["olga", "locked/a", true, true],
      ],
    },
    {
      what: "what no pattern names is closed",
      accessControl: { repositories: { "infra/*": { defaultPolicy: ["read"] } } },
      repositories: ["other/a", "infra/a"],
      users: ["zed"],
      rows: [
        ["zed", "other/a", false, false],
        ["zed", "infra/a", true, true],
      ],
    },
  ];

  test.each(cases)("$what", async ({ rows, ...rules }) => {
    await using guarded = await serveRules(rules);
    for (const row of rows) expect(await judge(guarded, row)).toEqual(row);
  });

  test("a page of the catalog is full of what may be seen", async () => {
    const accessControl = { repositories: { "see/**": { defaultPolicy: ["read"] } } };
    const repositories = ["a/hidden", "b/hidden", "see/1", "see/2", "see/3", "z/hidden"];
    await using guarded = await serveRules({ accessControl, repositories, users: ["zed"] });
    const pages: unknown[] = [];
    for (let path: string | undefined = "/v2/_catalog?n=2"; path !== undefined;) {
      const page: Response = await guarded.get(path, { user: "zed" });
      pages.push(((await page.json()) as { repositories: unknown }).repositories);
      path = /^<(.+)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
    }
    expect(pages).toEqual([["docker.io/see/1", "docker.io/see/2"], ["docker.io/see/3"]]);
  });
});
