/** The parsers of what lies in a store: records, and the names of folders and files. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { findDashedDigest, findHostOfFolder, findRepositoryOfFolder, hostFolder } from "../../src/cache/layout.ts";
import { findProcessName, formatProcessName } from "../../src/cache/process-name.ts";
import { formatRecord, parseRecord } from "../../src/cache/record.ts";
import { parseLink, parseManifestRecord, parseTagRecord } from "../../src/cache/repository-records.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { findRegistryHost, parseRegistryHost, type RegistryHost } from "../../src/oci/repository.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { bytes, mostly, texts } from "./inputs.ts";
import { digest, host, path, words } from "./names.ts";

export const cacheParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "record, written and read",
    inputs: fc.dictionary(
      fc.string({ maxLength: 8 }).filter((key) => key !== "crc32"),
      fc.jsonValue({ maxDepth: 2 }),
      { maxKeys: 4 },
    ),
    parse: (fields) => parseRecord(Buffer.from(formatRecord(fields))),
    check: (read, fields) => assert.equal(JSON.stringify(read), JSON.stringify(fields)),
  }),
  fuzzed({
    name: "record, damaged",
    inputs: fc.tuple(record(), fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 1, max: 255 })),
    parse([fields, at, value]) {
      const damaged = Buffer.from(formatRecord(fields));
      const position = Math.min(damaged.length - 1, Math.floor(at * damaged.length));
      damaged[position] = (damaged[position] ?? 0) ^ value;
      return { read: parseRecord(damaged), damaged };
    },
    check({ read, damaged }, [fields]) {
      // Where the damage is in the name of the checksum itself, what it stood for is taken at its word: and is what was written.
      if (read) for (const [key, value] of Object.entries(fields)) assert.deepEqual(read[key], value, damaged.toString("latin1"));
    },
  }),
  fuzzed({
    name: "records of tags, manifests and links",
    inputs: bytes(fc.oneof(record(), mostly(record())).map((fields) => Buffer.from(isFields(fields) ? formatRecord(fields) : JSON.stringify(fields)))),
    parse: (content) => ({ tag: parseTagRecord(content, { mtimeMs: 7 }), manifest: parseManifestRecord(content), link: parseLink(content) }),
    check({ tag, manifest, link }) {
      for (const named of [tag, manifest]) {
        if (!named) continue;
        assert.equal(parseDigest(named.digest), named.digest);
        assert.match(named.mediaType, /^[\x20-\x7e]+$/, "goes into a header");
        assert.ok(Number.isSafeInteger(named.sizeBytes) && named.sizeBytes >= 0);
      }
      if (manifest?.subject) assert.equal(parseDigest(manifest.subject), manifest.subject);
      if (link) assert.ok(Number.isSafeInteger(link.sizeBytes) && link.sizeBytes >= 0);
    },
  }),
  fuzzed({
    name: "folder of a registry",
    inputs: texts(host.map(folderOf), { words: [...words, "_5000_", "[", "]_", "__1"] }),
    parse: findHostOfFolder,
    check(found, folder) {
      if (found === undefined) return;
      assert.equal(hostFolder(found), folder, "no two folders are one registry's");
      assert.equal(findRegistryHost(found, { scheme: "https" }) ?? findRegistryHost(found, { scheme: "http" }), found);
    },
  }),
  fuzzed({
    name: "registry, to its folder and back",
    inputs: fc.tuple(texts(host, { lengthMax: 300 }), fc.constantFrom("https" as const, "http" as const)),
    parse: ([raw, scheme]) => findRegistryHost(raw, { scheme }),
    check(parsed) {
      if (parsed === undefined) return;
      const folder = hostFolder(parsed);
      assert.match(folder, /^[a-z0-9[][a-z0-9._[\]-]*$/);
      assert.equal(findHostOfFolder(folder), parsed);
    },
  }),
  fuzzed({
    name: "folder of a repository",
    inputs: texts(path, { words: [...words, "_tags", "_manifests", "../"] }),
    parse: (folder) => findRepositoryOfFolder("quay.io" as RegistryHost, folder),
    check: (repository, folder) => assert.ok(repository === undefined || repository.path === folder),
  }),
  fuzzed({
    name: "file of a referrer",
    inputs: texts(
      digest.map((each) => each.replace(":", "-")),
      { words: ["sha256-", "sha512-", "_answer"] },
    ),
    parse: findDashedDigest,
    check: (found, name) => assert.ok(found === undefined || found.replace(":", "-") === name.replace(":", "-")),
  }),
  fuzzed({
    name: "folder of a process",
    inputs: texts(
      fc.tuple(fc.stringMatching(/^[0-9a-f]{12}$/), fc.nat(), fc.nat(), fc.nat()).map((parts) => parts.join("-")),
      { words: ["x", "-", "tmp"] },
    ),
    parse: findProcessName,
    check(found, folder) {
      if (found === undefined) return;
      assert.deepEqual(findProcessName(formatProcessName(found)), found);
      assert.ok(Number.isSafeInteger(found.pid) && found.pid > 0, `${folder} names no process`);
    },
  }),
];

function record(): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  return fc.record(
    {
      digest: mostly(digest),
      mediaType: mostly(fc.constantFrom(...Object.values(mediaTypes))),
      size: mostly(fc.nat()),
      subject: mostly(digest),
      fetchedAt: fc.constant("2026-01-01T00:00:00.000Z"),
    },
    { requiredKeys: ["digest", "mediaType", "size"] },
  );
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function folderOf(raw: string): string {
  return findRegistryHost(raw) ? hostFolder(parseRegistryHost(raw)) : raw.replaceAll(":", "_");
}
