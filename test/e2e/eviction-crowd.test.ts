/** A store that is too small for what is pulled. The proof has 2,000 images and five minutes: `node bench/prove.ts eviction`. */
import { expect, test } from "vitest";
import { runEvictionCrowd } from "./eviction-crowd.ts";

test("a crowd pulls more than the store may hold: it stays within its size, nobody's pull fails, and the popular images stay", async () => {
  const result = await runEvictionCrowd({ images: 60, clients: 4, durationMs: 90_000, pullsMax: 600 });
  expect(result.failures).toEqual([]);
  expect(result.evictedImages).toBeGreaterThan(0);
  expect(result.takenBytesMax).toBeLessThanOrEqual(result.limitBytes + result.inFlightBytes);
  // With so few images a water mark is a larger part of the whole than it is in earnest.
  expect(result.hitRatio).toBeGreaterThanOrEqual(result.idealHitRatio * 0.8);
}, 180_000);
