/** The test clock runs what is due, in order, and nothing else. */
import { expect, test } from "vitest";
import { delay } from "../../src/oci/clock.ts";
import { TestClock } from "./test-clock.ts";

test("runs wakes in order of time, those included that a wake asks for", async () => {
  const clock = new TestClock();
  const seen: string[] = [];
  clock.after(20, () => seen.push(`b at ${clock.elapsed()}`));
  clock.after(10, () => {
    seen.push(`a at ${clock.elapsed()}`);
    clock.after(5, () => seen.push(`c at ${clock.elapsed()}`));
  });
  clock.after(31, () => seen.push("too early"));
  clock.after(15, () => seen.push("cancelled"))();
  await clock.advance(30);
  expect(seen).toEqual(["a at 10", "c at 15", "b at 20"]);
  expect(clock.waiting).toBe(1);
});

test("lets promises run between two wakes", async () => {
  const clock = new TestClock();
  const seen: number[] = [];
  const loop = (async () => {
    for (let round = 0; round < 3; round++) {
      await delay(clock, 10);
      seen.push(clock.elapsed());
    }
  })();
  await clock.advance(100);
  await loop;
  expect(seen).toEqual([10, 20, 30]);
});

test("a jump of the machine's clock changes now() alone", async () => {
  const clock = new TestClock({ startMs: 1000 });
  await clock.advance(5);
  clock.jump(-500);
  expect([clock.now(), clock.elapsed()]).toEqual([505, 5]);
});
