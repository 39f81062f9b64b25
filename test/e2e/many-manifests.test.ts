/** A store of some thousand manifests, few enough for every run; `make prove many` has a hundred thousand, and the times. */
import { expect, test } from "vitest";
import { runManyManifests } from "./many-manifests.ts";

const mebibyte = 1024 * 1024;

test("thousands of manifests are all served, from a repository of hundreds as well as from small ones, and take little memory", async () => {
  const { asked, residentBytes } = await runManyManifests({ manifests: 1_500, inOneRepository: 500, rounds: 1, emptiesPageCache: false });
  expect(asked).toBe(1_500);
  expect(residentBytes).toBeLessThan(240 * mebibyte);
}, 120_000);
