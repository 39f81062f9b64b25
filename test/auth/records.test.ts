/** Records: one contract, held by files and by a real Redis; and what each of them does when what it stands on fails. */
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FileRecords } from "../../src/auth/file-records.ts";
import { RecordsUnavailable, unendingMs, type RecordPath, type Records } from "../../src/auth/records.ts";
import { RedisRecords } from "../../src/auth/redis-records.ts";
import { Background } from "../../src/oci/background.ts";
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import { silentLog, type Log } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { KeptLog } from "../support/kept-log.ts";
import { lookUntil } from "../support/looking.ts";
import { requirePrograms } from "../support/programs.ts";
import { redisPassword, startRedis, type Redis } from "../support/redis.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const life = { lifeMs: 60_000 };
const hasRedis = requirePrograms("redis-server", "redis-cli");
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

interface Kept {
  /** Records of one registry, as one more process of it sees them. */
  open(): Records;
}

let redis: Redis | undefined;
beforeAll(async () => {
  redis = hasRedis ? await startRedis() : undefined;
});
afterAll(() => redis?.[Symbol.asyncDispose]());

async function inFiles(): Promise<Kept> {
  const folder = await temporaryFolder();
  closing.push(() => folder[Symbol.asyncDispose]());
  return { open: () => openFiles(join(folder.path, "records")) };
}

function openFiles(folder: string, clock: Clock = systemClock): FileRecords {
  const records = new FileRecords({ folder, clock, background: new Background(silentLog) });
  closing.push(() => records[Symbol.asyncDispose]());
  return records;
}

let prefixes = 0;
async function inRedis(): Promise<Kept> {
  const prefix = `test${prefixes++}`;
  return { open: () => openRedis(redis?.url ?? "", { prefix }) };
}

function openRedis(url: string, { prefix = "test", log = silentLog, clock = systemClock }: { prefix?: string; log?: Log; clock?: Clock } = {}): RedisRecords {
  const records = new RedisRecords({ url: new Secret(url), keyPrefix: prefix, clock, log });
  closing.push(() => records[Symbol.asyncDispose]());
  return records;
}

