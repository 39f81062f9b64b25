/** Two servers on one folder: what one was fetching when it was killed, the other goes on with, and nothing is left lying about. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, temporaryFiles, type OurServer } from "../support/our-server.ts";
import { pull, startPull } from "../support/raw-client.ts";
import { findStoreFlaws, heldHexes } from "../support/store-flaws.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const mebibyte = 1024 * 1024;
const fills = 16;
const blobBytes = 4 * mebibyte;
/** Where the upstream pauses: so much of each blob has arrived when the server that asked for it is stopped. */
const arrivedBytes = 3 * mebibyte;

async function arrange() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const upstream = stack.use(await startFakeUpstream());
  const imagePath = join(folder.path, "store");
  const config = { imagePath, registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  const start = async (name: string): Promise<OurServer> => {
    await mkdir(join(folder.path, name));
    return stack.use(await startOurServer({ folder: join(folder.path, name), config }));
  };
  const blobs = Array.from({ length: fills }, (_, index) => putBlob(upstream, seededBytes(blobBytes, `fill ${index}`)));
  return { upstream, imagePath, blobs, one: await start("one"), other: await start("other"), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function putBlob(upstream: FakeUpstream, content: Uint8Array): { readonly path: string; readonly expected: Uint8Array } {
  return { path: `/v2/up/a/blobs/${upstream.putBlob("a", content)}`, expected: content };
}

/** Temporary files, once there are so many: a blob gets its name a moment after its last byte has left. */
function temporaryFilesOnce(server: OurServer, count: number): Promise<readonly string[]> {
  return lookUntil(
    () => temporaryFiles(server),
    (names) => names.length === count,
    { waitMs: 5_000 },
  );
}

const whole = { status: 200, ending: "complete", isExact: true };

test("of sixteen downloads of a server that stands still and is killed, the other takes over every byte, at once and for all who ask", async () => {
  await using all = await arrange();
  const { upstream, imagePath, blobs, one, other } = all;
  upstream.when({ kind: "blob", ranged: false, times: fills }, { holdBody: { atBytes: arrivedBytes, until: new Promise(() => {}) } });
  const begun = blobs.map((blob) => startPull({ host: one.host, ...blob }));
  await Promise.all(begun.map((running) => running.received(arrivedBytes)));
  one.process.signal("SIGSTOP");
  // The other looks at the folder while its neighbour stands still but lives: nothing is taken from it.
  expect(await pull({ host: other.host, ...putBlob(upstream, seededBytes(mebibyte, "of the other")) })).toMatchObject(whole);
  expect(await temporaryFilesOnce(other, fills)).toHaveLength(fills);
  await one.process.kill("SIGKILL");
  upstream.forget();
  const asked = await Promise.all([...blobs, ...blobs].map((blob) => pull({ host: other.host, ...blob })));
  for (const answer of asked) expect(answer).toMatchObject(whole);
  // One request each for what was missing: nothing is lost, nothing fetched twice.
  expect(upstream.requests).toHaveLength(fills);
  for (const request of upstream.requests) expect(request).toMatch(/ bytes=[1-9]\d*-$/);
  expect(upstream.bytesSent.total).toBeLessThan(fills * (blobBytes - arrivedBytes + blobBytes / 10));
  expect(await temporaryFilesOnce(other, 0)).toEqual([]);
  await upstream.refuse();
  for (const blob of blobs) expect(await pull({ host: other.host, ...blob })).toMatchObject(whole);
  await other.process.kill("SIGTERM");
  expect(await heldHexes(imagePath)).toHaveLength(fills + 1);
  expect(await findStoreFlaws(imagePath)).toEqual([]);
}, 60_000);

test("a server that stands still while the other fetches the same, and wakes, ends its own downloads well, and one of two copies is kept", async () => {
  await using all = await arrange();
  const { upstream, imagePath, blobs, one, other } = all;
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob", ranged: false, times: fills }, { holdBody: { atBytes: arrivedBytes, until: gate.promise } });
  const begun = blobs.map((blob) => startPull({ host: one.host, ...blob }));
  await Promise.all(begun.map((running) => running.received(arrivedBytes)));
  one.process.signal("SIGSTOP");
  for (const blob of blobs) expect(await pull({ host: other.host, ...blob })).toMatchObject(whole);
  gate.resolve();
  one.process.signal("SIGCONT");
  for (const running of begun) expect(await running.done).toMatchObject(whole);
  upstream.forget();
  for (const blob of blobs) for (const { host } of [one, other]) expect(await pull({ host, ...blob })).toMatchObject(whole);
  expect(upstream.requests).toEqual([]);
  await Promise.all([one, other].map(({ process }) => process.kill("SIGTERM")));
  expect(await heldHexes(imagePath)).toHaveLength(fills);
  expect(await findStoreFlaws(imagePath)).toEqual([]);
}, 60_000);
