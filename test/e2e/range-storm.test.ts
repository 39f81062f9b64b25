/** Parallel open-ended ranges on a cold blob, small enough for every run; `make prove` has the large one. */
import { expect, test } from "vitest";
import { runRangeStorm } from "./range-storm.ts";

const mebibyte = 1024 * 1024;

test("ten clients with four parallel open-ended ranges each cost the upstream hardly more than the blob", async () => {
  const { exactClients, upstreamRatio } = await runRangeStorm({
    blobBytes: 64 * mebibyte,
    partBytes: 8 * mebibyte,
    clients: 10,
    atOnce: 4,
    upstreamBytesPerSecond: 32 * mebibyte,
  });
  expect(exactClients).toBe(10);
  expect(upstreamRatio).toBeLessThanOrEqual(1.1);
}, 60_000);
