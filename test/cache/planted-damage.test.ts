/** What a power cut, a bad sector or a careless hand may leave at any name of the store: a miss that heals, never a wrong answer. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostFolder, Layout } from "../../src/cache/layout.ts";
import { nameOfThisProcess } from "../../src/cache/process-name.ts";
import { formatRecord, parseRecord } from "../../src/cache/record.ts";
import { OciError } from "../../src/oci/errors.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { Repository } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage, seededBytes } from "../support/images.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { pullBlob, pullCall, pullManifest, repositoryAt, startTestCache, type TestCache } from "../support/test-cache.ts";

const image = buildImage({ layers: [{ small: "one of a few bytes" }, { large: seededBytes(400_000) }] });
const signature = buildArtifact(image.manifest);
const subject = image.manifest.descriptor.digest;
const [small = subject, large = subject] = image.layers;
const largeBytes = image.blobs.get(large) ?? Buffer.alloc(0);

type Damage = (bytes: Buffer) => Buffer;

const damages = {
  empty: () => Buffer.alloc(0),
  short: (bytes) => bytes.subarray(0, Math.floor(bytes.length / 2)),
  "without its last byte": (bytes) => bytes.subarray(0, -1),
  "followed by something else": (bytes) => Buffer.concat([bytes, Buffer.from("something else")]),
  unparsable: (bytes) => Buffer.alloc(bytes.length, "#"),
  "all zeros": (bytes) => Buffer.alloc(bytes.length),
  "flipped in one bit": (bytes) => bytes.map((byte, at) => (at === Math.floor(bytes.length / 2) ? byte ^ 1 : byte)) as Buffer,
} as const satisfies Readonly<Record<string, Damage>>;

/** Of blobs too large to be read before they are served, only the size is looked at. */
const damagesOfSize = ["empty", "short", "without its last byte", "followed by something else"] as const;
const damagesOfRecords = ["empty", "short", "unparsable", "flipped in one bit"] as const;
const everyDamage = Object.keys(damages) as (keyof typeof damages)[]; // Its own keys.

type Kind = readonly [what: string, path: (layout: Layout, repository: Repository) => string, damages: readonly (keyof typeof damages)[]];

const kinds: readonly Kind[] = [
  ["the version", (layout) => layout.version(), damagesOfRecords],
  ["a large blob", (layout) => layout.blob(large), damagesOfSize],
  ["a small blob", (layout) => layout.blob(small), everyDamage],
  ["a manifest", (layout) => layout.blob(subject), everyDamage],
  ["a tag's record", (layout, repository) => layout.tag(repository, parseTag("1")), damagesOfRecords],
  ["a manifest's record", (layout, repository) => layout.manifest(repository, subject), damagesOfRecords],
  [
    "the record of a manifest that refers to another",
    (layout, repository) => layout.manifest(repository, signature.manifest.descriptor.digest),
    damagesOfRecords,
  ],
  ["a large blob's link", (layout, repository) => layout.link(repository, large), damagesOfRecords],
  ["a small blob's link", (layout, repository) => layout.link(repository, small), damagesOfRecords],
  ["a registry's last word on referrers", (layout, repository) => layout.referrersAnswer(repository, subject), damagesOfRecords],
];

const marks: readonly Kind[] = [
  ["a large blob's delivery", (layout, { host }) => layout.delivery(host, large), []],
  ["a manifest's delivery", (layout, { host }) => layout.delivery(host, subject), []],
  ["a referrer", (layout, repository) => layout.referrer(repository, subject, signature.manifest.descriptor.digest), []],
];

let upstream: FakeUpstream;
let repository: Repository;
/** A store that holds everything; each test has a copy. */
let whole: TemporaryFolder;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1", image);
  upstream.putImage("team/app", undefined, signature);
  repository = repositoryAt(upstream.host, "team/app");
  whole = await temporaryFolder();
  await using rig = await startTestCache({ upstreams: [upstream.host], root: join(whole.path, "store") });
  await pullAll(rig);
});

afterAll(async () => {
  await upstream.close();
  await whole[Symbol.asyncDispose]();
});

