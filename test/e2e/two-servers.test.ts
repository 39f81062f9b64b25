/** Two servers on one folder: what one was fetching when it was killed, the other goes on with. */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { pull, startPull } from "../support/raw-client.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const mebibyte = 1024 * 1024;
const fills = 16;

test("of sixteen downloads of a server that stands still and is killed, none begins anew at the other, which asked for one a moment before", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const contents = Array.from({ length: fills }, (_, index) => seededBytes(4 * mebibyte, `fill ${index}`));
  const paths = contents.map((content) => `/v2/up/a/blobs/${upstream.putBlob("a", content)}`);
  const imagePath = join(folder.path, "store");
  const config = { imagePath, registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] };
  const start = async (name: string): Promise<OurServer> => {
    await mkdir(join(folder.path, name));
    return await startOurServer({ folder: join(folder.path, name), config });
  };
  await using one = await start("one");
  await using other = await start("other");
  upstream.when({ kind: "blob", ranged: false, times: fills }, { holdBody: { atBytes: 3 * mebibyte, until: new Promise(() => {}) } });
  const begun = paths.map((path, index) => startPull({ host: one.host, path, ...expected(contents[index]) }));
  await Promise.all(begun.map((running) => running.received(2 * mebibyte)));
  one.process.signal("SIGSTOP");
  const fresh = seededBytes(mebibyte, "of the other");
  const meanwhile = await pull({ host: other.host, path: `/v2/up/a/blobs/${upstream.putBlob("a", fresh)}`, expected: fresh });
  expect(meanwhile).toMatchObject({ ending: "complete", isExact: true });
  await one.process.kill("SIGKILL");
  upstream.forget();
  for (const [index, path] of paths.entries()) {
    expect(await pull({ host: other.host, path, ...expected(contents[index]) })).toMatchObject({ ending: "complete", isExact: true });
  }
  expect(upstream.requests).toHaveLength(fills);
  for (const request of upstream.requests) expect(request).toMatch(/ bytes=[1-9]\d*-$/);
  await other.process.kill("SIGTERM");
  expect(await readdir(join(imagePath, "tmp"))).toEqual([]);
});

function expected(content: Uint8Array | undefined): { readonly expected?: Uint8Array } {
  return content ? { expected: content } : {};
}
