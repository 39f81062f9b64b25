import { mkdir, rm } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { pullBlob, pullCall, pullManifest, readBlob, repositoryAt, startTestCache } from "../support/test-cache.ts";

const bytes = seededBytes(2_000_000, "layer");
const image = buildImage();

async function arrange() {
  const upstream = await startFakeUpstream();
  const digest = upstream.putBlob("a", bytes);
  upstream.putManifest("a", "1", image.manifest.bytes, image.manifest.descriptor.mediaType);
  const rig = await startTestCache({ upstreams: [upstream.host] });
  return {
    upstream,
    rig,
    digest,
    repository: repositoryAt(upstream.host, "a"),
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
}

describe("a store that somebody changes underneath", () => {
  test("without its temporary folder in mid-fill: readers get all, nothing is reported broken, the next pull is kept", async () => {
    await using all = await arrange();
    const { upstream, rig, digest, repository } = all;
    const gate = Promise.withResolvers<void>();
    upstream.when({ kind: "blob", times: 1 }, { holdBody: { atBytes: 1_000_000, until: gate.promise } });
    const content = await rig.cache.getBlob(repository, digest, pullCall());
    await upstream.waitForBytes(1_000_000);
    await rm(rig.store.layout.temporary(), { recursive: true });
    gate.resolve();
    expect((await readBlob(content)).equals(bytes)).toBe(true);
    await content[Symbol.asyncDispose]();
    await rig.store.background.settled();
    expect(rig.store.status()).toEqual({ writable: true });
    expect((await pullBlob(rig, repository, digest)).bytes.equals(bytes)).toBe(true);
    await rig.store.background.settled();
    expect((await pullBlob(rig, repository, digest)).outcome).toBe("hit");
  });

  test("with folders where files belong: pulls pass, and are kept when those are gone", async () => {
    await using all = await arrange();
    const { rig, digest, repository } = all;
    const { layout } = rig.store;
    const misplaced = [layout.blob(digest), layout.blob(image.manifest.descriptor.digest)];
    for (const path of misplaced) await mkdir(path, { recursive: true });
    expect((await pullManifest(rig, repository, "1")).outcome).toBe("passed");
    expect((await pullBlob(rig, repository, digest)).bytes.equals(bytes)).toBe(true);
    await rig.store.background.settled();
    for (const path of misplaced) await rm(path, { recursive: true });
    expect((await pullManifest(rig, repository, "1")).outcome).toBe("miss");
    await pullBlob(rig, repository, digest);
    await rig.store.background.settled();
    expect((await pullBlob(rig, repository, digest)).outcome).toBe("hit");
    expect(rig.store.status()).toEqual({ writable: true });
  });
});
