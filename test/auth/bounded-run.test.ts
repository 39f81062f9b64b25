/** What is stopped, and what is not: time that the machine gave to others is nobody's fault. */
import { expect, test } from "vitest";
import { createWatch } from "../../src/auth/bounded-run.ts";

test("what takes for ever is stopped, after its time or little more", () => {
  let began = 0;
  const startMs = performance.now();
  expect(() =>
    createWatch()(() => {
      began++;
      for (;;);
    }, 50),
  ).toThrow(/timed out after 50ms/);
  expect(began).toBeLessThan(5);
  expect(performance.now() - startMs).toBeLessThan(2_000);
});

test("what only stood still, since others had the processor, is begun again", () => {
  const watch = createWatch();
  let began = 0;
  const once = (): string => {
    if (began++ === 0) standStill();
    return "done";
  };
  expect(watch(once, 50)).toBe("done");
  expect(began).toBe(2);
});

test("what stands still each time is given up", () => {
  let began = 0;
  expect(() =>
    createWatch()(() => {
      began++;
      standStill();
    }, 20),
  ).toThrow(/timed out after 20ms/);
  expect(began).toBe(5);
});

test("what it throws is thrown, and it is not begun again", () => {
  let began = 0;
  expect(() =>
    createWatch()(() => {
      began++;
      throw new Error("of its own");
    }, 50),
  ).toThrow("of its own");
  expect(began).toBe(1);
});

/** Takes time, and no processor. */
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
}
