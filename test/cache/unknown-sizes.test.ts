import { describe, expect, test } from "vitest";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { pullBlob, pullCall, pullManifest, range, repositoryAt, startTestCache } from "../support/test-cache.ts";

const mib = 1024 * 1024;

async function arrange({ namedBytes }: { namedBytes?: number } = {}) {
  const upstream = await startFakeUpstream();
  const bytes = seededBytes(3 * mib + 17);
  const digest = upstream.putBlob("team/app", bytes);
  const layers = [{ mediaType: mediaTypes.octetStream, digest, size: namedBytes ?? bytes.length }];
  upstream.putManifest("team/app", "1", { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: layers[0], layers });
  upstream.when({ kind: "blob" }, { chunked: true });
  const rig = await startTestCache({ upstreams: [upstream.host] });
  const repository = repositoryAt(upstream.host, "team/app");
  return { upstream, bytes, digest, rig, repository, [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()) };
}

describe("a blob whose upstream says no size", () => {
  test("has the size that a manifest says, and so ranges while it arrives", async () => {
    await using all = await arrange();
    await pullManifest(all.rig, all.repository, "1");
    const part = await pullBlob(all.rig, all.repository, all.digest, { ranges: [range(1_000_000, 1_000_099)] });
    expect(part).toMatchObject({ kind: "partial", sizeBytes: all.bytes.length });
    expect(part.bytes.equals(all.bytes.subarray(1_000_000, 1_000_100))).toBe(true);
  });

  test.each([-1000, 1000])("and whose manifest is wrong about it by %d bytes still arrives, for the next who asks", async (wrongBytes) => {
    await using all = await arrange({ namedBytes: 3 * mib + 17 + wrongBytes });
    await pullManifest(all.rig, all.repository, "1");
    await pullBlob(all.rig, all.repository, all.digest).catch(() => undefined);
    expect((await pullBlob(all.rig, all.repository, all.digest)).bytes.equals(all.bytes)).toBe(true);
  });

  test("and that nobody names is not downloaded any further when its last reader leaves", async () => {
    await using all = await arrange();
    all.upstream.when({ kind: "blob" }, { endless: true });
    const content = await all.rig.cache.getBlob(all.repository, all.digest, pullCall());
    await all.upstream.waitForBytes(4 * mib);
    await content[Symbol.asyncDispose]();
    await all.upstream.waitFor(() => all.upstream.connections.open === 0, "the end of the download");
    expect(all.rig.cache.fillCounts().running).toBe(0);
  });
});
