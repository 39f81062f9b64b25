/** Archives with damage of every kind: each is refused in words, or what it brings is whole; nothing hangs, nothing stays behind. */
import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { StoreUnwritable } from "../../src/cache/deposit-failures.ts";
import { Deposits } from "../../src/cache/deposits.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { namedDescriptors, readManifestContent } from "../../src/oci/manifest.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import type { Repository } from "../../src/oci/repository.ts";
import { loadArchive } from "../../src/transfer/archive-load.ts";
import { ArchiveRefused } from "../../src/transfer/archive-refused.ts";
import { OfflineRegistry } from "../../src/upstream/offline.ts";
import { dockerSaveEntries, layoutEntries } from "../support/archives.ts";
import { buildImage, buildIndex, seededBytes } from "../support/images.ts";
import { tarOfEntries } from "../support/tar.ts";
import { pullBlob, pullManifest, startTestCache, type TestCache } from "../support/test-cache.ts";

const names = new RegistryNames({ defaultNs: "docker.io", registries: [] });
const app = buildImage();
const layout = tarOfEntries(
  layoutEntries([{ image: buildIndex([app, buildImage({ platform: "linux/arm64" })]), annotations: { "io.containerd.image.name": "quay.io/a:1" } }]),
);
const saved = tarOfEntries(dockerSaveEntries([{ image: app, names: ["quay.io/b:1"] }]));
const archives: readonly Buffer[] = [layout, saved, gzipSync(layout), zstdCompressSync(saved)];
const damagesEach = 15;

/** A number from 0 to `below`, the same for the same words. */
function pick(below: number, ...words: readonly (string | number)[]): number {
  return seededBytes(4, words.join(" ")).readUInt32LE() % below;
}

const damages: readonly ((bytes: Buffer, seed: number) => Buffer)[] = [
  function flip(bytes, seed) {
    const bent = Buffer.from(bytes);
    const at = pick(bent.length, "flip", seed);
    bent[at] = (bent[at] ?? 0) ^ (1 << pick(8, "bit", seed));
    return bent;
  },
  function cut(bytes, seed) {
    return bytes.subarray(0, pick(bytes.length, "cut", seed));
  },
  function repeat(bytes, seed) {
    const at = pick(bytes.length / 512, "repeat", seed) * 512;
    return Buffer.concat([bytes.subarray(0, at + 512), bytes.subarray(at)]);
  },
  function leaveOut(bytes, seed) {
    const at = pick(bytes.length / 512, "leave out", seed) * 512;
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 512)]);
  },
  function fill(bytes, seed) {
    const bent = Buffer.from(bytes);
    const at = pick(bent.length, "fill", seed);
    return bent.fill(pick(256, "with", seed), at, Math.min(bent.length, at + pick(600, "length", seed)));
  },
];

test(`${damagesEach} damages of each kind to archives of each kind`, { timeout: 120_000 }, async () => {
  await using rig = await startTestCache({ upstreams: [], wrap: () => new OfflineRegistry(), freshness: { airGapped: true } });
  const deposits = new Deposits({ store: rig.store, clock: rig.store.clock });
  let refused = 0;
  let loaded = 0;
  for (const [kind, archive] of archives.entries()) {
    for (const damage of damages) {
      for (let seed = 0; seed < damagesEach; seed += 1) {
        const what = `${damage.name} ${seed} of archive ${kind}`;
        const stream = piecesOf(damage(archive, seed));
        const outcome = await loadArchive({ source: { stream }, deposits, names, signal: AbortSignal.timeout(10_000) }).catch(asError);
        expect(await temporaryFiles(rig), what).toEqual([]);
        if (outcome instanceof Error) {
          expect([what, outcome], String(outcome.stack)).toEqual([
            what,
            expect.toSatisfy((error) => error instanceof ArchiveRefused || error instanceof StoreUnwritable),
          ]);
          refused += 1;
          continue;
        }
        loaded += 1;
        for (const { repository, digest } of outcome.images) await expectParts(rig, repository, (await pullManifest(rig, repository, digest)).bytes, digest);
      }
    }
  }
  expect(refused).toBeGreaterThan(100);
  expect(loaded).toBeGreaterThan(5);
});

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 3_000) yield bytes.subarray(at, at + 3_000);
}

async function temporaryFiles({ store }: TestCache): Promise<readonly string[]> {
  return (await readdir(store.layout.temporary(), { recursive: true })).filter((name) => name.includes("/"));
}

async function expectParts(rig: TestCache, repository: Repository, bytes: Uint8Array, digest: string): Promise<void> {
  expect(digestOf(bytes)).toBe(digest);
  const content = readManifestContent(bytes);
  for (const { digest: part } of namedDescriptors(content)) {
    if (content.kind === "index") await expectParts(rig, repository, (await pullManifest(rig, repository, part)).bytes, part);
    else expect(digestOf((await pullBlob(rig, repository, part)).bytes)).toBe(part);
  }
}
