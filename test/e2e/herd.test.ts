/** One fetch for a herd, small enough for every run; `make prove` has the large one with its times and memory. */
import { expect, test } from "vitest";
import { runHerd } from "./herd.ts";

const mebibyte = 1024 * 1024;

test("sixteen clients of one cold blob, one stalled, one slow, some late, some through another repository, cost the upstream one fetch", async () => {
  const result = await runHerd({
    blobBytes: 32 * mebibyte,
    clients: 16,
    upstreamBytesPerSecond: 32 * mebibyte,
    joiningAtHalf: 3,
    joiningAtEnd: 2,
    throughOther: 4,
  });
  expect(result).toMatchObject({ upstreamRatio: 1, blobRequests: 1, exactClients: 16 });
}, 60_000);
