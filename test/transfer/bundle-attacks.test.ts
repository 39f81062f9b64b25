import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hexOf, type Digest } from "../../src/oci/digest.ts";
import { formatTarHeader, paddingOf, parseTarHeader, tarBlockBytes, tarEnd } from "../../src/transfer/tar-format.ts";
import { exported, importInto, openSide, pullsWhole, seenIn, type Side } from "../support/bundle-sides.ts";
import { buildImage, buildIndex, seededBytes } from "../support/images.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const name = "quay.io/team/app:1";
const layers: readonly Readonly<Record<string, string | Uint8Array>>[] = [{ "etc/hello": "hello\n" }, { "usr/app": seededBytes(400_000, "app") }];
const app = buildIndex([buildImage({ platform: "linux/amd64", layers }), buildImage({ platform: "linux/arm64" })]);
const { privateKey, publicKey } = generateKeyPairSync("ed25519");

interface Entry {
  readonly name: string;
  readonly bytes: Buffer;
}

let folder: TemporaryFolder;
let here: Side;
let there: Side;
let entries: readonly Entry[];
const file = (path: string): string => join(folder.path, path);

beforeEach(async () => {
  folder = await temporaryFolder();
  [here, there] = [await openSide(), await openSide()];
  await here.keep(name, app);
  await exported(here, { images: [name], output: file("good.tar"), signKey: privateKey });
  entries = entriesOf(await readFile(file("good.tar")));
});

