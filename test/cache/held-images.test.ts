/** What counts as an image, when it was used, what it is made of, and that no damage hides the others. */
import { mkdir, rename, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { HeldImages, imageNames, type HeldImage, type WalkOptions } from "../../src/cache/held-images.ts";
import { parseDigest, type Digest } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { parseRegistryHost, repositoryName } from "../../src/oci/repository.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage, buildIndex } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { runProcess } from "../support/processes.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";

const image = buildImage();
const amd64 = buildImage({ platform: "linux/amd64", annotations: { is: "a child" } });
const arm64 = buildImage({ platform: "linux/arm64" });
const index = buildIndex([amd64, arm64]);
const signature = buildArtifact(image.manifest);
const startMs = Date.UTC(2026, 5, 1);
const hourMs = 3_600_000;

async function arrange() {
  const upstream = await startFakeUpstream();
  for (const path of ["team/app", "team/other", "team-b/app"]) {
    upstream.putImage(path, "1", image);
    upstream.putImage(path, "many", index);
    upstream.putImage(path, undefined, signature);
  }
  const clock = new TestClock({ startMs });
  const rig = await startTestCache({ upstreams: [upstream.host], clock, rules: { tagTtlMs: () => Infinity } });
  const { store } = rig;
  const images = new HeldImages({ store, clock });
  const repository = repositoryAt(upstream.host, "team/app");
  return {
    rig,
    store,
    clock,
    images,
    upstream,
    repository,
    pull: (reference: string, path = "team/app", purpose: "pull" | "load" = "load") =>
      pullManifest(rig, repositoryAt(upstream.host, path), reference, { purpose }),
    /** Pulls a blob, and waits until it can be served from here. */
    hold: async (blob: Digest): Promise<void> => {
      await pullBlob(rig, repository, blob);
      const { blobs, provenance } = store;
      const isHeld = await lookUntil(
        async () => (await blobs.has(blob)) && (await provenance.covers(repository.host, blob)),
        (held) => held,
        { waitMs: 10_000 },
      );
      if (!isHeld) throw new Error(`${blob} is not held`);
    },
    list: async (options: WalkOptions = {}): Promise<readonly HeldImage[]> => await Array.fromAsync(images.walk(options)),
    [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
}

function digestOf({ manifest }: { readonly manifest: { readonly descriptor: { readonly digest: Digest } } }): Digest {
  return manifest.descriptor.digest;
}

describe("an image", () => {
  test("is what a tag means, once for all its tags, with the time at which it came", async () => {
    await using all = await arrange();
    all.upstream.setTag("team/app", "latest", digestOf(image));
    await all.pull("latest");
    await all.clock.advance(hourMs);
    await all.pull("1");
    expect(await all.list()).toEqual([
      {
        repository: all.repository,
        tags: [
          { tag: "1", record: expect.objectContaining({ digest: digestOf(image), checkedAtMs: startMs + hourMs }) },
          { tag: "latest", record: expect.objectContaining({ digest: digestOf(image), checkedAtMs: startMs }) },
        ],
        digest: digestOf(image),
        mediaType: mediaTypes.ociManifest,
        kind: "image",
        heldSinceMs: startMs,
        usedAtMs: startMs,
        folderTimes: expect.any(String),
      },
    ]);
  });

  test("is an index with its children, whichever of them were pulled; a child is none of its own", async () => {
    await using all = await arrange();
    await all.pull("many");
    await all.pull(digestOf(arm64));
    expect((await all.list()).map(({ digest, kind }) => ({ digest, kind }))).toEqual([{ digest: digestOf(index), kind: "index" }]);
  });

  test("is an index without a tag too; and a manifest that nobody names", async () => {
    await using all = await arrange();
    await all.pull(digestOf(index));
    await all.pull(digestOf(arm64));
    await all.pull(digestOf(image));
    const found = await all.list();
    expect(new Set(found.map(({ digest }) => digest))).toEqual(new Set([digestOf(index), digestOf(image)]));
    expect(found.flatMap(imageNames)).toContain(`${repositoryName(all.repository)}@${digestOf(image)}`);
  });

  test("is a child whose index has gone, and a signature whose image has; with it, neither", async () => {
    await using all = await arrange();
    await all.pull("1");
    await all.pull(digestOf(signature));
    await all.pull("many");
    await all.pull(digestOf(arm64));
    expect((await all.list()).map(({ digest }) => digest)).toEqual([digestOf(image), digestOf(index)]);
    for (const [tag, { manifest }] of [
      ["1", image],
      ["many", index],
    ] as const) {
      await rm(all.store.layout.tag(all.repository, parseTagOf(tag)));
      await rm(all.store.layout.manifest(all.repository, manifest.descriptor.digest));
    }
    expect(new Set((await all.list()).map(({ digest }) => digest))).toEqual(new Set([digestOf(signature), digestOf(arm64)]));
  });

  test("is used when a child or a referrer of it is, by its latest", async () => {
    await using all = await arrange();
    await all.pull("many");
    await all.pull(digestOf(arm64));
    await all.pull("1");
    await all.pull(digestOf(signature));
    await all.clock.advance(hourMs);
    await all.pull(digestOf(arm64), "team/app", "pull");
    await all.clock.advance(hourMs);
    await all.pull(digestOf(signature), "team/app", "pull");
    expect((await all.list()).map(({ digest, heldSinceMs, usedAtMs }) => ({ digest, heldSinceMs, usedAtMs }))).toEqual([
      { digest: digestOf(image), heldSinceMs: startMs, usedAtMs: startMs + 2 * hourMs },
      { digest: digestOf(index), heldSinceMs: startMs, usedAtMs: startMs + hourMs },
    ]);
  });

  test("that came without its time (another program's record) came when its file did", async () => {
    await using all = await arrange();
    await all.pull("1");
    const { sizeBytes, mediaType } = image.manifest.descriptor;
    await writeFile(all.store.layout.manifest(all.repository, digestOf(image)), JSON.stringify({ digest: digestOf(image), mediaType, size: sizeBytes }));
    await utimes(all.store.layout.blob(digestOf(image)), startMs / 1_000 - 60, startMs / 1_000 - 60);
    await utimes(all.store.layout.manifest(all.repository, digestOf(image)), startMs / 1_000 - 30, startMs / 1_000 - 30);
    expect(await all.list()).toMatchObject([{ heldSinceMs: startMs - 60_000, usedAtMs: startMs - 30_000 }]);
  });

  test("is pinned by one of its tags, or by the digest of anything in it, until the pin ends", async () => {
    await using all = await arrange();
    await all.pull("1");
    await all.pull("many");
    await all.pull(digestOf(arm64));
    await all.store.pins.put(all.repository, parseReference("1"), { reason: "the installer" });
    await all.store.pins.put(all.repository, parseReference(digestOf(arm64)), { untilMs: startMs + hourMs });
    const pins = async () => (await all.list()).map(({ digest, pinned }) => [digest, pinned]);
    expect(await pins()).toEqual([
      [digestOf(image), { reference: { kind: "tag", tag: "1" }, pinnedAtMs: startMs, reason: "the installer" }],
      [digestOf(index), { reference: { kind: "digest", digest: digestOf(arm64) }, pinnedAtMs: startMs, untilMs: startMs + hourMs }],
    ]);
    await all.clock.advance(hourMs);
    expect((await pins()).map(([, pinned]) => pinned !== undefined)).toEqual([true, false]);
  });
});

describe("a walk", () => {
  test("goes by the names of repositories, not by the order of folders", async () => {
    await using all = await arrange();
    for (const path of ["team/other", "team-b/app", "team/app"]) await all.pull("1", path);
    await mkdir(`${all.store.layout.upstreams()}/not a host/x/_manifests`, { recursive: true });
    await mkdir(`${all.store.layout.repository(all.repository)}/UPPER/_manifests`, { recursive: true });
    const names = (await all.list()).map(({ repository }) => repository.path);
    expect(names).toEqual(["team-b/app", "team/app", "team/other"]);
  });

  test("of a pattern, a registry or a repository gives only those", async () => {
    await using all = await arrange();
    for (const path of ["team/other", "team/app"]) for (const tag of ["1", "many"]) await all.pull(tag, path);
    const names = async (options: WalkOptions) => (await all.list(options)).flatMap(imageNames).map((name) => name.slice(name.indexOf("/") + 1));
    expect(await names({ pattern: (name) => name.endsWith("other:1") })).toEqual(["team/other:1"]);
    expect(await names({ repository: all.repository })).toEqual(["team/app:1", "team/app:many"]);
    expect(await names({ registry: parseRegistryHost("elsewhere.test") })).toEqual([]);
    expect(await names({ registry: all.repository.host })).toHaveLength(4);
  });

  const damages: readonly [string, (path: string) => Promise<unknown>][] = [
    ["empty", (path) => truncate(path, 0)],
    ["garbage", (path) => writeFile(path, "{")],
    ["a folder", async (path) => (await rm(path), await mkdir(path))],
    ["a link to nowhere", async (path) => (await rm(path), await symlink("/nowhere", path))],
    ["large", (path) => truncate(path, 8 * 1024 * 1024)],
    ["a pipe that nobody writes into", async (path) => (await rm(path), await runProcess("mkfifo", [path]))],
  ];
  test.each(damages)("passes over a record that is %s, and shows all others", async (_, damage) => {
    for (const which of ["tag", "manifest", "blob"] as const) {
      await using all = await arrange();
      await all.pull("1");
      await all.pull("1", "team/other");
      await all.pull("many", "team/other");
      const { layout } = all.store;
      const other = repositoryAt(all.upstream.host, "team/other");
      const path = { tag: layout.tag(other, parseTagOf("many")), manifest: layout.manifest(other, digestOf(index)), blob: layout.blob(digestOf(index)) }[which];
      if (which === "blob") await rename(path, `${path}.aside`).then(() => writeFile(path, "{}"));
      await damage(path);
      const names = (await all.list()).flatMap(imageNames);
      expect(names).toContain(`${repositoryName(all.repository)}:1`);
      expect(names).toContain(`${repositoryName(other)}:1`);
    }
  });

  test("throws what the disk cannot give when it has to be whole", async () => {
    await using all = await arrange();
    await all.pull("1");
    const path = all.store.layout.manifest(all.repository, digestOf(image));
    await rm(path);
    await symlink(path, path); // A loop: neither there nor absent.
    await expect(all.list({ isStrict: true })).rejects.toMatchObject({ code: "ELOOP" });
    expect(await all.list()).toMatchObject([{ digest: digestOf(image) }]);
  });

  test("of a tag whose manifest a copy lacks shows it, as not held", async () => {
    await using all = await arrange();
    await all.pull("1");
    await rm(all.store.layout.manifest(all.repository, digestOf(image)));
    const [found] = await all.list();
    expect(found).toMatchObject({ digest: digestOf(image), kind: "image" });
    expect(found && (await all.images.contents(found)).manifests).toMatchObject([{ isHeld: false }]);
  });

  test("can be left in the middle, and ended by a signal", async () => {
    await using all = await arrange();
    await all.pull("1");
    await all.pull("many");
    for await (const { digest } of all.images.walk()) {
      expect(digest).toBe(digestOf(image));
      break;
    }
    const controller = new AbortController();
    const walk = all.images.walk({ signal: controller.signal });
    await walk.next();
    controller.abort(new Error("enough"));
    await expect(walk.next()).rejects.toThrow("enough");
    expect(await all.list()).toHaveLength(2);
  });

  test("of a disk that gives nothing for a minute ends with an error, not as if it were done, and the next one begins anew", async () => {
    await using all = await arrange();
    // More than come in one report.
    for (let number = 0; number < 70; number++) {
      const { manifest } = buildImage({ annotations: { number: String(number) } });
      all.upstream.putManifest("team/app", `x${number}`, manifest.bytes, manifest.descriptor.mediaType);
      await all.pull(`x${number}`);
    }
    const deadlines: (() => void)[] = [];
    const images = new HeldImages({ store: all.store, clock: { ...clockOf(all.clock), after: (_, wake) => (deadlines.push(wake), () => {}) } });
    const walk = images.walk();
    await walk.next();
    const asked = images.contents({ repository: all.repository, digest: digestOf(image) });
    deadlines.at(-1)?.(); // Before the thread can have answered.
    await expect(asked).rejects.toThrow("the disk gave nothing within 60000 ms");
    await expect(Array.fromAsync(walk)).rejects.toThrow("the walk was given up");
    expect(await Array.fromAsync(images.walk())).toHaveLength(70);
  });

  test("of nothing is empty", async () => {
    await using all = await arrange();
    expect(await all.list()).toEqual([]);
  });

  test("ends its thread when nobody asks for a while, and starts another for the next", async () => {
    await using all = await arrange();
    await all.pull("1");
    await all.list();
    await all.clock.advance(10_000);
    expect(await all.list()).toHaveLength(1);
  });
});

describe("what an image is made of", () => {
  test("is its manifests and blobs, and which of them are here", async () => {
    await using all = await arrange();
    await all.pull("many");
    await all.pull(digestOf(arm64));
    const layer = parseDigest(arm64.layers[0] ?? "");
    await all.hold(layer);
    const contents = await all.images.contents({ repository: all.repository, digest: digestOf(index) });
    expect(contents.manifests).toEqual([
      { digest: digestOf(index), sizeBytes: index.manifest.bytes.byteLength, mediaType: mediaTypes.ociIndex, isHeld: true, role: "root", parent: undefined },
      expect.objectContaining({
        digest: digestOf(amd64),
        platform: { os: "linux", architecture: "amd64" },
        isHeld: false,
        role: "child",
        parent: digestOf(index),
      }),
      expect.objectContaining({
        digest: digestOf(arm64),
        platform: { os: "linux", architecture: "arm64" },
        isHeld: true,
        role: "child",
        parent: digestOf(index),
      }),
    ]);
    expect(contents.blobs.map(({ digest, isHeld, role, parent }) => ({ digest, isHeld, role, parent }))).toEqual([
      { digest: arm64.config, isHeld: false, role: "config", parent: digestOf(arm64) },
      ...arm64.layers.map((digest, at) => ({ digest, isHeld: at === 0, role: "layer", parent: digestOf(arm64) })),
    ]);
  });

  test("is what refers to it, too", async () => {
    await using all = await arrange();
    await all.pull("1");
    await all.pull(digestOf(signature));
    const { manifests, blobs } = await all.images.contents({ repository: all.repository, digest: digestOf(image) });
    expect(manifests).toMatchObject([
      { role: "root", digest: digestOf(image) },
      { role: "referrer", digest: digestOf(signature), parent: digestOf(image), isHeld: true },
    ]);
    expect(blobs.map(({ digest }) => digest)).toEqual(expect.arrayContaining([image.config, signature.config]));
  });

  test("is not held where another registry's delivery brought it", async () => {
    await using all = await arrange();
    await all.pull("1");
    const [layer] = image.layers;
    if (!layer) throw new Error("an image has layers");
    await all.hold(layer);
    const isHeld = async () =>
      (await all.images.contents({ repository: all.repository, digest: digestOf(image) })).blobs.find(({ digest }) => digest === layer)?.isHeld;
    expect(await isHeld()).toBe(true);
    await rm(all.store.layout.delivery(all.repository.host, layer));
    await rm(all.store.layout.publicMark(layer), { force: true });
    expect(await isHeld()).toBe(false);
  });

  test("is not held when it is short", async () => {
    await using all = await arrange();
    await all.pull("1");
    const [layer] = image.layers;
    if (!layer) throw new Error("an image has layers");
    await all.hold(layer);
    await truncate(all.store.layout.blob(layer), 3);
    const { blobs } = await all.images.contents({ repository: all.repository, digest: digestOf(image) });
    expect(blobs.find(({ digest }) => digest === layer)).toMatchObject({ isHeld: false, sizeBytes: image.blobs.get(layer)?.byteLength });
  });
});

function clockOf(clock: TestClock): Pick<TestClock, "now" | "elapsed"> {
  return { now: () => clock.now(), elapsed: () => clock.elapsed() };
}

function parseTagOf(raw: string) {
  const reference = parseReference(raw);
  if (reference.kind !== "tag") throw new Error(`${raw} is no tag`);
  return reference.tag;
}
