import { expect, test } from "vitest";
import { RingMemory } from "../../src/cache/ring-memory.ts";

test("the first get what they want, a crowd shares the rest, and everybody gets the least", () => {
  const memory = new RingMemory({ totalBytes: 64 });
  const taken = Array.from({ length: 200 }, () => memory.take(2, 1));
  expect(taken.slice(0, 24)).toEqual(Array.from({ length: 24 }, () => 2));
  expect(taken.slice(32)).toEqual(Array.from({ length: 168 }, () => 1));
});

test("what is given back is there for the next", () => {
  const memory = new RingMemory({ totalBytes: 80 });
  const first = memory.take(100, 1);
  expect(first).toBe(10);
  expect(memory.take(100, 1)).toBe(8);
  memory.giveBack(18);
  expect(memory.take(100, 1)).toBe(10);
});