describe.each([["files", inFiles] as const, ...(hasRedis ? [["redis", inRedis] as const] : [])])("records in %s", (_, arrange) => {
  test("what one process writes another reads, and each kind and name by itself", async () => {
    const kept = await arrange();
    const [one, other] = [kept.open(), kept.open()];
    await one.write(["sessions", "a"], "first", life);
    await one.write(["sessions", "b"], "second", life);
    await one.write(["people", "a"], "third", life);
    await one.write(["keys", "a", "b"], "fourth", life);
    const paths: RecordPath[] = [
      ["sessions", "a"],
      ["sessions", "b"],
      ["people", "a"],
      ["keys", "a", "b"],
      ["keys", "b", "a"],
      ["sessions", "c"],
    ];
    expect(await Promise.all(paths.map((path) => other.read(path)))).toEqual(["first", "second", "third", "fourth", undefined, undefined]);
  });

  test.each([
    ["none", ""],
    ["a word of ours", "late"],
    ["all kinds of characters", "ä\n\0 \u{1f511}"],
    ["what looks like a record", JSON.stringify({ until: 0, text: "x" })],
    ["a quarter of a megabyte", "x".repeat(256 << 10)],
  ])("text comes back as it is: %s", async (__, text) => {
    const records = (await arrange()).open();
    await records.write(["sessions", "a"], text, life);
    expect(await records.read(["sessions", "a"])).toBe(text);
    expect(await records.take(["sessions", "a"])).toBe(text);
  });

  test("what is written again is the newer, whole", async () => {
    const records = (await arrange()).open();
    await records.write(["sessions", "a"], "a longer text than the next", life);
    await records.write(["sessions", "a"], "next", life);
    expect(await records.read(["sessions", "a"])).toBe("next");
  });

  test("of many who take one record, in two processes, one gets it, and then nobody", async () => {
    const kept = await arrange();
    const [one, other] = [kept.open(), kept.open()];
    await one.write(["logins", "state"], "mine", life);
    const taken = await Promise.all(Array.from({ length: 20 }, (__, at) => (at % 2 === 0 ? one : other).take(["logins", "state"])));
    expect(taken.filter((text) => text !== undefined)).toEqual(["mine"]);
    expect(await other.read(["logins", "state"])).toBeUndefined();
  });

  test("what is removed is gone for everybody, and whether there was one is told", async () => {
    const kept = await arrange();
    const [one, other] = [kept.open(), kept.open()];
    await one.write(["keys", "alice", "k"], "x", life);
    expect([await other.remove(["keys", "alice", "k"]), await one.remove(["keys", "alice", "k"])]).toEqual([true, false]);
    expect([await one.read(["keys", "alice", "k"]), await one.list(["keys", "alice"])]).toEqual([undefined, []]);
  });

  test("a list names what stands in one folder, and neither what is below it nor beside it", async () => {
    const kept = await arrange();
    const [one, other] = [kept.open(), kept.open()];
    for (const name of ["k1", "k2", "k3"]) await one.write(["keys", "alice", name], "x", life);
    await one.write(["keys", "bob", "k9"], "x", life);
    await one.write(["owners", "alice"], "x", life);
    await one.remove(["keys", "alice", "k2"]);
    expect((await other.list(["keys", "alice"])).toSorted()).toEqual(["k1", "k3"]);
    expect([await other.list(["keys", "carol"]), await other.list(["owners"])]).toEqual([[], ["alice"]]);
    expect(await other.list(["keys"])).toEqual([]);
  });

  test("what is over is there for nobody, not in a list either, while what has longer is", async () => {
    const records = (await arrange()).open();
    await records.write(["sessions", "alice", "long"], "x", { lifeMs: unendingMs });
    await records.write(["sessions", "alice", "short"], "x", { lifeMs: 1_500 });
    await records.write(["sessions", "alice", "again"], "x", { lifeMs: 1_500 });
    await records.write(["sessions", "alice", "again"], "y", life);
    expect((await records.list(["sessions", "alice"])).toSorted()).toEqual(["again", "long", "short"]);
    await lookUntil(
      () => records.read(["sessions", "alice", "short"]),
      (text) => text === undefined,
      { waitMs: 10_000 },
    );
    await lookUntil(
      () => records.list(["sessions", "alice"]),
      (names) => names.length < 3,
      { waitMs: 10_000 },
    );
    expect((await records.list(["sessions", "alice"])).toSorted()).toEqual(["again", "long"]);
    expect([await records.take(["sessions", "alice", "short"]), await records.read(["sessions", "alice", "again"])]).toEqual([undefined, "y"]);
  });

  test.each([
    ["", "x"],
    ["sessions", ".."],
    ["sessions", "a/b"],
    ["sessions", "a:b"],
    ["sessions", "x".repeat(129)],
    ["sessions", "é"],
  ])("a path that could be read as another is our own mistake: %s/%s", async (...path) => {
    const records = (await arrange()).open();
    const [kind, ...names] = path;
    await expect(records.read([kind, ...names])).rejects.toThrow(/names no record/);
    await expect(records.write([kind, ...names], "x", life)).rejects.toThrow(/names no record/);
    await expect(records.list([kind, ...names])).rejects.toThrow(/names no record/);
  });

  test("many who write one record at once leave one of what they wrote, whole", async () => {
    const kept = await arrange();
    const [one, other] = [kept.open(), kept.open()];
    const texts = Array.from({ length: 20 }, (__, at) => String(at).repeat(1_000));
    await Promise.all(texts.map((text, at) => (at % 2 === 0 ? one : other).write(["sessions", "a"], text, life)));
    expect(texts).toContain(await one.read(["sessions", "a"]));
  });
});

