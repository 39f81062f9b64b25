import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OciError } from "../../src/oci/errors.ts";
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

test("whatever the bytes are, reading them throws nothing but its own error", () => {
  const descriptors = fc.array(fc.record({ mediaType: fc.anything(), digest: fc.anything(), size: fc.anything(), annotations: fc.anything() }));
  const shapes = fc.oneof(
    fc.anything(),
    fc.record(
      { schemaVersion: fc.anything(), mediaType: fc.anything(), config: fc.anything(), layers: descriptors, manifests: descriptors, subject: fc.anything() },
      { requiredKeys: [] },
    ),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        shapes.map((value) => Buffer.from(String(safeJson(value)))),
        fc.uint8Array({ maxLength: 2_000 }),
      ),
      (bytes) => {
        try {
          parseManifest(bytes);
          readManifestContent(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(OciError);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

describe("ranges", () => {
  test("lie inside the content, keep their order and never span more than was asked", () => {
    const spec = fc.oneof(
      fc.record({ startBytes: fc.nat(1_000) }),
      fc.record({ startBytes: fc.nat(1_000), endBytes: fc.nat(1_000) }),
      fc.record({ suffixBytes: fc.nat(1_000) }),
    );
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 16 }), fc.integer({ min: 1, max: 1_000 }), (specs, sizeBytes) => {
        try {
          const ranges = resolveRanges(specs, sizeBytes) ?? [];
          for (const { startBytes, endBytes } of ranges) expect(0 <= startBytes && startBytes <= endBytes && endBytes < sizeBytes).toBe(true);
          expect(ranges.length).toBeLessThanOrEqual(specs.length);
        } catch (error) {
          expect(error).toMatchObject({ code: "RANGE_INVALID", sizeBytes });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("of empty content mean all of it", () => expect(resolveRanges([{ startBytes: 5 }], 0)).toBeUndefined());
});

function safeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return "{}"; // BigInt and cycles are no JSON.
  }
}
