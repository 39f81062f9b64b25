/** What is not there, or not for us, is asked once in a while; what an outage hides is asked every time. */
import { describe, expect, test } from "vitest";
import { NegativeAnswers } from "../../src/cache/negative-answers.ts";
import { digestOf, parseDigest } from "../../src/oci/digest.ts";
import { OciError } from "../../src/oci/errors.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { Call, ReferrersCall, TagsCall } from "../../src/oci/registry.ts";
import { isCollected } from "../support/collected.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage } from "../support/images.ts";
import { pullBlob, pullCall, pullManifest, repositoryAt, startTestCache } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";

const image = buildImage({ annotations: { is: "late" } });
const manifestDigest = image.manifest.descriptor.digest;
const bytes = Buffer.from("a blob that comes later");
const blobDigest = digestOf(bytes);
const fallbackTag = manifestDigest.replace(":", "-");

async function arrange() {
  const upstream = await startFakeUpstream();
  upstream.putImage("team/app", "other");
  const clock = new TestClock({ startMs: Date.now() });
  const rig = await startTestCache({ upstreams: [upstream.host], clock });
  const repository = repositoryAt(upstream.host, "team/app");
  return {
    upstream,
    clock,
    rig,
    putManifest: (tag?: string) => upstream.putManifest("team/app", tag, image.manifest.bytes, image.manifest.descriptor.mediaType),
    manifest: (reference: string) => pullManifest(rig, repository, reference),
    blob: () => pullBlob(rig, repository, blobDigest),
    headBlob: (more: Partial<Call> = {}) => rig.cache.headBlob(repository, parseDigest(blobDigest), pullCall(more)),
    tags: (more: Partial<TagsCall> = {}) => rig.cache.listTags(repository, pullCall(more)),
    referrers: (more: Partial<ReferrersCall> = {}) => rig.cache.listReferrers(repository, manifestDigest, pullCall(more)),
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
}

test("of what is remembered nothing is kept of how it came about: an error holds on to all that its calls had at hand", async () => {
  const answers = new NegativeAnswers(new TestClock());
  const isForgotten = await isCollected(async () => {
    const error = new OciError("BLOB_UNKNOWN", "no such blob", { source: "upstream", cause: new Error("404") });
    answers.note("a blob", error, { byDigest: true });
    return error;
  });
  expect(isForgotten).toBe(true);
  expect(() => answers.check("a blob", {})).toThrow(expect.objectContaining({ code: "BLOB_UNKNOWN", source: "upstream", message: "no such blob" }));
});

describe("what is unknown upstream", () => {
  test.each([
    ["a manifest by digest", manifestDigest, 30_000, "GET", undefined],
    ["a tag", "late", 5_000, "HEAD", "late"],
    ["a fallback tag", fallbackTag, 5_000, "HEAD", fallbackTag],
  ])("is remembered: %s", async (_, reference, lifeMs, method, tag) => {
    await using all = await arrange();
    const asked = `${method} /v2/team/app/manifests/${reference}`;
    await expect(all.manifest(reference)).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
    all.putManifest(tag);
    await all.clock.advance(lifeMs - 1);
    await expect(all.manifest(reference)).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
    expect(all.upstream.requests).toEqual([asked]);
    await all.clock.advance(1);
    expect((await all.manifest(reference)).descriptor.digest).toBe(manifestDigest);
    expect(all.upstream.requests.slice(0, 2)).toEqual([asked, asked]);
  });

  test("is remembered: a blob, for GET and HEAD alike", async () => {
    await using all = await arrange();
    await expect(all.headBlob()).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    all.upstream.putBlob("team/app", bytes);
    await all.clock.advance(29_999);
    await expect(all.blob()).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    await expect(all.headBlob()).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    expect(all.upstream.requests).toEqual([`HEAD /v2/team/app/blobs/${blobDigest}`]);
    await all.clock.advance(1);
    expect((await all.blob()).bytes.equals(bytes)).toBe(true);
  });

  test("is heard by HEAD too when it is a blob that a held manifest names; by who asks what is there now, not", async () => {
    await using all = await arrange();
    const descriptor = { mediaType: mediaTypes.octetStream, digest: blobDigest, size: bytes.byteLength };
    all.upstream.putManifest("team/app", "missing", { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: descriptor, layers: [] });
    await all.manifest("missing");
    expect(await all.headBlob()).toMatchObject({ sizeBytes: bytes.byteLength, outcome: "miss" });
    all.upstream.forget();
    await expect(all.blob()).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    await expect(all.headBlob()).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    expect(all.upstream.requests).toEqual([`GET /v2/team/app/blobs/${blobDigest}`]);
    expect(await all.headBlob({ noCache: true })).toMatchObject({ sizeBytes: bytes.byteLength });
    await all.clock.advance(30_000);
    expect(await all.headBlob()).toMatchObject({ sizeBytes: bytes.byteLength });
  });

  test("is remembered for a list of tags, whichever page is asked for", async () => {
    await using all = await arrange();
    const permit = all.upstream.when({ kind: "tags" }, { status: 404 });
    await expect(all.tags()).rejects.toMatchObject({ code: "NAME_UNKNOWN" });
    permit();
    await all.clock.advance(4_999);
    await expect(all.tags({ last: "m" })).rejects.toMatchObject({ code: "NAME_UNKNOWN" });
    expect(all.upstream.requests).toEqual(["GET /v2/team/app/tags/list"]);
    await all.clock.advance(1);
    expect(await all.tags()).toMatchObject({ tags: ["other"] });
  });

  test("is not remembered by another process, nor once it is held by way of one", async () => {
    await using all = await arrange();
    await expect(all.manifest("late")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
    all.putManifest("late");
    await using other = await startTestCache({ upstreams: [all.upstream.host], root: all.rig.store.layout.root });
    await pullManifest(other, repositoryAt(all.upstream.host, "team/app"), "late");
    await all.clock.advance(1_001); // What another put on the disk shows within a second.
    all.upstream.forget();
    expect(await all.manifest("late")).toMatchObject({ outcome: "hit" });
    expect(all.upstream.requests).toEqual([]);
  });
});

describe("what is refused upstream", () => {
  test("is remembered for ten seconds", async () => {
    await using all = await arrange();
    const permit = all.upstream.when({ kind: "manifest" }, { status: 403 });
    await expect(all.manifest("other")).rejects.toMatchObject({ code: "DENIED" });
    permit();
    await all.clock.advance(9_999);
    await expect(all.manifest("other")).rejects.toMatchObject({ code: "DENIED" });
    expect(all.upstream.requests).toEqual(["HEAD /v2/team/app/manifests/other"]);
    await all.clock.advance(1);
    await all.manifest("other");
  });

  test.each([
    ["a list of tags", "tags", "/v2/team/app/tags/list"],
    ["what refers to an image", "referrers", `/v2/team/app/referrers/${manifestDigest}`],
  ] as const)("is remembered for ten seconds: %s", async (_, kind, path) => {
    await using all = await arrange();
    const permit = all.upstream.when({ kind }, { status: 403 });
    for (let times = 0; times < 3; times++) await expect(all[kind]()).rejects.toMatchObject({ code: "DENIED", source: "upstream" });
    expect(all.upstream.requests).toEqual([`GET ${path}`]);
    await expect(all[kind]({ noCache: true })).rejects.toMatchObject({ code: "DENIED" });
    expect(all.upstream.requests).toEqual([`GET ${path}`, `GET ${path}`]);
    permit();
    await all.clock.advance(9_999);
    await expect(all[kind]()).rejects.toMatchObject({ code: "DENIED" });
    expect(all.upstream.requests).toHaveLength(2);
    await all.clock.advance(1);
    await all[kind]();
    expect(all.upstream.requests[2]).toBe(`GET ${path}`);
  });

  test.each(["tags", "referrers"] as const)("is asked for again as soon as a credential changed: %s", async (kind) => {
    await using all = await arrange();
    const permit = all.upstream.when({ kind }, { status: 403 });
    await expect(all[kind]()).rejects.toMatchObject({ code: "DENIED" });
    permit();
    all.rig.cache.forgetDenials();
    await all[kind]();
  });

  test("is asked for every time where tags are held that stand in", async () => {
    await using all = await arrange();
    await all.manifest("other");
    const permit = all.upstream.when({ kind: "tags" }, { status: 403 });
    for (let times = 0; times < 2; times++) expect(await all.tags()).toMatchObject({ tags: ["other"], outcome: "stale" });
    permit();
    expect(await all.tags()).toMatchObject({ tags: ["other"], outcome: "passed" });
  });

  test("is asked for again as soon as a credential changed, and what is unknown is not", async () => {
    await using all = await arrange();
    const permit = all.upstream.when({ kind: "manifest", path: "/other" }, { status: 403 });
    await expect(all.manifest("other")).rejects.toMatchObject({ code: "DENIED" });
    await expect(all.manifest("late")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
    permit();
    all.putManifest("late");
    all.rig.cache.forgetDenials();
    await all.manifest("other");
    await expect(all.manifest("late")).rejects.toMatchObject({ code: "MANIFEST_UNKNOWN" });
  });
});

test("an outage is not remembered: the next who asks is answered by the upstream", async () => {
  await using all = await arrange();
  const recover = all.upstream.when({}, { status: 503 });
  await expect(all.manifest("other")).rejects.toMatchObject({ code: "UPSTREAM_UNAVAILABLE" });
  await expect(all.headBlob()).rejects.toMatchObject({ code: "UPSTREAM_UNAVAILABLE" });
  recover();
  all.upstream.putBlob("team/app", bytes);
  expect(await all.manifest("other")).toMatchObject({ outcome: "miss" });
  expect((await all.blob()).bytes.equals(bytes)).toBe(true);
});
