import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseReference } from "../../src/oci/reference.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { pullBlob, pullCall, pullManifest, range, readBlob, repositoryAt, startTestCache } from "../support/test-cache.ts";

const mib = 1024 * 1024;
const image = buildImage();

async function arrange({ diskBytes = 8 * mib } = {}) {
  const disk = await mountSmallDisk(diskBytes);
  const upstream = await startFakeUpstream();
  upstream.putManifest("team/app", "1", image.manifest.bytes, image.manifest.descriptor.mediaType);
  const bytes = seededBytes(20 * mib, "larger than the disk");
  const digest = upstream.putBlob("team/app", bytes);
  const rig = await startTestCache({ upstreams: [upstream.host], root: join(disk.path, "store") });
  const repository = repositoryAt(upstream.host, "team/app");
  return {
    disk,
    upstream,
    rig,
    repository,
    bytes,
    digest,
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close(), await disk[Symbol.asyncDispose]()),
  };
}

describe("a full disk", () => {
  test("lets a blob pass that does not fit, exact, to several at once, from one fetch, and keeps nothing of it", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes, upstream } = all;
    const gate = Promise.withResolvers<void>();
    upstream.when({ kind: "blob" }, { holdBody: { atBytes: 1_000, until: gate.promise } });
    const contents = await Promise.all([1, 2, 3].map(() => rig.cache.getBlob(repository, digest, pullCall())));
    gate.resolve();
    const pulled = await Promise.all(contents.map((content) => readBlob(content)));
    for (const part of pulled) expect(part.equals(bytes)).toBe(true);
    for (const content of contents) await content[Symbol.asyncDispose]();
    await rig.store.background.settled();
    expect(upstream.requests).toEqual([`GET /v2/team/app/blobs/${digest}`]);
    await expect(stat(rig.store.layout.blob(digest))).rejects.toThrow("ENOENT");
    expect(await readdir(rig.store.instance.path)).toEqual([]);
    expect(rig.store.status()).toMatchObject({ writable: false });
  });

  test("gives a reader that is far behind when it fills the exact bytes, from the file and then from memory", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes } = all;
    await using content = await rig.cache.getBlob(repository, digest, pullCall());
    await expect.poll(() => rig.store.status().writable).toBe(false);
    expect((await readBlob(content)).equals(bytes)).toBe(true);
  });

  test("from the start lets manifests and small blobs pass, and what a HEAD promised can be got; when there is room they are kept again", async () => {
    await using all = await arrange();
    const { rig, repository, upstream, disk } = all;
    const small = seededBytes(5_000, "small");
    const digest = upstream.putBlob("team/app", small);
    await disk.fill(0);
    const head = await rig.cache.headManifest(repository, parseReference("1"), pullCall());
    await upstream.waitForRequests(2);
    expect(Buffer.from((await pullManifest(rig, repository, head.digest)).bytes).equals(Buffer.from(image.manifest.bytes))).toBe(true);
    expect((await pullBlob(rig, repository, digest)).bytes.equals(small)).toBe(true);
    await rig.store.background.settled();
    await disk.relieve();
    expect((await pullBlob(rig, repository, digest)).bytes.equals(small)).toBe(true);
    await rig.store.background.settled();
    expect((await pullBlob(rig, repository, digest)).outcome).toBe("hit");
    expect(rig.store.status()).toEqual({ writable: true });
  });

  test("when there is room again, keeps what a tag means before it keeps the tag", async () => {
    await using all = await arrange();
    const { rig, repository, disk } = all;
    await disk.fill(0);
    const { outcome, descriptor } = await pullManifest(rig, repository, "1");
    expect(outcome).toBe("passed");
    await disk.relieve();
    await pullManifest(rig, repository, "1");
    expect((await stat(rig.store.layout.blob(descriptor.digest))).size).toBe(descriptor.sizeBytes);
    expect((await pullManifest(rig, repository, "1")).outcome).toBe("hit");
  });

  test("serves a range of what cannot be kept as the rest of a new stream", async () => {
    await using all = await arrange();
    const { rig, repository, digest, bytes } = all;
    const pulled = await pullBlob(rig, repository, digest, { ranges: [range(15 * mib)] });
    expect(pulled.bytes.equals(bytes.subarray(15 * mib))).toBe(true);
  });
});
