/**
 * What every Registry promises, whoever implements it. Each implementation's own test calls `describeRegistryContract` with a way
 * to make one that holds, or whose upstream holds, the content given.
 */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf, parseDigest, type Digest } from "../../src/oci/digest.ts";
import { OciError, type OciErrorCode } from "../../src/oci/errors.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { parseReference, type Reference } from "../../src/oci/reference.ts";
import type { BlobContent, Call, Registry } from "../../src/oci/registry.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";

export interface ContractContent {
  /** The path of the repository that holds all of it; there is no other. */
  readonly path: string;
  /** Tags and what they mean. */
  readonly tags: ReadonlyMap<string, Digest>;
  readonly manifests: ReadonlyMap<Digest, { readonly bytes: Buffer; readonly mediaType: string }>;
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

export interface ContractSubject {
  readonly registry: Registry;
  /** The repository as this registry names it. */
  readonly repository: Repository;
  close(): Promise<void>;
}

const absent = parseDigest(`sha256:${"0".repeat(64)}`);
const config = Buffer.from("{}");
const layer = randomBytes(300_000);
const empty = Buffer.alloc(0);
const image = Buffer.from(
  JSON.stringify(
    {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.byteLength },
      layers: [
        { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(layer), size: layer.byteLength },
        { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(empty), size: 0 },
      ],
      // Neither spacing nor unknown fields may be lost on the way.
      unknownField: { kept: true },
    },
    null,
    1,
  ),
);
const signature = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: "application/vnd.example.signature",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(config), size: config.byteLength },
    layers: [{ mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(config), size: config.byteLength }],
    subject: { mediaType: mediaTypes.ociManifest, digest: digestOf(image), size: image.byteLength },
  }),
);

/** One image with two tags, one artifact that refers to it, their blobs, an empty one among them. */
export const contractContent: ContractContent = {
  path: "team/app",
  tags: new Map([
    ["latest", digestOf(image)],
    ["V1.0-RC1", digestOf(image)],
  ]),
  manifests: new Map([
    [digestOf(image), { bytes: image, mediaType: mediaTypes.ociManifest }],
    [digestOf(signature), { bytes: signature, mediaType: mediaTypes.ociManifest }],
  ]),
  blobs: new Map([config, layer, empty].map((bytes) => [digestOf(bytes), bytes])),
};

