import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { parseRegistryHost } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { blobEntry, bundleEntries } from "../../src/transfer/bundle-layout.ts";
import { formatBundleManifest, type BundleManifest } from "../../src/transfer/bundle-manifest.ts";
import { BaseMissing } from "../../src/transfer/import.ts";
import { formatTarHeader, paddingOf, tarEnd } from "../../src/transfer/tar-format.ts";
import { exported, importInto, openSide, pullsWhole, seenIn, type Side } from "../support/bundle-sides.ts";
import { buildImage, buildIndex, type BuiltImage } from "../support/images.ts";
import { repositoryAt } from "../support/test-cache.ts";
import { openTestStore } from "../support/test-store.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const privateName = "private.example.com/team/app:1";
const evilName = "evil.example.com/team/app:1";
const secret = buildImage({ layers: [{ "etc/secret": "of one registry alone" }] });
const [layer] = secret.layers;
const privateHost = parseRegistryHost("private.example.com");
const evil = repositoryAt("evil.example.com", "team/app");
const anybody = parseRegistryHost("anybody.example.com");
const { privateKey, publicKey } = generateKeyPairSync("ed25519");

let folder: TemporaryFolder;
let there: Side;
const file = (path: string): string => join(folder.path, path);

beforeEach(async () => {
  folder = await temporaryFolder();
  there = await openSide();
  await there.keep(privateName, secret);
});

