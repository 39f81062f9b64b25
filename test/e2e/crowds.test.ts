/** Clients and registries that mean no good, few enough for every run; `make prove hostile` has the crowds. */
import { expect, test } from "vitest";
import { abandonHugeFills, runCrowd } from "./crowds.ts";

const mebibyte = 1024 * 1024;

test("half requests, stalled readers and floods of headers take little from us, and leave nothing behind", async () => {
  const { idle, most, after } = await runCrowd({ halfRequests: 100, stalledReaders: 100, headerFloods: 40, clients: 16, pulls: 320 });
  expect(most.residentBytes - idle.residentBytes).toBeLessThan(150 * mebibyte);
  expect(after.openFiles).toBeLessThanOrEqual(idle.openFiles);
}, 60_000);

test("huge downloads that are begun and left are few, and take little", async () => {
  const { idle, most, goingOn } = await abandonHugeFills({ registries: 3 });
  expect(most.residentBytes - idle.residentBytes).toBeLessThan(150 * mebibyte);
  expect(goingOn).toBeLessThanOrEqual(3 * 8);
}, 60_000);
