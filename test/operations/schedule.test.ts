/** Work that comes again: when the expression says, once at a time, and late rather than never. */
import { expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { Schedule, type Rhythm } from "../../src/operations/schedule.ts";
import { KeptLog } from "../support/kept-log.ts";
import { TestClock } from "../support/test-clock.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

interface Run {
  readonly at: string;
  readonly signal: AbortSignal;
  readonly end: (error?: Error) => void;
}

function scheduled(rhythm: Rhythm, { startMs = Date.UTC(2026, 0, 1, 3, 0, 30) }: { startMs?: number } = {}) {
  const clock = new TestClock({ startMs });
  const log = new KeptLog();
  const runs: Run[] = [];
  const work = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      runs.push({ at: new Date(clock.now()).toISOString(), signal, end: (error) => (error ? reject(error) : resolve()) });
    });
  const schedule = new Schedule({ name: "verify", rhythm, work, clock, log, background: new Background(log) });
  return { clock, log, runs, schedule, times: () => runs.map(({ at }) => at) };
}

test("a cron expression is followed to the minute, in its time zone", async () => {
  const { clock, runs, times } = scheduled({ kind: "cron", expression: "30 4 * * *", timezone: "Europe/Berlin" });
  await clock.advance(29 * minuteMs);
  expect(times()).toEqual([]);
  await clock.advance(24 * hourMs);
  expect(times()).toEqual(["2026-01-01T03:30:00.000Z"]);
  runs[0]?.end();
  await clock.advance(24 * hourMs);
  expect(times()).toEqual(["2026-01-01T03:30:00.000Z", "2026-01-02T03:30:00.000Z"]);
});

test("six fields begin with the second", async () => {
  const { clock, times } = scheduled({ kind: "cron", expression: "45 0 3 * * *", timezone: "UTC" });
  await clock.advance(16_000);
  expect(times()).toEqual(["2026-01-01T03:00:45.000Z"]);
});

test("an interval is waited for whole before the first run, and moved by nobody who sets the clock", async () => {
  const { clock, runs, times } = scheduled({ kind: "every", everyMs: 2 * hourMs });
  clock.jump(24 * hourMs);
  await clock.advance(2 * hourMs - 1);
  expect(times()).toEqual([]);
  await clock.advance(1);
  runs[0]?.end();
  await clock.advance(2 * hourMs);
  expect(times()).toHaveLength(2);
});

test("an interval without end is never over", async () => {
  const { clock, times } = scheduled({ kind: "every", everyMs: Infinity });
  await clock.advance(10_000 * hourMs);
  expect(times()).toEqual([]);
});

test("what falls due while a run is busy is left out, and told of", async () => {
  const { clock, log, runs } = scheduled({ kind: "cron", expression: "* * * * *", timezone: "UTC" });
  await clock.advance(3 * minuteMs);
  expect(runs).toHaveLength(1);
  expect(log.lines.filter((line) => line.includes("left out"))).toHaveLength(2);
  runs[0]?.end();
  await clock.advance(minuteMs);
  expect(runs).toHaveLength(2);
});

test("a machine that slept over several runs makes up for one", async () => {
  const { clock, runs } = scheduled({ kind: "cron", expression: "*/10 * * * *", timezone: "UTC" });
  clock.jump(45 * minuteMs);
  await clock.advance(minuteMs);
  expect(runs).toHaveLength(1);
});

test("a run that fails is told of, and the next one comes", async () => {
  const { clock, log, runs } = scheduled({ kind: "cron", expression: "* * * * *", timezone: "UTC" });
  await clock.advance(minuteMs);
  runs[0]?.end(new Error("the disk is away"));
  await clock.advance(minuteMs);
  expect(log.lines).toEqual(['warn scheduled work failed {"work":"verify","error":"the disk is away"}']);
  expect(runs).toHaveLength(2);
});

test("closing tells the run that is busy to end, waits for it, and begins no other", async () => {
  const { clock, log, runs, schedule } = scheduled({ kind: "cron", expression: "* * * * *", timezone: "UTC" });
  await clock.advance(minuteMs);
  let isClosed = false;
  const closing = schedule.close().then(() => (isClosed = true));
  await clock.advance(hourMs);
  expect([runs[0]?.signal.aborted, isClosed, runs.length]).toEqual([true, false, 1]);
  runs[0]?.end(new Error("aborted"));
  await closing;
  expect(log.lines, "an end that was asked for is no failure").toEqual([]);
  expect(clock.waiting).toBe(0);
});
