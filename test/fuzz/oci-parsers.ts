/** The parsers of the vocabulary: names, digests, references, manifests, ranges. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { algorithmOf, digestOf, hexOf, parseDigest } from "../../src/oci/digest.ts";
import { OciError, type OciErrorCode } from "../../src/oci/errors.ts";
import { bareMediaType, findDescriptors, namedDescriptors, parseManifest, readManifestContent } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { resolveRanges, type RangeSpec } from "../../src/oci/ranges.ts";
import { parseReference, referenceName } from "../../src/oci/reference.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { dockerHub, parseRegistryHost, parseRepositoryPath, repositoryName, repositoryOf } from "../../src/oci/repository.ts";
import { findTag, isReferrersTag, parseTag, referrersTagOf } from "../../src/oci/tag.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { json, mostly, texts } from "./inputs.ts";
import { digest, host, names, path, tag, words } from "./names.ts";

const scheme = fc.constantFrom("https" as const, "http" as const);
/** What a header's value may hold: RFC 9110 5.5, without what is obsolete. */
const headerValue = /^[\t\x20-\x7e]*$/;

export const ociParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "digest",
    inputs: texts(digest, { words }),
    parse: parseDigest,
    isOwnError: refusedBy("DIGEST_INVALID"),
    check(parsed, raw) {
      assert.equal(parsed, raw);
      assert.match(parsed, /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/);
      assert.equal(`${algorithmOf(parsed)}:${hexOf(parsed)}`, raw);
      assert.ok(isReferrersTag(referrersTagOf(parsed)));
    },
  }),
  fuzzed({
    name: "digest of bytes",
    inputs: fc.tuple(fc.uint8Array({ maxLength: 500 }), fc.constantFrom("sha256" as const, "sha512" as const)),
    parse: ([bytes, algorithm]) => digestOf(bytes, algorithm),
    check: (made, [, algorithm]) => assert.equal(algorithmOf(parseDigest(made)), algorithm),
  }),
  fuzzed({
    name: "tag",
    inputs: texts(tag, { words }),
    parse: parseTag,
    isOwnError: refusedBy("TAG_INVALID"),
    check(parsed, raw) {
      assert.equal(parsed, raw);
      assert.match(parsed, /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/);
      assert.equal(findTag(raw), parsed);
      isReferrersTag(parsed);
    },
  }),
  fuzzed({
    name: "reference",
    inputs: texts(fc.oneof(tag, digest), { words }),
    parse: parseReference,
    isOwnError: refusedBy("TAG_INVALID", "DIGEST_INVALID"),
    check: (parsed, raw) => assert.equal(referenceName(parsed), raw),
  }),
  fuzzed({
    name: "repository path",
    inputs: texts(path, { words }),
    parse: parseRepositoryPath,
    isOwnError: refusedBy("NAME_INVALID"),
    check(parsed, raw) {
      assert.equal(parsed, raw);
      assert.ok(parsed.length <= 255);
      for (const component of parsed.split("/")) assert.match(component, /^[a-z0-9][a-z0-9._-]*$/);
    },
  }),
  fuzzed({
    name: "repository",
    inputs: fc.tuple(texts(host, { lengthMax: 300 }), texts(path, { words, lengthMax: 300 }), scheme),
    parse: ([rawHost, rawPath, by]) => repositoryOf(parseRegistryHost(rawHost, { scheme: by }), parseRepositoryPath(rawPath)),
    isOwnError: refusedBy("NAME_INVALID"),
    check(parsed) {
      assert.deepEqual(repositoryOf(parsed.host, parsed.path), parsed);
      assert.ok(repositoryName(parsed).length <= 255);
      assert.ok(parsed.host !== dockerHub || parsed.path.includes("/"));
    },
  }),
  fuzzed({
    name: "registry host",
    inputs: fc.tuple(texts(host, { words: [...words, "[::", "ffff", "127.", "0x"] }), scheme),
    parse: ([raw, by]) => parseRegistryHost(raw, { scheme: by }),
    isOwnError: refusedBy("NAME_INVALID"),
    check(parsed, [raw, by]) {
      assert.equal(parseRegistryHost(parsed, { scheme: by }), parsed, "its own canonical form");
      assert.equal(parseRegistryHost(raw.toUpperCase(), { scheme: by }), parsed, "in capitals");
      const url = new URL(`${by}://${parsed}`);
      assert.equal(url.host, parsed, "what a URL makes of it: two spellings of one address are one registry");
      assert.equal(url.pathname + url.username + url.search + url.hash, "/");
    },
  }),
  fuzzed({
    name: "registry names of a configuration",
    inputs: fc.tuple(
      texts(host, { lengthMax: 300 }),
      fc.array(
        fc.record({
          name: texts(host, { lengthMax: 300 }),
          scheme,
          aliases: fc.array(fc.oneof(host, fc.stringMatching(/^[a-z0-9]{1,3}$/), texts(host, { lengthMax: 80 })), { maxLength: 2 }),
        }),
        { maxLength: 3 },
      ),
    ),
    parse: ([defaultNs, registries]) => new RegistryNames({ defaultNs, registries }),
    isOwnError: refusedBy("NAME_INVALID"),
    check(parsed, [, registries]) {
      assert.equal(parsed.listed().length, registries.length);
      for (const { name, aliases, scheme: by } of registries) {
        const meant = parseRegistryHost(name, { scheme: by });
        assert.equal(parsed.find(meant), meant, "no alias takes a listed name away");
        for (const alias of aliases) assert.equal(parsed.find(alias), meant, `the alias ${alias}`);
      }
    },
  }),
  fuzzed({
    name: "word for a registry",
    inputs: texts(fc.oneof(host, fc.constantFrom("hub", "q", "mine", "localhost", "registry:5000")), { words }),
    parse: (word) => ({ host: names.find(word), looksLikeHost: names.looksLikeHost(word), isKnown: names.names(word) }),
    check({ host: found, isKnown }, word) {
      if (found === undefined) return assert.equal(isKnown, false);
      assert.equal(names.find(found), found, "canonical");
      assert.match(word, headerValue, "what is taken for a registry can be echoed in a header");
    },
  }),
  fuzzed({
    name: "media type",
    inputs: texts(fc.constantFrom(...Object.values(mediaTypes), "Text/Plain; charset=utf-8", "application/vnd.x+json;q=1"), {
      words: ["/", "+json", "*", "; q=0"],
    }),
    parse: bareMediaType,
    check(parsed, raw) {
      if (parsed === undefined) return;
      assert.equal(bareMediaType(parsed), parsed);
      assert.match(parsed, headerValue, `goes into a header: ${JSON.stringify(raw)}`);
    },
  }),
  fuzzed({
    name: "manifest",
    inputs: fc.tuple(
      json(manifestJson()),
      fc.option(texts(fc.constantFrom(...Object.values(mediaTypes), "text/plain"), { lengthMax: 200 }), { nil: undefined }),
    ),
    parse([bytes, contentType]) {
      const { descriptor } = parseManifest(bytes, { contentType });
      return { descriptor, content: readManifestContent(bytes) };
    },
    isOwnError: refusedBy("MANIFEST_INVALID"),
    check({ descriptor, content }, [bytes]) {
      assert.equal(descriptor.digest, digestOf(bytes));
      assert.equal(descriptor.sizeBytes, bytes.byteLength);
      assert.match(descriptor.mediaType, headerValue);
      assert.equal(bareMediaType(descriptor.mediaType), descriptor.mediaType);
      for (const named of [...namedDescriptors(content), ...(content.subject ? [content.subject] : [])]) {
        assert.equal(parseDigest(named.digest), named.digest);
        assert.ok(named.sizeBytes === undefined || (Number.isSafeInteger(named.sizeBytes) && named.sizeBytes >= 0));
        assert.deepEqual(findDescriptors([{ ...named, size: named.sizeBytes }]), [named], "read again");
      }
    },
  }),
  fuzzed({
    name: "ranges in content of a known size",
    inputs: fc.tuple(fc.array(rangeSpec(), { minLength: 1, maxLength: 16 }), fc.oneof(fc.nat(1_000), fc.maxSafeNat())),
    parse: ([specs, sizeBytes]) => resolveRanges(specs, sizeBytes),
    isOwnError: refusedBy("RANGE_INVALID"),
    check(ranges, [specs, sizeBytes]) {
      if (ranges === undefined) return assert.equal(sizeBytes, 0);
      assert.ok(ranges.length > 0 && ranges.length <= specs.length);
      for (const { startBytes, endBytes } of ranges) assert.ok(0 <= startBytes && startBytes <= endBytes && endBytes < sizeBytes);
    },
  }),
];

