import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hashSync } from "bcryptjs";
import { HashingQueue } from "../../src/auth/hashing-queue.ts";
import { KeptLog } from "../support/kept-log.ts";
import { runProcess } from "../support/processes.ts";
import { TestClock } from "../support/test-clock.ts";

const never = new AbortController().signal;
const hash = { kind: "bcrypt", text: hashSync("right", 4) } as const;
let clock: TestClock;
let log: KeptLog;
let queue: HashingQueue;

beforeEach(() => {
  clock = new TestClock();
  log = new KeptLog();
  queue = new HashingQueue({ clock, log });
});
afterEach(() => queue[Symbol.asyncDispose]());

test("whoever failed least comes first, and of equals who came first", async () => {
  const order: string[] = [];
  const ranks = [50, 20, 90, -1, 20];
  await Promise.all(
    ranks.map(async (rank, index) => {
      await queue.matches({ password: "wrong", hash }, { rank, signal: never });
      order.push(`${index}:${rank}`);
    }),
  );
  // The first found nobody before it.
  expect(order).toEqual(["0:50", "3:-1", "1:20", "4:20", "2:90"]);
});

test("who leaves is not hashed for, and keeps nobody waiting", async () => {
  const leaving = new AbortController();
  const first = queue.matches({ password: "right", hash }, { rank: 0, signal: never });
  const left = queue.matches({ password: "right", hash }, { rank: 0, signal: leaving.signal });
  const third = queue.matches({ password: "wrong", hash }, { rank: 0, signal: never });
  leaving.abort(new Error("gone"));
  await expect(left).rejects.toThrow("gone");
  expect([await first, await third]).toEqual(["right", "wrong"]);
});

test("beyond 1024 who wait the one who failed most is told so", async () => {
  const guesser = new AbortController();
  const flood = Array.from({ length: 1_025 }, (_, index) => queue.matches({ password: "x", hash }, { rank: 20 + index, signal: guesser.signal }));
  const person = queue.matches({ password: "right", hash }, { rank: 0, signal: never });
  expect(await flood[1_024]).toBe("busy");
  expect(await person).toBe("right");
  guesser.abort(new Error("gone"));
  await Promise.allSettled(flood);
});

test("nobody waits for longer than 20 s", async () => {
  const first = queue.matches({ password: "right", hash }, { rank: 0, signal: never });
  const second = queue.matches({ password: "right", hash }, { rank: 0, signal: never });
  await clock.advance(20_000);
  expect([await first, await second]).toEqual(["busy", "busy"]);
  expect(await queue.matches({ password: "right", hash }, { rank: 0, signal: never })).toBe("right");
});

test("a thread that fails is told of, and the next password finds another", async () => {
  // No file has such a hash: bcrypt throws.
  expect(await queue.matches({ password: "right", hash: { kind: "bcrypt", text: "x".repeat(60) } }, { rank: 0, signal: never })).toBe("busy");
  expect(log.lines).toEqual([expect.stringContaining("error thread that hashes passwords has failed")]);
  expect(await queue.matches({ password: "right", hash }, { rank: 0, signal: never })).toBe("right");
});

test("a closed queue is busy", async () => {
  const waiting = queue.matches({ password: "right", hash }, { rank: 0, signal: never });
  await queue[Symbol.asyncDispose]();
  expect([await waiting, await queue.matches({ password: "right", hash }, { rank: 0, signal: never })]).toEqual(["busy", "busy"]);
});

test("a thread that has nothing to do keeps no process", async () => {
  const script = `
    import { HashingQueue } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../src/auth/hashing-queue.ts")).href)};
    import { systemClock } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../src/oci/clock.ts")).href)};
    import { silentLog } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "../../src/oci/log.ts")).href)};
    const hold = setInterval(() => {}, 1000);
    const task = { password: "right", hash: ${JSON.stringify(hash)} };
    console.log(await new HashingQueue({ clock: systemClock, log: silentLog }).matches(task, { rank: 0, signal: new AbortController().signal }));
    clearInterval(hold);`;
  const { code, stdout } = await runProcess(process.execPath, ["--input-type=module", "-e", script], { deadlineMs: 20_000 });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "right\n" });
});
