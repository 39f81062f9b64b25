/** A few kills for every run; `make prove` has hundreds. */
import { expect, test } from "vitest";
import { killInMidFill } from "./kill-in-mid-fill.ts";

const mebibyte = 1024 * 1024;

test("killed under load, it serves what was finished, resumes what was begun, and leaves nothing else", async () => {
  const places = [0.1, 0.5, 0.85, 1];
  const result = await killInMidFill({
    rounds: places.length,
    blobBytes: 24 * mebibyte,
    upstreamBytesPerSecond: 48 * mebibyte,
    pairs: 3,
    layerBytes: 200_000,
    random: () => places.shift() ?? 0.5,
  });
  expect(result).toMatchObject({ exactAfterRestart: 4, exactWithoutUpstream: 4, wrongBodies: 0, wrongFiles: [], leftovers: [] });
  expect(result.crowdImages).toBeGreaterThan(0);
  expect(result.crowdImagesWithoutUpstream).toBe(result.crowdImages);
  expect(result.behindClientBytesWorst).toBeLessThanOrEqual(3 * mebibyte);
  expect(result.sentAgainWorst).toBeLessThan(0.15); // What is on its way through our memory: 3 MiB at most, whatever the size.
}, 90_000);
