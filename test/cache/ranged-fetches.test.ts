import { expect, test } from "vitest";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { pullBlob, range, repositoryAt, startTestCache } from "../support/test-cache.ts";

const mib = 1024 * 1024;

test("a range ahead of the fill whose own fetch hangs comes with the fill, and is not waited for", async () => {
  await using upstream = await startFakeUpstream();
  const bytes = seededBytes(32 * mib);
  const digest = upstream.putBlob("team/app", bytes);
  const goOn = Promise.withResolvers<void>();
  upstream.when({ kind: "blob", ranged: false }, { holdBody: { atBytes: 2 * mib, until: goOn.promise } });
  upstream.when({ kind: "blob", ranged: true }, { silent: "after headers" });
  // So long the fetch itself would hang: longer than this test may take.
  await using rig = await startTestCache({ upstreams: [upstream.host], pullTimeoutMs: 60_000 });
  const repository = repositoryAt(upstream.host, "team/app");
  const whole = pullBlob(rig, repository, digest);
  await upstream.waitForBytes(2 * mib);
  const part = pullBlob(rig, repository, digest, { ranges: [range(20 * mib, 20 * mib + 99)] });
  await upstream.waitForRequests(2);
  goOn.resolve();
  expect((await part).bytes.equals(bytes.subarray(20 * mib, 20 * mib + 100))).toBe(true);
  expect((await whole).bytes.equals(bytes)).toBe(true);
});
