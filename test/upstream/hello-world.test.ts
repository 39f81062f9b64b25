import { execFile } from "node:child_process";
import { chmod, cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { HelloWorld } from "../../src/upstream/hello-world.ts";
import { OfflineRegistry } from "../../src/upstream/offline.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { call, failureOf, readAll, reference, repositoryAt } from "./asking.ts";

const files = join(import.meta.dirname, "..", "..", "assets", "hello-world");
const repository = repositoryAt("docker.io", "library/hello-world");
const registry = new HelloWorld({ next: new OfflineRegistry(), files });

/** The program of a platform, out of its layer. */
async function programOf(architecture: string): Promise<Buffer> {
  const index = JSON.parse(Buffer.from((await registry.getManifest(repository, reference(), call())).bytes).toString()) as {
    manifests: { digest: string; platform: { architecture: string } }[];
  };
  const child = index.manifests.find(({ platform }) => platform.architecture === architecture);
  const manifest = await registry.getManifest(repository, reference(child?.digest), call());
  const layer = readManifestContent(manifest.bytes).blobs.at(-1);
  if (!layer) throw new Error("no layer");
  await using blob = await registry.getBlob(repository, layer.digest, call());
  const tar = gunzipSync(await readAll(blob, 0));
  const sizeBytes = Number.parseInt(tar.toString("latin1", 124, 135), 8);
  return tar.subarray(512, 512 + sizeBytes);
}

describe("hello-world", () => {
  test("is an image of this machine's platform that runs", async () => {
    await using folder = await temporaryFolder();
    const program = join(folder.path, "hello");
    await writeFile(program, await programOf(process.arch === "x64" ? "amd64" : "arm64"));
    await chmod(program, 0o755);
    const { stdout } = await promisify(execFile)(program);
    expect(stdout).toContain("Hello from ociregistry!");
  });

  test.each([
    ["amd64", 62],
    ["arm64", 183],
  ])("has a static program for %s", async (architecture, machine) => {
    const program = await programOf(architecture);
    expect(program.toString("latin1", 1, 4)).toBe("ELF");
    expect(program.readUInt16LE(18)).toBe(machine);
  });

  test("answers every question about itself, and says that anybody may have it", async () => {
    const manifest = await registry.getManifest(repository, reference(), call());
    expect(await registry.headManifest(repository, reference(manifest.descriptor.digest), call())).toMatchObject({ ...manifest.descriptor, isPublic: true });
    expect((await registry.listTags(repository, call())).tags).toEqual(["latest"]);
    expect((await registry.listTags(repository, { ...call(), last: "latest" })).tags).toEqual([]);
    expect((await registry.listReferrers(repository, manifest.descriptor.digest, call())).manifests).toEqual([]);
    for (const { digest } of readManifestContent(manifest.bytes).manifests) {
      const child = await registry.getManifest(repository, reference(digest), call());
      for (const named of readManifestContent(child.bytes).blobs) {
        expect((await registry.headBlob(repository, named.digest, call())).sizeBytes).toBe(named.sizeBytes);
        await using part = await registry.getBlob(repository, named.digest, { ...call(), ranges: [{ startBytes: 5, endBytes: 9 }] });
        expect(part).toMatchObject({ kind: "partial", isPublic: true, ranges: [{ startBytes: 5, endBytes: 9 }] });
      }
    }
  });

  test("leaves everything else to the next registry", async () => {
    await failureOf(registry.getManifest(repository, reference("other"), call()), "MANIFEST_UNKNOWN");
    await failureOf(registry.getManifest(repositoryAt("docker.io", "library/alpine"), reference(), call()), "MANIFEST_UNKNOWN");
    await failureOf(registry.headManifest(repositoryAt("quay.io", "library/hello-world"), reference(), call()), "MANIFEST_UNKNOWN");
    await failureOf(registry.listTags(repositoryAt("docker.io", "library/alpine"), call()), "NAME_UNKNOWN");
  });

  test("is what its maker makes, byte for byte", async () => {
    await using folder = await temporaryFolder();
    await cp(join(files, "make.ts"), join(folder.path, "make.ts"));
    await promisify(execFile)(process.execPath, [join(folder.path, "make.ts")]);
    const blobs = join("blobs", "sha256");
    expect(await readdir(join(folder.path, blobs))).toEqual(await readdir(join(files, blobs)));
    expect(await readFile(join(folder.path, "index.json"), "utf8")).toBe(await readFile(join(files, "index.json"), "utf8"));
  });

  test("whose files were changed is not served", async () => {
    await using folder = await temporaryFolder();
    await cp(files, folder.path, { recursive: true });
    const [name = ""] = await readdir(join(folder.path, "blobs", "sha256"));
    await writeFile(join(folder.path, "blobs", "sha256", name), "something else");
    await failureOf(new HelloWorld({ next: registry, files: folder.path }).getManifest(repository, reference(), call()), "MANIFEST_UNKNOWN");
  });
});

describe("offline", () => {
  test("everything is unknown, and that is our word, not an upstream's", async () => {
    const offline = new OfflineRegistry();
    const digest = (await registry.headManifest(repository, reference(), call())).digest;
    const failures = [
      await failureOf(offline.getManifest(repository, reference(), call()), "MANIFEST_UNKNOWN"),
      await failureOf(offline.headManifest(repository, reference(), call()), "MANIFEST_UNKNOWN"),
      await failureOf(offline.getBlob(repository, digest, call()), "BLOB_UNKNOWN"),
      await failureOf(offline.headBlob(repository, digest, call()), "BLOB_UNKNOWN"),
      await failureOf(offline.listTags(repository, call()), "NAME_UNKNOWN"),
      await failureOf(offline.listReferrers(repository, digest, call()), "MANIFEST_UNKNOWN"),
    ];
    for (const { source, message } of failures) expect([source, message.includes("docker.io/library/hello-world")]).toEqual(["local", true]);
  });
});
