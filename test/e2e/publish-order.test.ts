/** What a power cut can leave is decided by the order in which things reach the disk: file, name, folder, links, tag. */
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { startOurServer } from "../support/our-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { pull } from "../support/raw-client.ts";
import { traceFileCalls, type SystemCall } from "../support/system-calls.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const canTrace = requirePrograms("strace") && requireRoot();

test.runIf(canTrace)("a file is synced before it gets its name, its folder before anything points to it, and the tag comes last", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const image = upstream.putImage("a", "1");
  const blob = seededBytes(300_000);
  const blobDigest = upstream.putBlob("a", blob);
  await using server = await startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } });
  const trace = await traceFileCalls(server.process.pid, { file: join(folder.path, "trace") });
  expect((await pull({ host: server.host, path: "/v2/up/a/manifests/1" })).status).toBe(200);
  expect((await pull({ host: server.host, path: `/v2/up/a/blobs/${blobDigest}`, expected: blob })).isExact).toBe(true);
  await server.process.kill("SIGTERM");
  const calls = await trace.stop();

  const named = (end: string): SystemCall => only(calls.filter(({ name, paths }) => name.startsWith("rename") && paths[1]?.endsWith(end)));
  const synced = (path: string | undefined): readonly SystemCall[] => calls.filter(({ name, paths }) => name === "fsync" && paths[0] === path);
  const expectSyncedBefore = (path: string | undefined, { beganAt }: SystemCall): void =>
    expect(Math.min(...synced(path).map(({ endedAt }) => endedAt))).toBeLessThan(beganAt);
  const expectFolderSyncedBetween = (one: SystemCall, next: SystemCall): void => {
    const between = synced(dirname(one.paths[1] ?? "")).filter(({ beganAt, endedAt }) => beganAt > one.endedAt && endedAt < next.beganAt);
    expect(between).not.toEqual([]);
  };

  const hexOf = (digest: string): string => digest.slice("sha256:".length);
  const manifestHex = hexOf(image.manifest.descriptor.digest);
  const bytes = named(`/blobs/sha256/${manifestHex.slice(0, 2)}/${manifestHex}`);
  const record = named(`/_manifests/sha256/${manifestHex}`);
  const tag = named("/_tags/1");
  for (const call of [bytes, record, tag]) expectSyncedBefore(call.paths[0], call);
  expectFolderSyncedBetween(bytes, record);
  expectFolderSyncedBetween(record, tag);

  const layer = named(`/blobs/sha256/${hexOf(blobDigest).slice(0, 2)}/${hexOf(blobDigest)}`);
  expectSyncedBefore(layer.paths[0], layer);
  expectFolderSyncedBetween(layer, named(`/a/_blobs/sha256/${hexOf(blobDigest)}`));
});

function only<T>(values: readonly T[]): T {
  expect(values).toHaveLength(1);
  return values[0] as T; // Counted a line ago.
}
