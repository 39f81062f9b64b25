/** Keys as operators make, list and revoke them, beside a running server. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { basic } from "../support/guarded-server.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requirePrograms } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { passwordLine } from "../support/token-service.ts";
import { CapturedIo, type Outcome } from "./captured-io.ts";
import { run } from "../../src/cli/program.ts";

const stack: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of stack.splice(0).toReversed()) await close();
});

async function arrange(auth: object = {}) {
  const folder = await temporaryFolder();
  stack.push(() => folder[Symbol.asyncDispose]());
  const users = join(folder.path, "htpasswd");
  await writeFile(users, passwordLine("alice", "alice-password"));
  const config = { auth: { htpasswd: { path: users }, apikey: true, ...auth } };
  const file = join(folder.path, "keys.yaml");
  await writeFile(file, JSON.stringify({ imagePath: join(folder.path, "store"), ...config }));
  const keys = async (...words: readonly string[]): Promise<Outcome> => {
    const io = new CapturedIo();
    const code = await run(["apikey", ...words, "--config-file", file], io);
    return { code, out: io.out, errors: io.errors };
  };
  const serve = async (): Promise<OurServer> => {
    const server = await startOurServer({ folder: folder.path, config });
    stack.push(() => server[Symbol.asyncDispose]());
    return server;
  };
  return { keys, serve };
}

async function statusOf(server: OurServer, user: string, key: string): Promise<number> {
  return (await fetch(`${server.url}/v2/`, { headers: { authorization: basic(user, key) } })).status;
}

describe("apikey create", () => {
  test("prints the key alone to stdout, what it is to stderr, and a running server takes it and no longer once it is revoked", async () => {
    const { keys, serve } = await arrange();
    const server = await serve();
    const made = await keys("create", "--user", "ci", "--label", "build farm", "--expires", "90d");
    expect(made).toEqual({
      code: 0,
      out: expect.stringMatching(/^zak_[0-9a-f]{32}\n$/),
      errors: expect.stringMatching(/of ci, a service account: .* is good until \d{4}-/),
    });
    const key = made.out.trim();
    expect([await statusOf(server, "ci", key), await statusOf(server, "alice", key)]).toEqual([200, 401]);
    const [, id = ""] = /key ([0-9a-f-]{36})/.exec(made.errors) ?? [];
    expect(await keys("revoke", id)).toEqual({ code: 0, out: "1 key revoked\n", errors: "" });
    const seen = await lookUntil(
      () => statusOf(server, "ci", key),
      (status) => status === 401,
      { waitMs: 10_000 },
    );
    expect(seen).toBe(401);
  });

  test("of somebody in the password file is theirs", async () => {
    const { keys } = await arrange();
    expect((await keys("create", "--user", "alice", "--label", "laptop")).errors).toMatch(/of alice, of the password file, is good until it is revoked/);
  });

  test("takes patterns with commas, braces with theirs, and actions; as JSON it says all of it", async () => {
    const { keys } = await arrange();
    const { out } = await keys(..."create --user ci --label x --repository team/**,quay.io/{a,b}/* --repository other/app --action read --json".split(" "));
    const made = JSON.parse(out) as Record<string, unknown>;
    expect(made).toMatchObject({ user: "ci", account: "service", label: "x", expires: null, expired: false, used: null });
    expect(made["scope"]).toEqual({ repositories: ["team/**", "quay.io/{a,b}/*", "other/app"], actions: ["read"] });
    expect(made["key"]).toMatch(/^zak_/);
  });

  test.each([
    [["--user", "ci", "--label", "x", "--expires", "soon"], 2, /--expires: "soon" is not a time to live/],
    [["--user", "ci", "--label", "x", "--expires", "0"], 2, /not a time to live/],
    [["--user", "ci", "--label", "x", "--action", "pull"], 2, /"pull" is not an action/],
    [["--user", "ci", "--label", "x", "--repository", "team/["], 2, /without a \]/],
    [["--user", " ", "--label", "x"], 2, /a name that can be shown/],
    [["--user", "ci", "--label", "two\nlines"], 2, /one line/],
    [["--user", "ci"], 2, /--label/],
    [["--label", "x"], 2, /--user/],
  ])("%j is misuse, and makes none", async (words, code, problem) => {
    const { keys } = await arrange();
    const made = await keys("create", ...words);
    expect(made).toEqual({ code, out: "", errors: expect.stringMatching(problem) });
    expect((await keys("list", "--json")).out).toBe("");
  });
});

describe("apikey list", () => {
  test("says what there is, of everybody or of one, and never a key", async () => {
    const { keys } = await arrange();
    expect(await keys("list")).toEqual({ code: 0, out: "", errors: "no keys\n" });
    const made = [
      await keys("create", "--user", "ci", "--label", "farm", "--repository", "team/**", "--action", "read"),
      await keys("create", "--user", "alice", "--label", "laptop", "--expires", "1h"),
    ];
    const { out } = await keys("list");
    const [header, alice, ci] = out.split("\n");
    expect(header).toMatch(/^ID +USER +LABEL +CREATED +EXPIRES +USED +FOR$/);
    expect(alice).toMatch(/^[0-9a-f-]{36} +alice +laptop +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d +never +all that its owner may$/);
    expect(ci).toMatch(/ ci +farm .* never +never +read,team\/\*\*$/);
    for (const { out: key } of made) expect(out).not.toContain(key.trim().slice(4));
    const lines = (await keys("list", "--user", "ci", "--json")).out.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { label: string }).label)).toEqual(["farm"]);
    expect((await keys("list", "--user", "bob")).errors).toBe("no keys of bob\n");
  });
});

describe("apikey revoke", () => {
  test("ends all of one user's, and nobody else's", async () => {
    const { keys } = await arrange();
    for (const label of ["1", "2"]) await keys("create", "--user", "ci", "--label", label);
    await keys("create", "--user", "alice", "--label", "3");
    expect((await keys("revoke", "--user", "ci")).out).toBe("2 keys of ci revoked\n");
    expect((await keys("revoke", "--user", "ci")).out).toBe("0 keys of ci revoked\n");
    expect((await keys("list")).out.split("\n")).toHaveLength(3);
  });

  test("of an id that is nobody's fails, and without one it is misuse", async () => {
    const { keys } = await arrange();
    expect(await keys("revoke", "1f0c2a6e")).toEqual({ code: 1, out: "", errors: "ociregistry: no key has the id 1f0c2a6e\n" });
    expect((await keys("revoke")).code).toBe(2);
    expect((await keys("revoke", "1f0c2a6e", "--user", "ci")).code).toBe(2);
  });
});

test.each(["create --user ci --label x", "list", "revoke --user ci"])("where no server would take a key it says so: %s", async (line) => {
  const { keys } = await arrange({ apikey: false });
  expect(await keys(...line.split(" "))).toMatchObject({ code: 1, out: "", errors: expect.stringContaining("auth.apikey is not set") });
});

test.runIf(requirePrograms("redis-server", "redis-cli"))(
  "keys that are kept in Redis are made and ended there, and one that is away is told of in a line",
  async () => {
    const redis = await startRedis();
    stack.push(() => redis[Symbol.asyncDispose]());
    const { keys, serve } = await arrange({ sessionDriver: { name: "redis", url: redis.url } });
    const server = await serve();
    const made = await keys("create", "--user", "ci", "--label", "farm");
    expect(await statusOf(server, "ci", made.out.trim())).toBe(200);
    expect((await keys("revoke", "--user", "ci")).out).toBe("1 key of ci revoked\n");
    redis.freeze();
    expect(await keys("list")).toEqual({ code: 1, out: "", errors: "ociregistry: redis: no answer within 1000 ms\n" });
    redis.goOn();
  },
);
