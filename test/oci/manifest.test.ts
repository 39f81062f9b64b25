import { describe, expect, test } from "vitest";
import { manifestBytesMax, namedDescriptors, parseManifest, readManifestContent } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { resolveRanges } from "../../src/oci/ranges.ts";
import { buildArtifact, buildImage, buildIndex } from "../support/images.ts";

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

describe("a manifest's media type", () => {
  test.each([
    [{ mediaType: mediaTypes.ociManifest, layers: [] }, "application/vnd.oci.image.manifest.v1+json; charset=utf-8", mediaTypes.ociManifest],
    [{ mediaType: mediaTypes.dockerManifest, layers: [] }, "text/plain", mediaTypes.dockerManifest],
    [{ layers: [], config: {} }, "application/json", mediaTypes.ociManifest],
    [{ manifests: [] }, undefined, mediaTypes.ociIndex],
    [{ anything: 1 }, "application/vnd.example.thing+json", "application/vnd.example.thing+json"],
    [{ mediaType: "a/b\r\nSet-Cookie: c", layers: [] }, "text/plain", mediaTypes.ociManifest],
    [{ mediaType: "\u00e9/\u2603", manifests: [] }, "no media type", mediaTypes.ociIndex],
  ])("of %j sent as %s is %s", (body, contentType, mediaType) => expect(parseManifest(json(body), { contentType }).descriptor.mediaType).toBe(mediaType));

  test.each([
    [{ schemaVersion: 1, fsLayers: [] }, mediaTypes.dockerSchema1Signed, "schema 1"],
    [{ anything: 1 }, "application/json", "neither"],
    [[1], "application/json", "not a JSON object"],
  ])("%j sent as %s is refused", (body, contentType, words) => {
    expect(() => parseManifest(json(body), { contentType })).toThrow(
      expect.objectContaining({ code: "MANIFEST_INVALID", message: expect.stringContaining(words) }),
    );
  });

  test("is not looked for in more than 4 MiB", () => {
    expect(() => parseManifest(Buffer.alloc(manifestBytesMax + 1, " "))).toThrow(expect.objectContaining({ code: "MANIFEST_INVALID" }));
  });
});

test("an index names its children, an image its config and layers, an artifact its subject", () => {
  const image = buildImage();
  const index = buildIndex([image, buildImage({ platform: "linux/arm64" })]);
  const artifact = buildArtifact(image.manifest, { artifactType: "application/vnd.example.sbom" });
  expect(namedDescriptors(readManifestContent(index.manifest.bytes)).map(({ digest }) => digest)).toContain(image.manifest.descriptor.digest);
  expect(new Set(namedDescriptors(readManifestContent(image.manifest.bytes)).map(({ digest }) => digest))).toEqual(new Set(image.blobs.keys()));
  expect(readManifestContent(artifact.manifest.bytes)).toMatchObject({
    subject: { digest: image.manifest.descriptor.digest },
    artifactType: "application/vnd.example.sbom",
  });
});

describe("ranges", () => {
  test("of empty content mean all of it", () => expect(resolveRanges([{ startBytes: 5 }], 0)).toBeUndefined());
});
