import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { manifestBytesMax } from "../../src/oci/manifest.ts";
import { manifestAccept, mediaTypes } from "../../src/oci/media-types.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

describe("GET of a manifest", () => {
  test("brings the exact bytes, asked with one fixed Accept, whatever they are", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const index = fake.putImage("team/app", "latest", buildIndex([buildImage(), buildImage({ platform: "linux/arm64" })]));
    const manifest = await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(manifest).toMatchObject({ descriptor: index.manifest.descriptor, outcome: "passed", warnings: [], source: fake.host });
    expect(Buffer.from(manifest.bytes).equals(index.manifest.bytes)).toBe(true);
    expect(fake.requests).toEqual(["GET /v2/team/app/manifests/latest"]);
    expect(fake.log[0]?.headers).toMatchObject({ accept: manifestAccept, "accept-encoding": "identity", "user-agent": "ociregistry/test" });
    expect(fake.log[0]?.headers.authorization).toBeUndefined();
  });

  test("takes any number of path segments", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    fake.putImage("a/b/c/d/e/f", "V1");
    await upstreams.getManifest(repositoryAt(fake.host, "a/b/c/d/e/f"), reference("V1"), call());
    expect(fake.requests).toEqual(["GET /v2/a/b/c/d/e/f/manifests/V1"]);
  });

  test("derives the media type of what is called text/plain", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const image = fake.putImage("team/app", "latest");
    fake.when({ kind: "manifest" }, { headers: { "content-type": "text/plain; charset=utf-8" } });
    const manifest = await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(manifest.descriptor.mediaType).toBe(image.manifest.descriptor.mediaType);
  });

  test("by a sha512 digest is hashed with sha512", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const { manifest } = buildImage();
    const digest = digestOf(manifest.bytes, "sha512");
    fake.putImage("team/app", "latest");
    fake.when({ kind: "manifest" }, { body: manifest.bytes, status: 200, headers: { "content-type": mediaTypes.ociManifest } });
    const got = await upstreams.getManifest(repositoryAt(fake.host), reference(digest), call());
    expect(got.descriptor.digest).toBe(digest);
  });

  test("trusts the computed digest, not the header", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const image = fake.putImage("team/app", "latest");
    fake.when({ kind: "manifest" }, { headers: { "docker-content-digest": `sha256:${"0".repeat(64)}` } });
    const manifest = await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(manifest.descriptor.digest).toBe(image.manifest.descriptor.digest);
  });

  test("with other bytes than the digest asked for is unusable", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const image = fake.putImage("team/app", "latest");
    fake.when({ kind: "manifest" }, { body: buildImage({ layers: [{ other: "content" }] }).manifest.bytes });
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(image.manifest.descriptor.digest), call()), "UPSTREAM_UNAVAILABLE");
    expect(error).toMatchObject({ source: "upstream" });
    expect(error.message).toContain("have the digest");
  });

  test.each([
    ["404", { status: 404 }, "MANIFEST_UNKNOWN"],
    ["403", { status: 403 }, "DENIED"],
    ["401 without any challenge", { status: 401 }, "DENIED"],
    ["429", { status: 429 }, "UPSTREAM_THROTTLED"],
    ["500", { status: 500 }, "UPSTREAM_UNAVAILABLE"],
    ["503", { status: 503 }, "UPSTREAM_UNAVAILABLE"],
    ["400", { status: 400 }, "UPSTREAM_UNAVAILABLE"],
    ["304", { status: 304 }, "UPSTREAM_UNAVAILABLE"],
    ["200 with a page for people", { status: 200, body: "<html>sign in</html>", headers: { "content-type": "text/html" } }, "UPSTREAM_UNAVAILABLE"],
    ["200 with JSON that is no manifest", { status: 200, body: '{"hello":"world"}', headers: { "content-type": "application/json" } }, "UPSTREAM_UNAVAILABLE"],
    ["a compressed answer that was not asked for", { gzip: true }, "UPSTREAM_UNAVAILABLE"],
    ["a body cut short", { cutAfterBytes: 10 }, "UPSTREAM_UNAVAILABLE"],
    ["a flood of headers", { headers: { "x-flood": "x".repeat(100_000) } }, "UPSTREAM_UNAVAILABLE"],
    ["an endless body", { endless: true }, "UPSTREAM_UNAVAILABLE"],
    ["schema 1", { status: 200, body: '{"schemaVersion":1}', headers: { "content-type": mediaTypes.dockerSchema1Signed } }, "MANIFEST_UNKNOWN"],
    ["schema 1 under a generic name", { status: 200, body: '{"schemaVersion":1}', headers: { "content-type": "text/plain" } }, "MANIFEST_UNKNOWN"],
  ] as const)("answered %s", async (_, quirk, code) => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    fake.putImage("team/app", "latest");
    fake.when({ kind: "manifest" }, quirk);
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), code);
    expect(error.source).toBe("upstream");
    expect(fake.requests.filter((line) => line.includes("/manifests/"))).toEqual(["GET /v2/team/app/manifests/latest"]);
  });

  test("above the limit is refused by its Content-Length alone, and without one after the limit", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const huge = Buffer.alloc(20 << 20, " ");
    fake.when({ kind: "manifest" }, { status: 200, body: huge });
    await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    fake.when({ kind: "manifest" }, { chunked: true });
    await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(fake.bytesSent.total).toBeLessThan(2 * huge.length);
    expect(gzipSync(huge).length).toBeLessThan(manifestBytesMax);
  });
});

describe("HEAD of a manifest", () => {
  test("tells what a tag means and moves no body", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const image = fake.putImage("team/app", "latest");
    const answer = await upstreams.headManifest(repositoryAt(fake.host), reference(), call());
    expect(answer).toMatchObject(image.manifest.descriptor);
    expect(fake.requests).toEqual(["HEAD /v2/team/app/manifests/latest"]);
    expect(fake.bytesSent.total).toBe(0);
  });

  test.each([
    ["405", { status: 405 }],
    ["no digest", { headers: { "docker-content-digest": undefined } }],
    ["no length", { chunked: true, headers: { "content-length": undefined } }],
    ["a page's content type", { headers: { "content-type": "text/html" } }],
    ["a generic content type", { headers: { "content-type": "application/json" } }],
  ] as const)("answered with %s cannot be told without a body", async (_, quirk) => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    fake.putImage("team/app", "latest");
    fake.when({ kind: "manifest", method: "HEAD" }, quirk);
    const error = await failureOf(upstreams.headManifest(repositoryAt(fake.host), reference(), call()), "UNSUPPORTED");
    expect(error.source).toBe("upstream");
    expect(fake.requests).toEqual(["HEAD /v2/team/app/manifests/latest"]);
  });

  test("refused by a CDN that signs for GET cannot be told without a body", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    fake.putImage("team/app", "latest");
    fake.cdn.refusesHead = true;
    fake.when({ kind: "manifest" }, { redirectTo: "cdn" });
    await failureOf(upstreams.headManifest(repositoryAt(fake.host), reference(), call()), "UNSUPPORTED");
    expect(fake.requests).toEqual(["HEAD /v2/team/app/manifests/latest"]);
    await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
  });

  test("by digest takes a wrong digest header for the hint that it is", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const image = fake.putImage("team/app", "latest");
    fake.when({ kind: "manifest" }, { headers: { "docker-content-digest": `sha256:${"0".repeat(64)}` } });
    const { digest } = image.manifest.descriptor;
    expect((await upstreams.headManifest(repositoryAt(fake.host), reference(digest), call())).digest).toBe(digest);
  });
});
