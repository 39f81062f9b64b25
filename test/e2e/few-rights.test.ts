/** A server that may do little: a random user of group 0, a machine on which only the store can be written, a store that cannot be. */
import { chmod, mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, type BuiltImage } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { pull } from "../support/raw-client.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const canBecomeOthers = requirePrograms("setpriv", "unshare") && requireRoot();

/** No groups but 0, no rights of root's. */
function asUser(id: number): readonly string[] {
  return ["setpriv", "--reuid", String(id), "--regid", "0", "--clear-groups", "--inh-caps=-all", "--no-new-privs"];
}

function configOf(upstream: FakeUpstream): Readonly<Record<string, unknown>> {
  return { tagTtl: 0, registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
}

function imageOf(seed: string): BuiltImage {
  return buildImage({ annotations: { seed } });
}

/** Pulls all of an image by its tag; tells whether every byte came. */
async function pullsWhole({ host }: OurServer, tag: string, image: BuiltImage): Promise<boolean> {
  const wanted: [path: string, expected: Uint8Array][] = [
    [`manifests/${tag}`, image.manifest.bytes],
    ...[...image.blobs].map(([digest, bytes]): [string, Uint8Array] => [`blobs/${digest}`, bytes]),
  ];
  const pulled = await Promise.all(wanted.map(([path, expected]) => pull({ host, path: `/v2/up/a/${path}`, expected })));
  return pulled.every(({ status, ending, isExact }) => status === 200 && ending === "complete" && isExact);
}

test.runIf(canBecomeOthers)("random users of group 0 go on, one after the other, with a store that each of them wrote", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  await chmod(folder.path, 0o770);
  const users = [0, 12_345, 54_321, 12_345];
  for (const [index, user] of users.entries()) {
    upstream.putImage("a", `of-${index}`, imageOf(`of ${index}`));
    await using server = await startOurServer({ folder: folder.path, config: configOf(upstream), through: user === 0 ? [] : asUser(user) });
    upstream.forget();
    for (let before = 0; before < index; before++) expect(await pullsWhole(server, `of-${before}`, imageOf(`of ${before}`))).toBe(true);
    expect(upstream.requests).toEqual(Array.from({ length: index }, (_, before) => `HEAD /v2/a/manifests/of-${before}`));
    expect(await pullsWhole(server, `of-${index}`, imageOf(`of ${index}`))).toBe(true);
    expect(await (await fetch(`${server.url}/readyz`)).json()).toMatchObject({ status: "ready", store: { writable: true } });
    await server.process.kill("SIGTERM");
    expect(await server.process.ended).toEqual({ code: 0, signal: null });
    // Only its owner may set a file's time: a record of another user's that was confirmed has become this one's.
    const tags = join(server.imagePath, "upstreams", `${upstream.host.replace(":", "_")}_`, "a", "_tags");
    const owners = await Promise.all((await readdir(tags)).map(async (tag) => (await stat(join(tags, tag))).uid));
    expect(new Set(owners)).toEqual(new Set([user]));
  }
});

/** Everything but `$0`, which exists, can only be read; then the rest of the command. */
const nothingElseWritable = `mount --make-rprivate / && mount --bind "$0" "$0" || exit 9
while read -r _ target _; do [ "$target" = "$0" ] || mount -o remount,bind,ro "$target" 2>/dev/null; done </proc/mounts
! touch /tmp/writable /dev/shm/writable "$HOME/writable" 2>/dev/null && exec "$@"`;

test.runIf(canBecomeOthers)("a machine without a home, and with nothing to write to but the store, is enough", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  upstream.putImage("a", "1", imageOf("one"));
  await chmod(folder.path, 0o770);
  const imagePath = join(folder.path, "store");
  await mkdir(imagePath);
  await chmod(imagePath, 0o770);
  const through = ["unshare", "--mount", "sh", "-c", nothingElseWritable, imagePath, "env", "-u", "HOME", ...asUser(12_345)];
  for (let start = 0; start < 2; start++) {
    await using server = await startOurServer({ folder: folder.path, config: configOf(upstream), through });
    expect(await pullsWhole(server, "1", imageOf("one"))).toBe(true);
    await server.process.kill("SIGTERM");
    expect(await server.process.ended).toEqual({ code: 0, signal: null });
    expect(server.process.output).not.toMatch(/EROFS|EACCES|"level":"(warn|error)"/);
  }
  expect(upstream.requests.filter((request) => request.startsWith("GET"))).toHaveLength(1 + imageOf("one").blobs.size);
});

test.runIf(canBecomeOthers)(
  "a store that is made read-only while it serves, and one that is so from the start, give what they hold and let the rest pass",
  async () => {
    await using disk = await mountSmallDisk(16 * 1024 * 1024);
    await using upstream = await startFakeUpstream();
    for (const name of ["held", "fresh", "fresher"]) upstream.putImage("a", name, imageOf(name));
    await using folder = await temporaryFolder();
    const config = { ...configOf(upstream), imagePath: join(disk.path, "store") };
    const isWritable = async ({ url }: OurServer): Promise<unknown> => (await (await fetch(`${url}/readyz`)).json()) as unknown;
    const asked = (): readonly string[] => upstream.requests.filter((request) => request.startsWith("GET"));
    {
      await using server = await startOurServer({ folder: folder.path, config });
      expect(await pullsWhole(server, "held", imageOf("held"))).toBe(true);
      await disk.setWritable(false);
      upstream.forget();
      expect(await pullsWhole(server, "held", imageOf("held"))).toBe(true);
      expect(asked()).toEqual([]);
      expect(await pullsWhole(server, "fresh", imageOf("fresh"))).toBe(true);
      expect(await isWritable(server)).toMatchObject({ status: "degraded", store: { writable: false } });
    }
    await using server = await startOurServer({ folder: folder.path, config });
    expect(await isWritable(server)).toMatchObject({ status: "degraded", store: { writable: false } });
    upstream.forget();
    expect(await pullsWhole(server, "held", imageOf("held"))).toBe(true);
    expect(asked()).toEqual([]);
    expect(await pullsWhole(server, "fresher", imageOf("fresher"))).toBe(true);
    await disk.setWritable(true);
    expect(await pullsWhole(server, "fresher", imageOf("fresher"))).toBe(true);
    upstream.forget();
    expect(await pullsWhole(server, "fresher", imageOf("fresher"))).toBe(true);
    expect(asked()).toEqual([]);
    expect(await isWritable(server)).toMatchObject({ status: "ready", store: { writable: true } });
  },
);