/** A predicate for errors of these codes, whose message is short enough to be shown. */
export function refusedBy(...codes: readonly OciErrorCode[]): (error: unknown) => boolean {
  return (error) => error instanceof OciError && codes.includes(error.code) && error.message.length < 800;
}

function rangeSpec(): fc.Arbitrary<RangeSpec> {
  const position = fc.oneof(fc.nat(1_000), fc.maxSafeNat());
  return fc.oneof(fc.record({ startBytes: position }), fc.record({ startBytes: position, endBytes: position }), fc.record({ suffixBytes: position }));
}

function manifestJson(): fc.Arbitrary<unknown> {
  const annotations = fc.dictionary(fc.string({ maxLength: 8 }), mostly(fc.string({ maxLength: 8 })), { maxKeys: 2 });
  const descriptor = mostly(
    fc.record(
      {
        mediaType: mostly(fc.constantFrom(...Object.values(mediaTypes))),
        digest: mostly(fc.oneof(digest, fc.constantFrom("sha256:0", "md5:00", `sha256:${"A".repeat(64)}`))),
        size: mostly(fc.nat()),
        artifactType: mostly(fc.constant("application/vnd.example")),
        annotations: mostly(annotations),
      },
      { requiredKeys: ["digest"] },
    ),
  );
  const descriptors = mostly(fc.array(descriptor, { maxLength: 3 }));
  const mediaType = mostly(fc.oneof(fc.constantFrom(...Object.values(mediaTypes)), fc.string({ maxLength: 12 })));
  return mostly(
    fc.record(
      {
        schemaVersion: mostly(fc.constantFrom(2, 2, 2, 1)),
        mediaType,
        config: descriptor,
        layers: descriptors,
        blobs: descriptors,
        manifests: descriptors,
        subject: descriptor,
        artifactType: mostly(fc.constant("application/vnd.example")),
        annotations: mostly(annotations),
      },
      { requiredKeys: [] },
    ),
  );
}