afterEach(async () => {
  await here[Symbol.asyncDispose]();
  await there[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Imports these bytes, has to be refused, and then nothing may be seen; the good bundle still goes in afterwards. */
async function refusalOf(bytes: Uint8Array, options: Parameters<typeof importInto>[2] = {}): Promise<string> {
  await writeFile(file("bad.tar"), bytes);
  const refusal: unknown = await importInto(there, file("bad.tar"), options).then(
    () => "it was taken",
    (error: unknown) => error,
  );
  expect(await seenIn(there, [name])).toEqual([]);
  await importInto(there, file("good.tar"));
  expect(await pullsWhole(there, name, app)).toBe(true);
  return refusal instanceof Error ? refusal.message : String(refusal);
}

const blobs = (): readonly Entry[] => entries.filter((entry) => entry.name.startsWith("blobs/"));
const largest = (): Entry => blobs().reduce((one, other) => (other.bytes.byteLength > one.bytes.byteLength ? other : one));

test("one flipped byte in any blob is named, and nothing of the bundle is seen", async () => {
  const { name: blob } = largest();
  const flipped = entries.map((entry) => (entry.name === blob ? { ...entry, bytes: flip(entry.bytes, 200_000) } : entry));
  expect(await refusalOf(tarOfEntries(flipped))).toContain(`sha256:${blob.slice("blobs/sha256/".length)}: its bytes are wrong`);
});

test("a flipped byte anywhere in the file never leaves half an image", async () => {
  const good = await readFile(file("good.tar"));
  for (let at = 17; at < good.byteLength; at += Math.floor(good.byteLength / 40)) {
    await using other = await openSide();
    await writeFile(file("flipped.tar"), flip(good, at));
    const refusal: unknown = await importInto(other, file("flipped.tar"), { verifyKey: publicKey }).catch((error: unknown) => error);
    // Padding between files says nothing: a flip there changes nothing.
    if (refusal instanceof Error) expect(await seenIn(other, [name])).toEqual([]);
    else expect(await pullsWhole(other, name, app)).toBe(true);
  }
});

test.each(["../../etc/passwd", "/etc/passwd", "blobs/sha256/../../../x", "extra"])(
  "an entry %s more is refused by its name, wherever it stands",
  async (path) => {
    const extra = { name: path, bytes: Buffer.from("root::0:0::/:/bin/sh\n") };
    expect(await refusalOf(tarOfEntries([...entries, extra]))).toContain(`"${path}" is more than the bundle announces`);
  },
);

test("an entry that should not be there is refused before a byte of it is taken", async () => {
  const at = entries.findIndex((entry) => entry.name.startsWith("blobs/"));
  const inserted = entries.toSpliced(at, 0, { name: "../../x", bytes: Buffer.from("x") });
  expect(await refusalOf(tarOfEntries(inserted))).toContain(`"../../x" is not what the bundle announces: ${entries[at]?.name} should come here`);
});

test("an entry that comes twice is refused", async () => {
  const [blob] = blobs();
  const at = entries.findIndex((entry) => entry === blob);
  expect(await refusalOf(tarOfEntries(entries.toSpliced(at, 0, blob ?? expect.fail())))).toContain(`"${blob?.name}" is not what the bundle announces`);
});

test("a header that claims 10 GiB is refused without waiting for them", async () => {
  const { name: blob } = largest();
  expect(await refusalOf(tarOfEntries(entries, (entry) => (entry.name === blob ? 10 * 2 ** 30 : entry.bytes.byteLength)))).toContain(
    `${blob}: its header says ${10 * 2 ** 30} bytes`,
  );
});

test("a manifest that claims 10 GiB is refused", async () => {
  const [first] = entries;
  const claimed = formatTarHeader(first?.name ?? "", 10 * 2 ** 30);
  expect(await refusalOf(Buffer.concat([claimed, first?.bytes ?? Buffer.alloc(0)]))).toContain("its header says 10737418240 bytes, it may have 268435456");
});

test("links, folders and devices are refused by their names", async () => {
  for (const kind of ["1", "2", "3", "5"]) {
    const header = formatTarHeader("blobs/sha256/x", 0);
    header.write(kind, 156);
    header.write("        ", 148);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const before = entries.filter((entry) => !entry.name.startsWith("blobs/"));
    await using other = await openSide();
    await writeFile(file("kind.tar"), Buffer.concat([tarOfEntries(before).subarray(0, -1024), header, tarEnd()]));
    await expect(importInto(other, file("kind.tar"))).rejects.toThrow(`"blobs/sha256/x" is not a plain file`);
  }
});

test("a bundle that is cut short says what is missing, wherever it is cut", async () => {
  const good = await readFile(file("good.tar"));
  for (const part of [0, 100, 0.3, 0.7, 0.999]) {
    await writeFile(file("cut.tar"), good);
    await truncate(file("cut.tar"), part <= 1 ? Math.floor(good.byteLength * part) : part);
    await using other = await openSide();
    await expect(importInto(other, file("cut.tar"))).rejects.toThrow(/the bundle ends early, in .+: the file is not whole/);
    expect(await seenIn(other, [name])).toEqual([]);
  }
});

test("a compressed bundle that is cut short, or damaged, is refused", async () => {
  const packed = zstdCompressSync(await readFile(file("good.tar")));
  expect(await refusalOf(packed.subarray(0, packed.byteLength / 2))).toMatch(/ends early|cannot be decompressed/);
});

test("a part that is missing or short is named", async () => {
  const { parts } = await exported(here, { images: [name], output: file("parts.tar"), partBytes: 100_000 });
  const last = parts.at(-1)?.path ?? expect.fail();
  const bytes = await readFile(last);
  await rm(last);
  await expect(importInto(there, file("parts.tar.001"))).rejects.toThrow(`${last} is missing`);
  await writeFile(last, bytes);
  await truncate(file("parts.tar.002"), 99_999);
  await expect(importInto(there, file("parts.tar.001"))).rejects.toThrow(`${file("parts.tar.002")} has 99999 bytes, ${file("parts.tar.001")} has 100000`);
  await rm(file("parts.tar.002"));
  await expect(importInto(there, file("parts.tar.001"))).rejects.toThrow(`${file("parts.tar.002")} is missing`);
  expect(await seenIn(there, [name])).toEqual([]);
});

test("an unsigned bundle is refused where a signature is asked for", async () => {
  const unsigned = entries.filter((entry) => entry.name !== "ociregistry-bundle.json.sig");
  expect(await refusalOf(tarOfEntries(unsigned), { verifyKey: publicKey })).toBe("the bundle is not signed");
});

test("a signature by another key is refused", async () => {
  const { publicKey: other } = generateKeyPairSync("ed25519");
  expect(await refusalOf(tarOfEntries(entries), { verifyKey: other })).toContain("the bundle's signature is wrong");
});

test("the right signature of another bundle is refused", async () => {
  const [first, ...rest] = entries;
  const json = JSON.parse(first?.bytes.toString() ?? "") as object;
  const changed = { name: first?.name ?? "", bytes: Buffer.from(JSON.stringify({ ...json, more: true })) };
  expect(await refusalOf(tarOfEntries([changed, ...rest]), { verifyKey: publicKey })).toContain("the bundle's signature is wrong");
});

test("a manifest that names a blob outside the bundle is refused, though the blob is held here for somebody else", async () => {
  const secret = Buffer.from("a secret of another registry");
  const digest = digestOfBytes(secret);
  await there.deposits.blob("private.example" as Parameters<typeof there.deposits.blob>[0], { digest, sizeBytes: secret.byteLength }, oneOf(secret));
  const config = buildImage().manifest; // Any bytes of the bundle's.
  const greedy = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config.descriptor.digest, size: config.bytes.byteLength },
      layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: secret.byteLength }],
    }),
  );
  const bytes = craft([greedy, Buffer.from(config.bytes)], [{ digest: digestOfBytes(greedy), tag: "1" }]);
  expect(await refusalOf(bytes)).toContain(`names ${digest}, which the bundle does not hold`);
});

