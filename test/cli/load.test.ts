/** What `load` shows to somebody who watches, and takes by stdin. */
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/cli/program.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes, writeImageLayout } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo } from "./captured-io.ts";

async function configured(folder: string, upstream: FakeUpstream): Promise<string> {
  const file = join(folder, "config.yaml");
  const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"] }];
  await writeFile(file, JSON.stringify({ imagePath: join(folder, "store"), logFile: join(folder, "log"), registries }));
  return file;
}

test("on a terminal a line for each image tells how far it is, and is gone at the end", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const image = upstream.putImage("team/app", "1", buildImage({ layers: [{ big: seededBytes(3_000_000) }] }));
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob", path: image.layers[0] }, { holdBody: { atBytes: 2_000_000, until: gate.promise } });
  const io = new CapturedIo();
  io.isTerminal = true;
  io.given = "up/team/app:1\n";
  const ending = run(["load", "--image-file", "-", "--config-file", await configured(folder.path, upstream)], io);
  const isHalf = (errors: string): boolean => /up\/team\/app:1: 1\.\d MiB of 2\.9 MiB\n/.test(errors);
  await lookUntil(() => Promise.resolve(io.errors), isHalf, { waitMs: 20_000 });
  gate.resolve();
  expect(await ending).toBe(0);
  expect(io.out).toMatch(/^loaded {3}.*\/team\/app:1 sha256:/);
  const upAndErase = "\u001B[1A\u001B[0J";
  expect(io.errors).toContain(upAndErase);
  expect(io.errors.slice(io.errors.lastIndexOf(upAndErase) + upAndErase.length)).toMatch(/^ociregistry: 1 loaded, 0 failed: .* fetched in .*\n$/);
});

test("elsewhere nothing is written over, and no line is a half", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1");
  const io = new CapturedIo();
  io.given = "kind: Pod\nspec:\n  containers:\n  - image: up/team/app:1\n";
  expect(await run(["load", "--image-file", "-", "--config-file", await configured(folder.path, upstream)], io)).toBe(0);
  expect(io.out + io.errors).not.toContain("\u001B");
  expect(io.errors.split("\n")).toHaveLength(2);
});

test("an archive comes by stdin as well", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const image = buildImage();
  await writeImageLayout(join(folder.path, "layout"), "1", image);
  const archive = join(folder.path, "archive.tar");
  await runProcess("tar", ["-C", join(folder.path, "layout"), "-cf", archive, "."]);
  const io = new CapturedIo();
  io.input = async function* () {
    yield* createReadStream(archive, { highWaterMark: 100 });
  };
  const args = ["load", "--image-file", "-", "--resolve-ref", "up/team/app:1", "--config-file", await configured(folder.path, upstream)];
  expect([await run(args, io), io.errors]).toEqual([0, ""]);
  expect(io.out).toContain(`${upstream.host}/team/app:1 ${image.manifest.descriptor.digest}`);
  expect(upstream.requests).toEqual([]);
});

test("a list that names nothing is a failure, not a success", async () => {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const io = new CapturedIo();
  io.given = "# nothing\n";
  expect(await run(["load", "--image-file", "-", "--config-file", await configured(folder.path, upstream)], io)).toBe(1);
  expect(io.errors).toBe("ociregistry: no image is named there\n");
});