describe("records in files", () => {
  async function setup() {
    const temporary = await temporaryFolder();
    closing.push(() => temporary[Symbol.asyncDispose]());
    const folder = join(temporary.path, "records");
    const clock = new TestClock({ startMs: Date.now() });
    return { folder, clock, records: openFiles(folder, clock) };
  }

  async function filesOf(folder: string): Promise<readonly string[]> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  test("are for their owner's eyes", async () => {
    const { folder, records } = await setup();
    await records.write(["keys", "alice", "k"], "x", life);
    const [file = ""] = await filesOf(folder);
    expect([(await stat(file)).mode & 0o777, (await stat(join(folder, "keys"))).mode & 0o777]).toEqual([0o600, 0o700]);
  });

  test("are over to the millisecond, and their files go when somebody comes upon them", async () => {
    const { folder, clock, records } = await setup();
    await records.write(["sessions", "a"], "x", { lifeMs: 1_000 });
    await clock.advance(999);
    expect(await records.read(["sessions", "a"])).toBe("x");
    await clock.advance(1);
    expect(await records.read(["sessions", "a"])).toBeUndefined();
    await records[Symbol.asyncDispose](); // What swept at the same time may have had it in its hands.
    expect(await filesOf(folder)).toEqual([]);
  });

  test("that nobody asks for any more go with a later one of their kind, with what a process left that was killed", async () => {
    const { folder, clock, records } = await setup();
    await records.write(["sessions", "alice", "a"], "x", { lifeMs: 1_000 });
    await writeFile(join(folder, "sessions", "alice", ".0.tmp"), "half");
    await clock.advance(2 * 3_600_000);
    await records.write(["sessions", "bob", "b"], "x", life);
    await records[Symbol.asyncDispose]();
    expect(await filesOf(folder)).toEqual([join(folder, "sessions", "bob", "b")]);
  });

  test("what is being written is no leftover", async () => {
    const { folder, records } = await setup();
    await mkdir(join(folder, "sessions"), { recursive: true });
    await writeFile(join(folder, "sessions", ".0.tmp"), "half");
    await records.write(["sessions", "a"], "x", life);
    await records[Symbol.asyncDispose]();
    expect((await filesOf(folder)).toSorted()).toEqual([join(folder, "sessions", ".0.tmp"), join(folder, "sessions", "a")]);
    expect(await records.list(["sessions"])).toEqual(["a"]);
  });

  test.each(["", "{", "[]", '{"until":"x","text":"y"}', '{"text":"y"}', '{"until":9e15,"text":1}'])("a torn one is none, and heals: %s", async (torn) => {
    const { folder, records } = await setup();
    await records.write(["sessions", "a"], "x", life);
    await writeFile(join(folder, "sessions", "a"), torn);
    expect([await records.list(["sessions"]), await records.read(["sessions", "a"]), await records.take(["sessions", "a"])]).toEqual([
      [],
      undefined,
      undefined,
    ]);
    await records.write(["sessions", "a"], "y", life);
    expect(await records.read(["sessions", "a"])).toBe("y");
  });

  test("what is written anew while somebody removes what was over stays", async () => {
    const { clock, records } = await setup();
    for (let round = 0; round < 50; round++) {
      await records.write(["people", "alice"], "old", { lifeMs: 1 });
      await clock.advance(1);
      await Promise.all([records.read(["people", "alice"]), records.write(["people", "alice"], "new", life), records.list(["people"])]);
      expect(await records.read(["people", "alice"])).toBe("new");
    }
  });

  test("a folder that cannot be used is unavailable, for each call, and not empty", async () => {
    const { folder, records } = await setup();
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "sessions"), "a file where a folder should be");
    await expect(records.read(["sessions", "a"])).rejects.toThrow(RecordsUnavailable);
    await expect(records.write(["sessions", "a"], "x", life)).rejects.toThrow(RecordsUnavailable);
    await expect(records.take(["sessions", "a"])).rejects.toThrow(RecordsUnavailable);
    await expect(records.list(["sessions"])).rejects.toThrow(RecordsUnavailable);
  });

  test("hold what they are told and nothing else", async () => {
    const { folder, clock, records } = await setup();
    await records.write(["sessions", "a"], "x", { lifeMs: 1_000 });
    expect(JSON.parse(await readFile(join(folder, "sessions", "a"), "utf8"))).toEqual({ until: clock.now() + 1_000, text: "x" });
  });
});