test("what is listed as a manifest and is none is refused", async () => {
  const nonsense = Buffer.from("not JSON at all");
  expect(await refusalOf(craft([nonsense], [{ digest: digestOfBytes(nonsense), tag: "1" }]))).toContain(`${digestOfBytes(nonsense)} is not a manifest`);
});

test.each([
  [
    "a tag that means nothing in it",
    { manifests: [], tags: [{ tag: "1", digest: `sha256:${"0".repeat(64)}`, checkedAt: "2026-01-01T00:00:00.000Z" }] },
    "of which the bundle says nothing else",
  ],
  ["a tag that is none", { manifests: [], tags: [{ tag: "../x", digest: `sha256:${"0".repeat(64)}`, checkedAt: "2026-01-01T00:00:00.000Z" }] }, "is not a tag"],
  ["a name that leads out of the store", { name: "quay.io/../../etc", manifests: [], tags: [] }, "is not a repository name"],
  ["a registry that it does not name", { name: "../etc/x", manifests: [], tags: [] }, "is not a registry's canonical name"],
])("a bundle's manifest with %s is refused", async (_, repository, words) => {
  const manifest = {
    format: "ociregistry-bundle/1",
    registries: ["quay.io"],
    files: [],
    blobs: [],
    repositories: [{ name: "quay.io/team/app", ...repository }],
  };
  expect(await refusalOf(tarOfEntries([{ name: "ociregistry-bundle.json", bytes: Buffer.from(JSON.stringify(manifest)) }]))).toContain(words);
});

test("what is no bundle at all is told so", async () => {
  expect(await refusalOf(Buffer.from("hello\n".repeat(500)))).toContain("not a tar header");
});

test("another tool's archive is told so", async () => {
  expect(await refusalOf(tarOfEntries([{ name: "manifest.json", bytes: Buffer.from("[]") }]))).toContain(
    'this is not an ociregistry bundle: its first file is "manifest.json"',
  );
});

test("a bundle of a later kind is told so", async () => {
  const bytes = Buffer.from(JSON.stringify({ format: "ociregistry-bundle/2" }));
  expect(await refusalOf(tarOfEntries([{ name: "ociregistry-bundle.json", bytes }]))).toContain("use a newer ociregistry");
});

/** A bundle of somebody who knows the format: whatever he says of these blobs. */
function craft(contents: readonly Buffer[], manifests: readonly { readonly digest: Digest; readonly tag: string }[]): Buffer {
  const named = contents.map((bytes) => ({ digest: digestOfBytes(bytes), bytes })).toSorted((one, other) => (one.digest < other.digest ? -1 : 1));
  const manifest = {
    format: "ociregistry-bundle/1",
    registries: ["quay.io"],
    files: [],
    repositories: [
      {
        name: "quay.io/team/app",
        manifests: manifests.map(({ digest }) => ({ digest, mediaType: "application/vnd.oci.image.manifest.v1+json" })),
        tags: manifests.map(({ digest, tag }) => ({ tag, digest, checkedAt: "2026-01-01T00:00:00.000Z" })),
      },
    ],
    blobs: named.map(({ digest, bytes }) => ({ digest, size: bytes.byteLength, by: [0] })),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return tarOfEntries([
    { name: "ociregistry-bundle.json", bytes },
    { name: "ociregistry-bundle.json.sig", bytes: sign(null, bytes, privateKey) },
    ...named.map((blob) => ({ name: `blobs/sha256/${hexOf(blob.digest)}`, bytes: blob.bytes })),
  ]);
}

function digestOfBytes(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
}

async function* oneOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function flip(bytes: Buffer, at: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped[at] = (flipped[at] ?? 0) ^ 0x10;
  return flipped;
}

function entriesOf(tar: Buffer): readonly Entry[] {
  const found: Entry[] = [];
  for (let at = 0; ;) {
    const header = parseTarHeader(tar.subarray(at, at + tarBlockBytes));
    if (!header) return found;
    const start = at + tarBlockBytes;
    found.push({ name: header.name, bytes: tar.subarray(start, start + header.sizeBytes) });
    at = start + header.sizeBytes + paddingOf(header.sizeBytes);
  }
}

function tarOfEntries(list: readonly Entry[], claimed: (entry: Entry) => number = ({ bytes }) => bytes.byteLength): Buffer {
  const blocks = list.flatMap((entry) => [formatTarHeader(entry.name, claimed(entry)), entry.bytes, Buffer.alloc(paddingOf(entry.bytes.byteLength))]);
  return Buffer.concat([...blocks, tarEnd()]);
}