export function describeRegistryContract(name: string, make: (content: ContractContent) => Promise<ContractSubject>): void {
  describe(`${name} keeps the registry's contract`, () => {
    let subject: ContractSubject;
    beforeEach(async () => {
      subject = await make(contractContent);
    });
    afterEach(() => subject.close());

    const tag = parseReference("latest");
    const byDigest: Reference = { kind: "digest", digest: digestOf(image) };

    test.each([
      ["a tag", tag],
      ["a tag in capitals", parseReference("V1.0-RC1")],
      ["a digest", byDigest],
    ])("gives the exact bytes of a manifest by %s", async (_, reference) => {
      const manifest = await subject.registry.getManifest(subject.repository, reference, call());
      expect(Buffer.from(manifest.bytes).equals(image)).toBe(true);
      expect(manifest.descriptor).toMatchObject({ digest: digestOf(image), mediaType: mediaTypes.ociManifest, sizeBytes: image.byteLength });
      expect(["hit", "miss", "stale", "passed"]).toContain(manifest.outcome);
      expect(manifest.warnings).toEqual([]);
    });

    test("what a head answered can be got", async () => {
      const head = await subject.registry.headManifest(subject.repository, tag, call());
      expect(head).toMatchObject({ digest: digestOf(image), mediaType: mediaTypes.ociManifest, sizeBytes: image.byteLength });
      const manifest = await subject.registry.getManifest(subject.repository, { kind: "digest", digest: head.digest }, call());
      expect(Buffer.from(manifest.bytes).equals(image)).toBe(true);
    });

    test.each([...contractContent.blobs].map(([digest, bytes]) => [bytes.byteLength, digest, bytes] as const))(
      "gives a blob of %i bytes",
      async (_, digest, bytes) => {
        await using content = await subject.registry.getBlob(subject.repository, digest, call());
        expect(content.kind).toBe("full");
        expect(content.ranges).toEqual([]);
        expect(content.descriptor.digest).toBe(digest);
        expect((await readAll(content)).equals(bytes)).toBe(true);
      },
    );

    test("tells the size of a blob without its body", async () => {
      const head = await subject.registry.headBlob(subject.repository, digestOf(layer), call());
      expect(head).toMatchObject({ digest: digestOf(layer), sizeBytes: layer.byteLength });
    });

    test("gives parts of a blob in the order asked", async () => {
      const ranges = [{ startBytes: 200_000, endBytes: 200_009 }, { suffixBytes: 5 }, { startBytes: 10, endBytes: 19 }];
      await using content = await subject.registry.getBlob(subject.repository, digestOf(layer), { ...call(), ranges });
      expect(content.kind).toBe("partial");
      expect(content.ranges).toEqual([
        { startBytes: 200_000, endBytes: 200_009 },
        { startBytes: 299_995, endBytes: 299_999 },
        { startBytes: 10, endBytes: 19 },
      ]);
      for (const { startBytes, endBytes } of content.ranges) {
        const part = await readAll(content, startBytes, endBytes + 1);
        expect(part.equals(layer.subarray(startBytes, endBytes + 1))).toBe(true);
      }
    });

    test("says the size when no byte of a range exists", async () => {
      const asking = subject.registry.getBlob(subject.repository, digestOf(layer), { ...call(), ranges: [{ startBytes: layer.byteLength }] });
      const error = await failureOf(asking);
      expect(error).toMatchObject({ code: "RANGE_INVALID", sizeBytes: layer.byteLength });
    });

    test("gives an empty blob whole whatever range is asked of it", async () => {
      await using content = await subject.registry.getBlob(subject.repository, digestOf(empty), { ...call(), ranges: [{ startBytes: 0 }] });
      expect(content.kind).toBe("full");
      expect(await readAll(content)).toHaveLength(0);
    });

    test("knows nothing of what is not there", async () => {
      const { registry, repository } = subject;
      await expectCode(registry.getManifest(repository, parseReference("absent"), call()), "MANIFEST_UNKNOWN", "NAME_UNKNOWN");
      await expectCode(registry.headManifest(repository, parseReference("absent"), call()), "MANIFEST_UNKNOWN", "NAME_UNKNOWN");
      await expectCode(registry.getManifest(repository, { kind: "digest", digest: absent }, call()), "MANIFEST_UNKNOWN", "NAME_UNKNOWN");
      await expectCode(registry.getBlob(repository, absent, call()), "BLOB_UNKNOWN", "NAME_UNKNOWN");
      await expectCode(registry.headBlob(repository, absent, call()), "BLOB_UNKNOWN", "NAME_UNKNOWN");
      const elsewhere = repositoryOf(repository.host, parseRepositoryPath("team/other"));
      await expectCode(registry.getBlob(elsewhere, digestOf(layer), call()), "BLOB_UNKNOWN", "NAME_UNKNOWN");
      await expectCode(registry.listTags(elsewhere, call()), "NAME_UNKNOWN");
    });

    test("lists tags, sorted, page by page", async () => {
      const { registry, repository } = subject;
      const all = await registry.listTags(repository, call());
      expect(all.tags).toEqual(["V1.0-RC1", "latest"]);
      expect(all.next).toBeUndefined();
      const first = await registry.listTags(repository, { ...call(), limit: 1 });
      expect(first.tags).toEqual(["V1.0-RC1"]);
      expect(first.next).toBe("V1.0-RC1");
      const second = await registry.listTags(repository, { ...call(), limit: 1, last: "V1.0-RC1" });
      expect(second.tags).toEqual(["latest"]);
    });

    test("lists what refers to a manifest, filtered when asked", async () => {
      const { registry, repository } = subject;
      const all = await registry.listReferrers(repository, digestOf(image), call());
      expect(all.manifests.map(({ digest, artifactType }) => [digest, artifactType])).toEqual([[digestOf(signature), "application/vnd.example.signature"]]);
      const none = await registry.listReferrers(repository, digestOf(image), { ...call(), artifactType: "application/vnd.example.sbom" });
      expect(none.manifests).toEqual([]);
      const ofAbsent = await registry.listReferrers(repository, absent, call());
      expect(ofAbsent.manifests).toEqual([]);
    });

    test("stops at once for a caller that has left", async () => {
      const signal = AbortSignal.abort(new Error("left"));
      await expect(subject.registry.getBlob(subject.repository, digestOf(layer), { ...call(), signal })).rejects.toThrow();
      // The next caller is served as if nothing had been.
      await using content = await subject.registry.getBlob(subject.repository, digestOf(layer), call());
      expect((await readAll(content)).equals(layer)).toBe(true);
    });

    test("may be disposed of before it is read, and more than once", async () => {
      const content = await subject.registry.getBlob(subject.repository, digestOf(layer), call());
      await content[Symbol.asyncDispose]();
      await content[Symbol.asyncDispose]();
    });
  });
}

/** A call of nobody in particular. */
export function call(): Call {
  return { signal: AbortSignal.timeout(20_000), requestId: "contract", purpose: "pull", mayFetch: true };
}

/** All bytes from `startBytes` to `endBytes` (exclusive), or to the end of the blob. */
export async function readAll(content: BlobContent, startBytes = 0, endBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let position = startBytes;
  while (position < endBytes) {
    const target = Buffer.alloc(Math.min(70_000, endBytes - position));
    const count = await content.read(target, position);
    if (count === 0) break;
    pieces.push(target.subarray(0, count));
    position += count;
  }
  return Buffer.concat(pieces);
}

async function expectCode(asking: Promise<unknown>, ...codes: readonly OciErrorCode[]): Promise<void> {
  const error = await failureOf(asking);
  expect(codes).toContain(error.code);
}

async function failureOf(asking: Promise<unknown>): Promise<OciError> {
  try {
    await asking;
  } catch (error) {
    if (error instanceof OciError) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

/** The host under which tests that need just some host put their content. */
export const contractHost = parseRegistryHost("registry.example");