/** Pulls everything there is; rejects when anything is wrong. */
async function pullAll(rig: TestCache): Promise<void> {
  for (const [reference, { manifest }] of [
    ["1", image],
    [subject, image],
    [signature.manifest.descriptor.digest, signature],
  ] as const) {
    const pulled = await pullManifest(rig, repository, reference);
    expect(pulled.descriptor).toEqual(manifest.descriptor);
    expect(Buffer.from(pulled.bytes).equals(Buffer.from(manifest.bytes))).toBe(true);
  }
  for (const [digest, bytes] of [...image.blobs, ...signature.blobs])
    expect((await pullBlob(rig, repository, digest)).bytes.equals(Buffer.from(bytes))).toBe(true);
  const { manifests } = await rig.cache.listReferrers(repository, subject, pullCall());
  expect(manifests.map(({ digest }) => digest)).toEqual([signature.manifest.descriptor.digest]);
  await rig.store.background.settled();
}

/** A copy of the store, with `plant` done to it, serves everything right, and afterwards does so without its registry. */
async function expectToHeal(plant: (layout: Layout) => Promise<void>): Promise<void> {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "store");
  await cp(join(whole.path, "store"), root, { recursive: true, preserveTimestamps: true });
  await plant(new Layout(root));
  {
    await using rig = await startTestCache({ upstreams: [upstream.host], root });
    await pullAll(rig);
    expect(rig.store.status()).toEqual({ writable: true });
  }
  expect(await readdir(join(root, "tmp"))).toEqual([]);
  await using offline = await startTestCache({ upstreams: [], root, freshness: { airGapped: true } });
  await pullAll(offline);
}

describe("planted at its name", () => {
  const planted = kinds.flatMap(([what, path, possible]) => possible.map((damage) => ({ what, path, damage })));

  test.each(planted)("$what, $damage, is a miss that heals", async ({ path, damage }) => {
    await expectToHeal(async (layout) => {
      const file = path(layout, repository);
      const damaged = damages[damage](await readFile(file));
      await rm(file);
      await writeFile(file, damaged);
    });
  });

  test.each(marks.map(([what, path]) => ({ what, path })))(
    "$what that is lost heals, and one that says something is as good as an empty one",
    async ({ path }) => {
      await expectToHeal(async (layout) => await rm(path(layout, repository)));
      await expectToHeal(async (layout) => await writeFile(path(layout, repository), "something"));
    },
  );

  test("all of it at once, empty, heals", async () => {
    await expectToHeal(async ({ root }) => {
      const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
      for (const { parentPath, name } of files) {
        await rm(join(parentPath, name));
        await writeFile(join(parentPath, name), "");
      }
    });
  });
});

describe("what a killed process left of a download", () => {
  const names = ["KEY.claimed", "KEY~1.part"];
  const planted = names.flatMap((name) => everyDamage.map((damage) => ({ name, damage })));

  test.each(planted)("as $name, $damage, is gone on with where it is right, cuts at most one pull where it is not, and is gone", async ({ name, damage }) => {
    const { boot, namespace } = await nameOfThisProcess();
    const key = `${hostFolder(repository.host)}~${large.replace(":", "-")}`;
    await expectToHeal(async (layout) => {
      await rm(layout.blob(large));
      const folder = join(layout.temporary(), `${boot}-${namespace}-999999999-1-abcdef`);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, name.replace("KEY", key)), damages[damage](Buffer.from(largeBytes.subarray(0, 200_000))));
      await using rig = await startTestCache({ upstreams: [upstream.host], root: layout.root });
      // Who has read bytes that turn out wrong is cut; nobody is given them as a whole.
      const pulled = await pullBlob(rig, repository, large).catch((error: unknown) => error);
      expect(pulled instanceof OciError || isWholeLarge(pulled)).toBe(true);
      await rig.store.background.settled();
    });
  });

  function isWholeLarge(pulled: unknown): boolean {
    return typeof pulled === "object" && pulled !== null && "bytes" in pulled && Buffer.from(largeBytes).equals(pulled.bytes as Buffer); // As `pullBlob` gives it.
  }
});

test("a record that is flipped in any one bit says what it said, or nothing", () => {
  const said = { digest: subject, mediaType: mediaTypes.ociManifest, size: 528 };
  const bytes = Buffer.from(formatRecord(said));
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const record = parseRecord(flipped);
    if (record) expect(record).toMatchObject(said);
  }
});
