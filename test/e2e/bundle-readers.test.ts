/** Bundles as other tools read them: they are OCI layouts at the same time. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { exported, openSide, type Side } from "../support/bundle-sides.ts";
import { startContainerd } from "../support/container-clients.ts";
import { buildImage, buildIndex, seededBytes } from "../support/images.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const indexName = "quay.io/team/app:1.0";
const imageName = "quay.io/team/tool:1.0";
const dockerName = "docker.io/library/old:2.0";
const index = buildIndex([buildImage({ platform: "linux/amd64" }), buildImage({ platform: "linux/arm64" })]);
const image = buildImage({ layers: [{ "usr/tool": seededBytes(200_000, "tool") }] });
const dockerImage = buildImage({ flavour: "docker", layers: [{ "usr/old": "old" }] });

let folder: TemporaryFolder;
let side: Side;
const file = (name: string): string => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder();
  side = await openSide();
  await side.keep(indexName, index);
  await side.keep(imageName, image);
  await side.keep(dockerName, dockerImage);
  await exported(side, { images: [indexName, imageName, dockerName], output: file("images.tar") });
  await exported(side, { images: [dockerName], output: file("docker.tar") });
  await exported(side, { images: [indexName], output: file("amd64.tar"), platforms: [{ os: "linux", architecture: "amd64" }] });
});

afterAll(async () => {
  await side[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

describe.runIf(requirePrograms("skopeo"))("skopeo", () => {
  const skopeo = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runProcess("skopeo", ["--insecure-policy", ...args]);
    expect(code, stderr).toBe(0);
    return stdout;
  };

  test.each([
    [indexName, index, "images.tar", `:${indexName}`],
    [imageName, image, "images.tar", `:${imageName}`],
    // Version 1.9 finds Docker's types in a layout by no name: alone it needs none.
    [dockerName, dockerImage, "docker.tar", ""],
  ] as const)("copies %s out of the archive, byte for byte", async (name, built, archive, reference) => {
    const target = file(`copied-${name.replaceAll(/[/:]/g, "-")}`);
    await skopeo("copy", "--all", "--preserve-digests", `oci-archive:${file(archive)}${reference}`, `dir:${target}`);
    expect(digestOf(await readFile(join(target, "manifest.json")))).toBe(built.manifest.descriptor.digest);
  });

  test("inspects the unpacked layout", async () => {
    await mkdir(file("layout"));
    await runProcess("tar", ["--extract", "--file", file("images.tar"), "--directory", file("layout")]);
    const raw = await skopeo("inspect", "--raw", `oci:${file("layout")}:${indexName}`);
    expect(digestOf(Buffer.from(raw))).toBe(index.manifest.descriptor.digest);
  });

  test("copies one platform out of an archive that holds only that", async () => {
    const platform = ["--override-os", "linux", "--override-arch", "amd64"];
    await skopeo(...platform, "copy", "--preserve-digests", `oci-archive:${file("amd64.tar")}:${indexName}`, `dir:${file("one")}`);
    expect(digestOf(await readFile(join(file("one"), "manifest.json")))).toBe(index.images[0]?.manifest.descriptor.digest);
  });
});

describe.runIf(requirePrograms("containerd", "ctr") && requireRoot())("ctr", () => {
  test("imports every name, by its own digest", async () => {
    await using place = await temporaryFolder();
    await using containerd = await startContainerd(place.path);
    await containerd.ctr("images", "import", "--no-unpack", "--all-platforms", file("images.tar"));
    const { stdout } = await containerd.ctr("images", "ls");
    for (const [name, { manifest }] of [
      [indexName, index],
      [imageName, image],
      [dockerName, dockerImage],
    ] as const) {
      expect(stdout.split("\n").find((line) => line.startsWith(`${name} `))).toContain(manifest.descriptor.digest);
    }
  });

  test("imports and unpacks an image whose index names a platform that was not carried", async () => {
    await using place = await temporaryFolder();
    await using containerd = await startContainerd(place.path);
    await containerd.ctr("images", "import", "--snapshotter", "native", "--platform", "linux/amd64", file("amd64.tar"));
    expect((await containerd.ctr("images", "ls")).stdout).toContain(index.manifest.descriptor.digest);
  });
});
