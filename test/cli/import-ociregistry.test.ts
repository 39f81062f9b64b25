import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "../../src/cli/program.ts";
import { buildImage } from "../support/images.ts";
import { writeOciregistryFolder } from "../support/ociregistry-folder.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo } from "./captured-io.ts";

const image = buildImage();

test("takes over what is whole, names what is not, and ends with 1 for its sake", async () => {
  await using folder = await temporaryFolder();
  const source = join(folder.path, "old");
  await writeOciregistryFolder(source, [{ image, imageUrl: "docker.io/nginx:latest" }]);
  const words = ["import", "--from-ociregistry", source, "--image-path", join(folder.path, "new")];
  const { digest } = image.manifest.descriptor;
  const first = new CapturedIo();
  expect([await run(words, first), first.errors]).toEqual([0, expect.stringMatching(/^ociregistry: 1 image, [0-9]+ bytes new; 0 problems\n$/)]);
  expect(first.out).toMatch(new RegExp(`^taken docker.io/library/nginx:latest ${digest}  [0-9]+ bytes new\n$`));
  await writeFile(join(source, "img", "0".repeat(64)), "torn");
  const second = new CapturedIo();
  expect(await run([...words, "--json"], second)).toBe(1);
  expect(JSON.parse(second.out)).toEqual({
    images: [{ repository: "docker.io/library/nginx", tag: "latest", digest, verdict: "taken", newBytes: 0 }],
    problems: [{ file: `img/${"0".repeat(64)}`, message: expect.stringContaining("not JSON") }],
  });
});

test.each([
  [["import"], 2, /import FILE takes a bundle, --from-ociregistry FOLDER/],
  [["import", "a.tar", "--from-ociregistry", "b"], 2, /one of them/],
  [["import", "--from-ociregistry", "b", "--verify-key", "c"], 2, /only a bundle has a --verify-key/],
  [["import", "--from-ociregistry", "/nowhere/at/all"], 1, /\/nowhere\/at\/all is no folder of ociregistry 1/],
])("%j ends with %i and says why", async (words, code, why) => {
  await using folder = await temporaryFolder();
  const io = new CapturedIo();
  expect(await run([...words, "--image-path", join(folder.path, "store")], io)).toBe(code);
  expect(io.errors).toMatch(why);
  expect(io.out).toBe("");
});
