/** That a pull is remembered as a use of its image: by a real server, over its end, and by what another process lists beside it. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { manifestAccept } from "../../src/oci/media-types.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const index = buildIndex([buildImage({ platform: "linux/amd64" }), buildImage({ platform: "linux/arm64" })]);

async function arrange() {
  const folder = await temporaryFolder();
  const upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1", index);
  const root = join(folder.path, "store");
  return {
    upstream,
    root,
    start: () => startOurServer({ folder: folder.path, config: { tagTtl: "-1", registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] } }),
    /** What a command beside the server, or after it, says of each image. */
    list: async (): Promise<readonly { readonly tags: readonly string[]; readonly pulled: string | null; readonly created: string }[]> => {
      const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
      const { stdout, stderr, code } = await runProcess(process.execPath, [main, "list", "--json", "--image-path", root]);
      if (code !== 0) throw new Error(stderr);
      return stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    },
    [Symbol.asyncDispose]: async () => (await upstream.close(), await folder[Symbol.asyncDispose]()),
  };
}

async function ask(server: OurServer, reference: string, method = "GET"): Promise<void> {
  const answer = await fetch(`${server.url}/v2/up/team/app/manifests/${reference}`, { method, headers: { accept: manifestAccept } });
  await answer.arrayBuffer();
  expect(answer.status).toBe(200);
}

test("a pull is a use when the server has stopped, and a later HEAD by another server a later one", async () => {
  await using all = await arrange();
  const stopAfter = async (ask: (server: OurServer) => Promise<void>): Promise<void> => {
    await using server = await all.start();
    await ask(server);
    await server.process.kill("SIGTERM");
    expect(await server.process.ended).toEqual({ code: 0, signal: null });
  };
  await stopAfter((server) => ask(server, "1"));
  const [first] = await all.list();
  expect(first).toMatchObject({ tags: ["1"], pulled: expect.any(String) });
  const pulledMs = Date.parse(first?.pulled ?? "");
  // Times are told in whole seconds: the next one has to be another's.
  await lookUntil(
    () => Promise.resolve(Date.now()),
    (nowMs) => nowMs - pulledMs > 1_000,
    { waitMs: 10_000 },
  );
  await stopAfter((server) => ask(server, "1", "HEAD"));
  const [again] = await all.list();
  expect(Date.parse(again?.pulled ?? "")).toBeGreaterThan(pulledMs);
  expect(again?.created).toBe(first?.created);
  expect(all.upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1", `GET /v2/team/app/manifests/${index.manifest.descriptor.digest}`]);
}, 120_000);

test("a server that is killed loses its last uses at most, and nothing else", async () => {
  await using all = await arrange();
  {
    await using server = await all.start();
    await ask(server, "1");
    expect(await all.list()).toMatchObject([{ tags: ["1"] }]); // Beside a running server.
    await server.process.kill("SIGKILL");
  }
  expect(await all.list()).toMatchObject([{ tags: ["1"] }]);
}, 120_000);
