import { expect, test } from "vitest";
import { imagesPerArchive, killArchiveLoads } from "./archive-kills.ts";

test("an archive's load that is killed, early or late, leaves nothing half visible, and the next one finishes it", { timeout: 60_000 }, async () => {
  const points = [0.1, 0.6, 0.9];
  let at = 0;
  const result = await killArchiveLoads({ rounds: points.length, random: () => points[at++] ?? 0 });
  expect(result.halves).toEqual([]);
  expect(result.killed).toBeGreaterThanOrEqual(2);
  expect(result.wholeLooks).toBeGreaterThan(0);
  expect(result.servedAtEnd).toBe(points.length * imagesPerArchive);
  expect(result.leftovers).toEqual([]);
});
