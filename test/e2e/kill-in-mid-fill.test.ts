/** A few kills for every run; `make prove` has hundreds. */
import { expect, test } from "vitest";
import { killInMidFill } from "./kill-in-mid-fill.ts";

const mebibyte = 1024 * 1024;

test("killed in the middle of a fill, it serves what was finished and resumes what was begun", async () => {
  const places = [0.1, 0.5, 0.95];
  const result = await killInMidFill({
    rounds: places.length,
    blobBytes: 24 * mebibyte,
    upstreamBytesPerSecond: 48 * mebibyte,
    random: () => places.shift() ?? 0.5,
  });
  expect(result).toMatchObject({ exactAfterRestart: 3, exactWithoutUpstream: 3, wrongBodies: 0, leftovers: [] });
  expect(result.behindClientBytesWorst).toBeLessThanOrEqual(3 * mebibyte);
  expect(result.upstreamRatioWorst).toBeLessThan(1.5);
}, 60_000);
