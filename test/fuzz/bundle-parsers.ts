/** The parsers of what comes over an air gap: a bundle's manifest, receipts, tar headers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseDigest } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { dockerHub, findRegistryHost, parseRepositoryPath } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { formatBundleManifest, parseBundleManifest } from "../../src/transfer/bundle-manifest.ts";
import { BundleRefused } from "../../src/transfer/bundle-refused.ts";
import { parseReceipt } from "../../src/transfer/receipt.ts";
import { formatTarHeader, parsePathRecord, parseTarHeader, tarBlockBytes } from "../../src/transfer/tar-format.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { bytes, json, mostly, texts } from "./inputs.ts";
import { digest, host, path, tag } from "./names.ts";

const isOwnError = (error: unknown): boolean => error instanceof BundleRefused;
const size = fc.oneof(fc.nat(), fc.constantFrom(0, Number.MAX_SAFE_INTEGER));

export const bundleParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "bundle's manifest",
    inputs: json(bundle()),
    parse: parseBundleManifest,
    isOwnError,
    check(parsed) {
      const known = new Set([...parsed.blobs, ...parsed.leftOut].map((blob) => blob.digest));
      for (const one of known) assert.equal(parseDigest(one), one);
      for (const { repository, manifests, tags } of parsed.repositories) {
        assert.equal(parseRepositoryPath(repository.path), repository.path, "becomes a folder");
        for (const manifest of manifests) assert.ok(known.has(manifest.digest));
        for (const named of tags) assert.equal(parseTag(named.tag), named.tag);
      }
      for (const { link } of parsed.leftOut) assert.ok(parsed.base?.links[link]);
      const own = onlyOwnHosts(parsed);
      const again = parseBundleManifest(formatBundleManifest(own));
      assert.deepEqual({ ...again, id: parsed.id }, own, "written and read again it is the same");
    },
  }),
  fuzzed({
    name: "receipt",
    inputs: json(receipt()),
    parse: parseReceipt,
    isOwnError,
    check({ links }) {
      for (const { digests } of links) for (const one of digests) assert.equal(parseDigest(one), one);
    },
  }),
  fuzzed({
    name: "tar header",
    inputs: bytes(fc.tuple(texts(path, { lengthMax: 100 }), size).map(([name, sizeBytes]) => formatTarHeader(name.replaceAll("\0", ""), sizeBytes))),
    parse: (content) => parseTarHeader(Buffer.concat([content, Buffer.alloc(tarBlockBytes)]).subarray(0, tarBlockBytes)),
    isOwnError,
    check(header) {
      if (header) assert.ok(Number.isSafeInteger(header.sizeBytes) && header.sizeBytes >= 0);
    },
  }),
  fuzzed({
    name: "tar's record of a name",
    inputs: texts(path.map((name) => `${name.length + 9} path=${name}\n`)),
    parse: (text) => parsePathRecord(Buffer.from(text)),
    isOwnError,
  }),
];

/** What is written names the registries of the repositories, no others. */
function onlyOwnHosts(parsed: ReturnType<typeof parseBundleManifest>): ReturnType<typeof parseBundleManifest> {
  const hosts = new Set(parsed.repositories.map(({ repository }) => repository.host));
  const isOwn = (blob: { readonly hosts: readonly string[] }): boolean => blob.hosts.every((one) => hosts.has(one as never));
  const blobs = parsed.blobs.filter(isOwn);
  const leftOut = parsed.base ? parsed.leftOut.filter(isOwn) : [];
  const known = new Set([...blobs, ...leftOut].map((blob) => blob.digest));
  const repositories = parsed.repositories.map(({ repository, manifests, tags }) => {
    const kept = manifests.filter((manifest) => known.has(manifest.digest));
    return { repository, manifests: kept, tags: tags.filter((named) => kept.some((manifest) => manifest.digest === named.digest)) };
  });
  return { ...parsed, blobs, leftOut, repositories };
}

function bundle(): fc.Arbitrary<unknown> {
  const digests = fc.uniqueArray(digest, { minLength: 1, maxLength: 6 });
  const canonical = host.map((word) => findRegistryHost(word) ?? dockerHub);
  return fc.tuple(digests, canonical, path, tag, fc.boolean(), size).chain(([named, registry, repository, tagged, isIncremental, sizeBytes]) => {
    const [first] = named;
    const blobs = named.map((one) => ({ digest: one, size: sizeBytes, by: [0] }));
    const manifest = { digest: first, mediaType: mediaTypes.ociManifest };
    return fc.record({
      format: mostly(fc.constant("ociregistry-bundle/1")),
      registries: mostly(fc.constant([registry])),
      files: mostly(fc.constant([{ name: "oci-layout", digest: first, size: 31 }])),
      repositories: mostly(
        fc.constant([
          { name: `${registry}/${repository}`, manifests: [manifest], tags: [{ tag: tagged, digest: first, checkedAt: "2026-01-01T00:00:00.000Z" }] },
        ]),
      ),
      blobs: mostly(fc.constant(isIncremental ? blobs.slice(0, 1) : blobs)),
      ...(isIncremental
        ? {
            base: mostly(fc.constant({ receipt: first, links: [{ kind: "bundle", id: first, name: "1.tar" }] })),
            leftOut: mostly(fc.constant(blobs.slice(1).map((blob) => ({ ...blob, link: 0 })))),
          }
        : {}),
    });
  });
}

function receipt(): fc.Arbitrary<unknown> {
  const link = fc.record(
    { source: mostly(fc.record({ kind: fc.constantFrom("bundle", "receipt"), id: digest, name: path })), digests: mostly(fc.array(digest, { maxLength: 5 })) },
    { requiredKeys: ["digests"] },
  );
  return fc.record({ format: mostly(fc.constant("ociregistry-receipt/1")), links: mostly(fc.array(mostly(link), { maxLength: 3 })) });
}