afterEach(async () => {
  await there[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Who may be shown the layer: as the store says once nothing is remembered any more. */
async function shownTo(): Promise<{ readonly evil: boolean; readonly anybody: boolean }> {
  await using cold = await openTestStore({ root: there.store.layout.root, systemClock: true });
  const covers = async (host: typeof anybody): Promise<boolean> => await cold.provenance.covers(host, layer ?? expect.fail());
  return { evil: await covers(evil.host), anybody: await covers(anybody) };
}

interface Said {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  /** What the bundle carries in place of the bytes. */
  readonly carried?: Uint8Array;
  readonly hosts?: readonly (typeof anybody)[];
  readonly isPublic?: boolean;
  readonly isLeftOut?: boolean;
}

/** A bundle of somebody who knows the format, and the digests of what others hold: it says what he likes of evil.example.com/team/app:1. */
async function bundleThatSays(image: Pick<BuiltImage, "manifest">, said: readonly Said[], { signKey }: { signKey?: KeyObject } = {}): Promise<string> {
  const { digest, mediaType } = image.manifest.descriptor;
  const described = said.map(({ digest: of, bytes, hosts = [evil.host], isPublic = false }) => ({ digest: of, sizeBytes: bytes.byteLength, hosts, isPublic }));
  const isLeftOut = new Set(said.filter((one) => one.isLeftOut === true).map((one) => one.digest));
  const manifest: BundleManifest = {
    ...(isLeftOut.size > 0 ? { base: { receipt: digest, links: [{ kind: "receipt", id: digest }] } } : {}),
    files: [],
    blobs: described.filter((blob) => !isLeftOut.has(blob.digest)),
    leftOut: described.filter((blob) => isLeftOut.has(blob.digest)).map((blob) => ({ ...blob, link: 0 })),
    repositories: [
      // Another that says nothing: so that the bundle may speak of its registry.
      { repository: repositoryAt("private.example.com", "team/other"), manifests: [], tags: [] },
      { repository: evil, manifests: [{ digest, mediaType }], tags: [{ tag: parseTag("1"), digest, checkedAtMs: 1_700_000_000_000 }] },
    ],
  };
  const bytes = formatBundleManifest(manifest);
  const entries: [string, Uint8Array][] = [[bundleEntries.manifest, bytes]];
  if (signKey) entries.push([bundleEntries.signature, sign(null, bytes, signKey)]);
  for (const one of said) if (one.isLeftOut !== true) entries.push([blobEntry(one.digest), one.carried ?? one.bytes]);
  const tar = entries.flatMap(([name, content]) => [formatTarHeader(name, content.byteLength), content, Buffer.alloc(paddingOf(content.byteLength))]);
  await writeFile(file("evil.tar"), Buffer.concat([...tar, tarEnd()]));
  return file("evil.tar");
}

const parts = ({ blobs, manifest }: BuiltImage): readonly Said[] => [
  ...[...blobs].map(([digest, bytes]) => ({ digest, bytes })),
  { digest: manifest.descriptor.digest, bytes: manifest.bytes },
];
const garbage = (bytes: Uint8Array): Uint8Array => Buffer.alloc(bytes.byteLength, "A");

test("a bundle that names another registry's digests without having the bytes is refused, and opens nothing", async () => {
  const path = await bundleThatSays(
    secret,
    parts(secret).map((one) => ({ ...one, isPublic: true, ...(secret.blobs.has(one.digest) ? { carried: garbage(one.bytes) } : {}) })),
  );
  await expect(importInto(there, path)).rejects.toThrow(/its bytes are wrong/);
  expect(await seenIn(there, [evilName])).toEqual([]);
  expect(await shownTo()).toEqual({ evil: false, anybody: false });
  expect(await pullsWhole(there, privateName, secret)).toBe(true);
});

test("what a registry delivered is not made public by a bundle that lacks the bytes", async () => {
  await there.deposits.vouch(evil.host, { digest: layer ?? expect.fail(), sizeBytes: secret.blobs.get(layer ?? expect.fail())?.byteLength ?? 0 });
  const path = await bundleThatSays(
    secret,
    parts(secret).map((one) => ({ ...one, isPublic: true, ...(one.digest === layer ? { carried: garbage(one.bytes) } : {}) })),
  );
  await expect(importInto(there, path)).rejects.toThrow(`${layer}: its bytes are wrong`);
  expect(await shownTo()).toEqual({ evil: true, anybody: false });
});

test("what a bundle leaves out is missing if it is held for other registries only, unless the bundle's key says otherwise", async () => {
  const said = parts(secret).map((one) => ({ ...one, isPublic: true, isLeftOut: secret.blobs.has(one.digest) }));
  const path = await bundleThatSays(secret, said, { signKey: privateKey });
  const refusal: unknown = await importInto(there, path).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(BaseMissing);
  expect(refusal).toMatchObject({
    message: expect.stringContaining("held for other registries only"),
    missing: [...secret.blobs.keys()].map((digest) => ({ digest })),
  });
  expect(await seenIn(there, [evilName])).toEqual([]);
  expect(await shownTo()).toEqual({ evil: false, anybody: false });

  await importInto(there, path, { verifyKey: publicKey });
  expect(await pullsWhole(there, evilName, secret)).toBe(true);
});

test("what is left out and held for this registry is not made public by a bundle that lacks the bytes", async () => {
  const said = parts(secret).map((one) => ({ ...one, isPublic: true, hosts: [privateHost, evil.host], isLeftOut: secret.blobs.has(one.digest) }));
  for (const [digest, bytes] of secret.blobs) await there.deposits.vouch(evil.host, { digest, sizeBytes: bytes.byteLength });
  await importInto(there, await bundleThatSays(secret, said));
  expect(await pullsWhole(there, evilName, secret)).toBe(true);
  expect(await shownTo()).toEqual({ evil: true, anybody: false });
});

test("a manifest that the bundle gives to one registry only cannot be named for another", async () => {
  const index = buildIndex([secret]);
  await there.keep("private.example.com/team/index:1", index);
  const said: readonly Said[] = [{ digest: index.manifest.descriptor.digest, bytes: index.manifest.bytes, hosts: [privateHost], isLeftOut: true }];
  await expect(importInto(there, await bundleThatSays(index, said))).rejects.toThrow(
    `evil.example.com/team/app holds ${index.manifest.descriptor.digest}, which the bundle gives to other registries`,
  );
  expect(await seenIn(there, [evilName])).toEqual([]);
});

test("a bundle that has the bytes is taken, also where they are held for another registry", async () => {
  expect(await importInto(there, await bundleThatSays(secret, parts(secret)))).toMatchObject({ keptCount: 0, heldCount: 3 });
  expect(await pullsWhole(there, evilName, secret)).toBe(true);
  expect(await shownTo()).toEqual({ evil: true, anybody: false });
});

test("an import that was stopped passes over what it had taken, for all registries and for everybody", async () => {
  const hosts = [evil.host, privateHost];
  const open = buildImage({ layers: [{ "etc/open": "for everybody" }, { "etc/last": "never comes" }] });
  const said = parts(open).map((one) => ({ ...one, hosts, isPublic: true }));
  const last = open.layers[1];
  const broken = said.map((one) => (one.digest === last ? { ...one, carried: garbage(one.bytes) } : one));
  await expect(importInto(there, await bundleThatSays(open, broken))).rejects.toThrow(`${last}: its bytes are wrong`);
  // If what is here already were read again, its bytes would be wrong now.
  const held = said.map((one) => (one.digest === last ? one : { ...one, carried: garbage(one.bytes) }));
  await importInto(there, await bundleThatSays(open, held));
  expect(await pullsWhole(there, evilName, open)).toBe(true);
});

test("what the other side's receipt lists is left out, and taken as held, without a key", async () => {
  await using here = await openSide();
  const [first, second] = [secret, buildImage({ layers: [{ "etc/secret": "of one registry alone" }, { "etc/more": "new" }] })];
  await here.keep(privateName, first);
  const since = { links: [{ digests: [first.manifest.descriptor.digest, ...first.blobs.keys()].sort() }] };
  await here.keep("private.example.com/team/app:2", second);
  const { leftOutCount } = await exported(here, { images: [privateName, "private.example.com/team/app:2"], output: file("2.tar"), since });
  expect(leftOutCount).toBe(3);
  await importInto(there, file("2.tar"));
  expect(await pullsWhole(there, "private.example.com/team/app:2", second)).toBe(true);
});
