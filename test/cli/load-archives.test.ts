import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/cli/program.ts";
import { dockerSaveEntries, layoutEntries } from "../support/archives.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { tarOfEntries, type TarEntry } from "../support/tar.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo } from "./captured-io.ts";

const image = buildImage();
const index = buildIndex([image, buildImage({ platform: "linux/arm64" })]);

async function arrange(archives: Readonly<Record<string, readonly TarEntry[]>>) {
  const folder = await temporaryFolder();
  for (const [name, entries] of Object.entries(archives)) await writeFile(join(folder.path, name), tarOfEntries(entries));
  return {
    async load(names: readonly string[], ...args: readonly string[]) {
      const io = new CapturedIo();
      const files = names.map((name) => join(folder.path, name)).join(",");
      const code = await run(["load", "--image-path", join(folder.path, "store"), "--image-file", files, ...args], io);
      return { code, out: io.out.replaceAll(`${folder.path}/`, ""), errors: io.errors.replaceAll(`${folder.path}/`, "") };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

test("an image that comes by another name is loaded, though all its bytes are here; by the same name it is held", async () => {
  await using all = await arrange({ "one.tar": dockerSaveEntries([{ image, names: ["a:1"] }]), "two.tar": dockerSaveEntries([{ image, names: ["b:1"] }]) });
  expect((await all.load(["one.tar"])).out).toMatch(/^loaded   docker.io\/library\/a:1 /);
  expect((await all.load(["two.tar"])).out).toMatch(/^loaded   docker.io\/library\/b:1 .*, 0 bytes new, from two.tar\n$/);
  expect(await all.load(["one.tar", "two.tar"])).toMatchObject({ code: 0, out: expect.stringMatching(/^held .*a:1 .*\nheld .*b:1 .*\n$/) });
});

test("one name for several archives is misuse: the last would have it", async () => {
  await using all = await arrange({ "one.tar": dockerSaveEntries([{ image, names: null }]), "two.tar": dockerSaveEntries([{ image, names: null }]) });
  expect(await all.load(["one.tar", "two.tar"], "--resolve-ref", "quay.io/a:1")).toEqual({
    code: 2,
    out: "",
    errors: "ociregistry: --resolve-ref says what one archive's image is called, and these are 2\n",
  });
});

test("platforms that were asked for and are not in the archive are told of", async () => {
  const annotations = { "io.containerd.image.name": "quay.io/a:1" };
  await using all = await arrange({ "sparse.tar": layoutEntries([{ image: { ...index, images: [image] }, annotations }]) });
  const { code, errors } = await all.load(["sparse.tar"], "--platform", "linux/amd64,linux/arm64");
  expect([code, errors]).toEqual([0, `ociregistry: note: sparse.tar: quay.io/a@${index.manifest.descriptor.digest} is not there for linux/arm64\n`]);
});
