/** A disk that fills at the worst moments, under a real server: pulls pass, and are kept again when there is room. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes, type BuiltImage } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requireRoot } from "../support/programs.ts";
import { pull, startPull, type PullResult } from "../support/raw-client.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const mebibyte = 1024 * 1024;
const diskBytes = 12 * mebibyte;
const blob = seededBytes(8 * mebibyte, "watched");
const image = buildImage();
const later = buildImage({ annotations: { comes: "later" } });

interface Scene {
  readonly disk: SmallDisk;
  readonly upstream: FakeUpstream;
  readonly server: OurServer;
  /** Of the blob. */
  readonly path: string;
}

/** What happens until the disk is full; what it gives are pulls that go on then. */
type Moment = (scene: Scene) => Promise<readonly Promise<PullResult>[]>;

const isWhole = ({ status, ending, isExact }: PullResult): boolean => status === 200 && ending === "complete" && isExact;

async function pullManifest({ server }: Scene, { manifest }: BuiltImage, reference: string): Promise<boolean> {
  return isWhole(await pull({ host: server.host, path: `/v2/up/a/manifests/${reference}`, expected: manifest.bytes }));
}

async function pullImage(scene: Scene, built: BuiltImage, tag: string): Promise<boolean> {
  const blobs = [...built.blobs].map(([digest, expected]) => pull({ host: scene.server.host, path: `/v2/up/a/blobs/${digest}`, expected }));
  return (await pullManifest(scene, built, tag)) && (await Promise.all(blobs)).every(isWhole);
}

/** How much of a download lies on the disk. */
async function partBytes({ imagePath }: OurServer): Promise<number> {
  const files = await readdir(join(imagePath, "tmp"), { recursive: true, withFileTypes: true });
  const parts = files.filter(({ name }) => name.endsWith(".part"));
  return Math.max(-1, ...(await Promise.all(parts.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size))));
}

/** Two clients are there when so much of the blob has come; then the disk is full, and the rest follows. */
function inMidFill(share: number): Moment {
  return async ({ disk, upstream, server, path }) => {
    const atBytes = Math.floor((blob.byteLength - 1) * share);
    const gate = Promise.withResolvers<void>();
    upstream.when({ kind: "blob", times: 1 }, { holdBody: { atBytes, until: gate.promise } });
    const pulls = [1, 2].map(() => startPull({ host: server.host, path, expected: blob }));
    await Promise.all(pulls.map((running) => running.received(Math.min(atBytes, blob.byteLength - 65_536))));
    await expect.poll(() => partBytes(server)).toBe(atBytes);
    await disk.fill(0);
    gate.resolve();
    return pulls.map(({ done }) => done);
  };
}

const moments: Readonly<Record<string, Moment>> = {
  "before the first manifest": async ({ disk }) => (await disk.fill(0), []),
  "between a manifest and its tag": async (scene) => {
    expect(await pullManifest(scene, image, image.manifest.descriptor.digest)).toBe(true);
    await scene.disk.fill(0);
    return [];
  },
  "between a manifest and its blobs": async (scene) => {
    expect(await pullManifest(scene, image, "1")).toBe(true);
    await scene.disk.fill(0);
    return [];
  },
  "a quarter into a download": inMidFill(0.25),
  "half-way through a download": inMidFill(0.5),
  "three quarters into a download": inMidFill(0.75),
  "near the end of a download": inMidFill(0.99),
  "between a download's last byte and its publishing": inMidFill(1),
  "after a download, when the next manifest comes": async (scene) => {
    expect(isWhole(await pull({ host: scene.server.host, path: scene.path, expected: blob }))).toBe(true);
    await scene.disk.fill(0);
    return [];
  },
  "of two downloads that do not fit together": async ({ upstream, server, path }) => {
    const other = seededBytes(blob.byteLength, "other");
    const paths = [path, `/v2/up/a/blobs/${upstream.putBlob("a", other)}`];
    return paths.map((each, index) => pull({ host: server.host, path: each, expected: index === 0 ? blob : other }));
  },
  "with room left, but for no file more": async ({ disk }) => (await disk.useUpFiles(), []),
};

describe("a disk that is full", () => {
  async function arrange(disk: SmallDisk) {
    const folder = await temporaryFolder();
    const upstream = await startFakeUpstream();
    upstream.putImage("a", "1", image);
    upstream.putImage("a", "2", later);
    const path = `/v2/up/a/blobs/${upstream.putBlob("a", blob)}`;
    const config = { imagePath: join(disk.path, "store"), registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
    const server = await startOurServer({ folder: folder.path, config });
    return {
      disk,
      upstream,
      server,
      path,
      [Symbol.asyncDispose]: async () => (await server.process.kill(), await upstream.close(), await folder[Symbol.asyncDispose]()),
    };
  }

  /** Everything passes now; when there is room, everything small is kept, and what was begun in vain is gone. */
  async function expectToPassAndRecover(scene: Scene, running: readonly Promise<PullResult>[]): Promise<void> {
    const { server, upstream, disk, path } = scene;
    for (const result of await Promise.all(running)) expect(result).toMatchObject({ status: 200, ending: "complete", isExact: true });
    expect(await pullImage(scene, image, "1")).toBe(true);
    expect(await pull({ host: server.host, path, expected: blob })).toMatchObject({ status: 200, ending: "complete", isExact: true });
    expect(server.process.output + (await (await fetch(`${server.url}/readyz`)).text())).toMatch(/ENOSPC|no room/);
    await disk.relieve();
    expect(await pullImage(scene, later, "2")).toBe(true);
    upstream.forget();
    await expect.poll(async () => (await pullImage(scene, later, "2"), upstream.requests.length === (upstream.forget(), 0))).toBe(true);
    expect(await (await fetch(`${server.url}/readyz`)).json()).toMatchObject({ status: "ready", store: { writable: true } });
    await server.process.kill("SIGTERM");
    expect(await server.process.ended).toEqual({ code: 0, signal: null });
    expect(await readdir(join(server.imagePath, "tmp"))).toEqual([]);
  }

  test.runIf(requireRoot()).each(Object.entries(moments))(
    "%s, lets every pull pass, exact, and keeps again what comes when there is room",
    async (_, moment) => {
      await using disk = await mountSmallDisk(diskBytes, { filesMax: 400 });
      await using scene = await arrange(disk);
      await expectToPassAndRecover(scene, await moment(scene));
    },
  );

  test.runIf(requireRoot())("before the server starts, lets every pull pass, exact, and keeps again what comes when there is room", async () => {
    await using disk = await mountSmallDisk(diskBytes);
    await disk.fill(0);
    await using scene = await arrange(disk);
    await expectToPassAndRecover(scene, []);
  });
});
