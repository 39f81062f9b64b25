/** A dozen seconds of what `make prove soak` does for half an hour. */
import { expect, test } from "vitest";
import { runSoak } from "./soak.ts";

test("mixed load beside registries that fall ill in turn: no wrong byte, nothing held is refused, and nothing stays behind", async () => {
  const { wrong, failed, complaints, visits, before, after, reloads } = await runSoak({ durationMs: 12_000, illnessMs: 1_000, sampleEveryMs: 1_000 });
  expect({ wrong, failed, complaints }).toEqual({ wrong: [], failed: [], complaints: [] });
  expect(visits.get("cold had")).toBeGreaterThan(0);
  expect(reloads).toBeGreaterThan(0);
  expect({ owed: after.owed, temporaryFiles: after.temporaryFiles, fills: after.fillsRunning }).toEqual({ owed: 0, temporaryFiles: 0, fills: 0 });
  expect(after.openFiles).toBeLessThanOrEqual(before.openFiles);
}, 180_000);
