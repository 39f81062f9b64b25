import { expect, test } from "vitest";
import { FailDelay } from "../../src/auth/fail-delay.ts";
import { TestClock } from "../support/test-clock.ts";

const never = new AbortController().signal;
const shown = ["Basic YTpi"];

test("a refusal of what was shown waits as long as configured", async () => {
  const clock = new TestClock();
  let isOver = false;
  const waiting = new FailDelay({ delayMs: 5_000, clock }).wait(shown, never).then(() => (isOver = true));
  await clock.advance(4_999);
  expect(isOver).toBe(false);
  await clock.advance(1);
  await waiting;
  expect(isOver).toBe(true);
});

test.for([[[]], [[""]], [["Basic Og=="]]])("%j, which only asks how one logs in, does not wait", async ([authorization]) => {
  const clock = new TestClock();
  await new FailDelay({ delayMs: 5_000, clock }).wait(authorization ?? [], never);
  expect(clock.waiting).toBe(0);
});

test("failDelay used to exhaust sockets: 256 wait, the others leave at once, and places come free", async () => {
  const clock = new TestClock();
  const failDelay = new FailDelay({ delayMs: 5_000, clock });
  const leaving = new AbortController();
  const waiting = Array.from({ length: 256 }, (_, index) => failDelay.wait(shown, index === 0 ? leaving.signal : never));
  expect(clock.waiting).toBe(256);
  await failDelay.wait(shown, never);
  leaving.abort(new Error("gone"));
  await expect(waiting[0]).rejects.toThrow("gone");
  const next = failDelay.wait(shown, never);
  expect(clock.waiting).toBe(256);
  await failDelay.wait(shown, never);
  await clock.advance(5_000);
  await Promise.all([...waiting.slice(1), next]);
  expect(clock.waiting).toBe(0);
});

test("without a delay nobody waits", async () => {
  const clock = new TestClock();
  await new FailDelay({ delayMs: 0, clock }).wait(shown, never);
  expect(clock.waiting).toBe(0);
});
