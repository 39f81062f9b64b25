/** A hundred and fifty clients that leave for every run; `make prove` has a thousand. */
import { expect, test } from "vitest";
import { runLeavingClients } from "./clients-that-leave.ts";

const mebibyte = 1024 * 1024;

test("clients that leave anywhere take everything with them but the blobs", async () => {
  const places = numbers(7);
  const { before, after, inexact, upstreamRatio } = await runLeavingClients({
    pulls: 150,
    blobs: 20,
    blobBytes: 2 * mebibyte,
    atOnce: 10,
    random: () => places.next().value,
  });
  expect(inexact).toBe(0);
  expect(after.openFiles).toBeLessThanOrEqual(before.openFiles);
  expect(after.temporaryFiles).toBeLessThanOrEqual(before.temporaryFiles);
  expect(after.residentBytes - before.residentBytes).toBeLessThan(120 * mebibyte);
  expect(upstreamRatio).toBeLessThanOrEqual(1.05);
}, 90_000);

/** The same numbers between 0 and 1 each time. Park and Miller's generator. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ;) {
    state = (state * 48_271) % 2_147_483_647;
    yield state / 2_147_483_647;
  }
}
