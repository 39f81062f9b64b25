/** What is held beside much else, for a moment; `make prove busy` has more of it, and the times. */
import { expect, test } from "vitest";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { runDeadResolver, runFastFills } from "./busy.ts";

const mebibyte = 1024 * 1024;

test.runIf(requirePrograms("nginx", "curl"))(
  "a manifest that is held is answered beside downloads as fast as they come",
  async () => {
    const { calm, meanwhile } = await runFastFills({ blobs: 8, blobBytes: 32 * mebibyte, atOnce: 4, perSecond: 50, calmMs: 500 });
    expect(calm.answers).toBeGreaterThan(0);
    expect(meanwhile.answers).toBeGreaterThan(0);
    expect(meanwhile.medianMs).toBeLessThan(200);
  },
  60_000,
);

test.runIf(requirePrograms("unshare", "nice") && requireRoot())(
  "blobs that are held are answered while downloads wait for a resolver that never answers",
  async () => {
    const { blobs, waiting } = await runDeadResolver({ waiting: 16, eachMs: 1_000 });
    expect(waiting).toBe(16);
    for (const { meanwhile } of blobs) {
      expect(meanwhile.answers).toBeGreaterThan(0);
      expect(meanwhile.medianMs).toBeLessThan(500);
    }
  },
  60_000,
);