describe.runIf(hasRedis)("records in redis", () => {
  test("nobody is dialled before somebody asks, and an address that is none is not quoted", () => {
    openRedis("redis://127.0.0.1:1");
    for (const url of ["http://alice:secret@127.0.0.1", "secret", "redis:"]) {
      expect(() => openRedis(url)).toThrow(/^must be redis:\/\/host:port/);
    }
  });

  test("a Redis that is away is unavailable at once, one line says so, and one when it is back", async () => {
    const away = await startRedis();
    const log = new KeptLog();
    const records = openRedis(away.url, { log });
    await records.write(["sessions", "a"], "x", life);
    await away[Symbol.asyncDispose]();
    const tries = Array.from({ length: 5 }, () => records.read(["sessions", "a"]).catch((error: unknown) => error));
    for (const error of await Promise.all(tries)) expect(error).toBeInstanceOf(RecordsUnavailable);
    const begunMs = performance.now();
    for (let count = 0; count < 20; count++) await expect(records.read(["sessions", "a"])).rejects.toThrow(RecordsUnavailable);
    expect(performance.now() - begunMs).toBeLessThan(500);
    await using back = await startRedis({ port: away.port });
    expect(
      await lookUntil(
        () =>
          records.write(["sessions", "b"], "y", life).then(
            () => records.read(["sessions", "b"]),
            () => undefined,
          ),
        (text) => text === "y",
        { waitMs: 20_000 },
      ),
    ).toBe("y");
    expect(log.lines.filter((line) => line.startsWith("info"))).toEqual(["info redis answers again {}"]);
    expect(log.lines.filter((line) => line.startsWith("warn")).length).toBeLessThanOrEqual(3);
    expect(back.port).toBe(away.port);
    expect(log.lines.join("\n")).not.toContain(redisPassword);
  });

  test("a Redis that hangs costs one second, once, and everybody meanwhile nothing; when it goes on, so do we", async () => {
    await using hanging = await startRedis();
    const log = new KeptLog();
    const records = openRedis(hanging.url, { log });
    await records.write(["sessions", "a"], "x", life);
    hanging.freeze();
    const begunMs = performance.now();
    await expect(records.read(["sessions", "a"])).rejects.toThrow(/no answer within 1000 ms/);
    const firstMs = performance.now() - begunMs;
    await expect(records.read(["sessions", "a"])).rejects.toThrow(RecordsUnavailable);
    expect(firstMs).toBeGreaterThan(900);
    expect(performance.now() - begunMs - firstMs).toBeLessThan(500);
    hanging.goOn();
    expect(
      await lookUntil(
        () => records.read(["sessions", "a"]).catch(() => undefined),
        (text) => text === "x",
        { waitMs: 20_000 },
      ),
    ).toBe("x");
    expect(log.lines).toContain("info redis answers again {}");
  });

  test("a wrong password is told in the log, which never shows one", async () => {
    const log = new KeptLog();
    const records = openRedis(redis?.url.replace(redisPassword, "wrong-secret") ?? "", { log });
    const error = await records.read(["sessions", "a"]).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RecordsUnavailable);
    expect(log.lines.join("\n")).toMatch(/redis is away.*WRONGPASS/);
    expect(`${String(error)}\n${log.lines.join("\n")}`).not.toContain("secret");
  });

  test("what Redis refuses to do is unavailable, and the next question is asked all the same", async () => {
    await using small = await startRedis();
    const log = new KeptLog();
    const records = openRedis(small.url, { log });
    await small.command("config", "set", "maxmemory", "1");
    await expect(records.write(["sessions", "a"], "x", life)).rejects.toThrow(RecordsUnavailable);
    expect(log.lines.join("\n")).toContain("OOM");
    expect(await records.read(["sessions", "a"])).toBeUndefined();
    await small.command("config", "set", "maxmemory", "0");
    await records.write(["sessions", "a"], "x", life);
    expect(await records.read(["sessions", "a"])).toBe("x");
  });

  test("two registries share one Redis by their prefixes", async () => {
    const [one, other] = [openRedis(redis?.url ?? "", { prefix: "one" }), openRedis(redis?.url ?? "", { prefix: "other" })];
    await one.write(["sessions", "shared"], "x", life);
    expect([await other.read(["sessions", "shared"]), await other.list(["sessions"])]).toEqual([undefined, []]);
  });

  test("nothing is left in Redis when all of it is over", async () => {
    await using own = await startRedis();
    const records = openRedis(own.url);
    await records.write(["sessions", "alice", "a"], "x", { lifeMs: 300 });
    await records.write(["sessions", "alice", "b"], "x", { lifeMs: 100 });
    await records.write(["keys", "alice", "k"], "x", { lifeMs: unendingMs });
    await records.remove(["keys", "alice", "k"]);
    expect(
      await lookUntil(
        () => own.command("keys", "*"),
        (keys) => keys === "",
        { waitMs: 10_000 },
      ),
    ).toBe("");
  });

  test("closing does not wait for one that is away", async () => {
    const records = openRedis("redis://127.0.0.1:1");
    const asking = records.read(["sessions", "a"]).catch((error: unknown) => error);
    await records[Symbol.asyncDispose]();
    expect(await asking).toBeInstanceOf(RecordsUnavailable);
    await expect(records.read(["sessions", "a"])).rejects.toThrow(/closed/);
  });
});
