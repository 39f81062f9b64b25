import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Grants } from "../../src/cache/grants.ts";
import { HeldManifests } from "../../src/cache/held-manifests.ts";
import { BaseMissing } from "../../src/transfer/import.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes } from "../support/images.ts";
import { exported, exportFrom, importInto, openSide, pullsWhole, seenIn, sizeOf, type Side } from "../support/bundle-sides.ts";
import { repositoryAt } from "../support/test-cache.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const run = promisify(execFile);
const appName = "quay.io/team/app:1";
const dockerName = "docker.io/library/tool:2.0";
const app = buildIndex([buildImage({ platform: "linux/amd64" }), buildImage({ platform: "linux/arm64" })]);
const tool = buildImage({ flavour: "docker", layers: [{ "etc/hello": "hello\n" }, { "usr/tool": seededBytes(300_000, "tool") }] });
const signature = buildArtifact(app.manifest);
const { privateKey, publicKey } = generateKeyPairSync("ed25519");

let folder: TemporaryFolder;
let here: Side;
let there: Side;
const file = (name: string): string => join(folder.path, name);

beforeEach(async () => {
  folder = await temporaryFolder();
  [here, there] = [await openSide(), await openSide()];
  await here.keep(appName, app);
  await here.keep(`quay.io/team/app@${signature.manifest.descriptor.digest}`, signature);
  await here.keep(dockerName, tool);
});

afterEach(async () => {
  await here[Symbol.asyncDispose]();
  await there[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

test("what was exported is imported, byte for byte, with its signature and its tags' times", async () => {
  const { id, imageCount } = await exported(here, { images: [appName, dockerName], output: file("images.tar") });
  const imported = await importInto(there, file("images.tar"));
  expect(imported.id).toBe(id);
  expect(imageCount).toBe(2);
  expect(imported.tags.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([`${dockerName} new`, `${appName} new`]);
  expect(await pullsWhole(there, appName, app)).toBe(true);
  expect(await pullsWhole(there, dockerName, tool)).toBe(true);
  expect(await pullsWhole(there, `quay.io/team/app@${signature.manifest.descriptor.digest}`, signature)).toBe(true);
  const names = [appName, dockerName];
  expect(await seenIn(there, names)).toEqual(await seenIn(here, names));
});

test("the same content gives the same bytes, whoever exports it and whenever", async () => {
  const images = [appName, dockerName];
  await exported(here, { images, output: file("one.tar") });
  await importInto(there, file("one.tar"));
  await exported(there, { images: images.toReversed(), output: file("two.tar") });
  expect((await readFile(file("two.tar"))).equals(await readFile(file("one.tar")))).toBe(true);
});

test("tar and sha256sum read it: owner, time and mode say nothing", async () => {
  await exported(here, { images: [appName], output: file("images.tar") });
  const { stdout } = await run("tar", ["--list", "--verbose", "--numeric-owner", "--utc", "--full-time", "--file", file("images.tar")]);
  const lines = stdout.trim().split("\n");
  expect(lines.slice(0, 3).map((line) => line.split(" ").at(-1))).toEqual(["ociregistry-bundle.json", "oci-layout", "index.json"]);
  for (const line of lines) expect(line).toMatch(/^-rw-r--r-- 0\/0 +\d+ 1970-01-01 00:00:00 /);
  await mkdir(file("layout"));
  await run("tar", ["--extract", "--file", file("images.tar"), "--directory", file("layout")]);
  const names = await readdir(file("layout/blobs/sha256"));
  const { stdout: sums } = await run("sha256sum", names, { cwd: file("layout/blobs/sha256") });
  expect(
    sums
      .trim()
      .split("\n")
      .map((line) => line.split("  ")),
  ).toEqual(names.map((name) => [name, name]));
});

test.each(["images.tar.zst", "images.tar"])("%s in parts is imported from the first of them", async (name) => {
  const { parts } = await exported(here, { images: [appName, dockerName], output: file(name), partBytes: 100_000 });
  expect(parts.length).toBeGreaterThan(2);
  expect(parts.slice(0, -1).every(({ sizeBytes }) => sizeBytes === 100_000)).toBe(true);
  await importInto(there, file(`${name}.001`));
  expect(await pullsWhole(there, dockerName, tool)).toBe(true);
});

test("parts that an earlier export left beyond the last one are gone", async () => {
  await exported(here, { images: [appName, dockerName], output: file("a.tar"), partBytes: 100_000 });
  const { parts } = await exported(here, { images: [appName], output: file("a.tar"), partBytes: 100_000 });
  expect(await readdir(folder.path)).toEqual(parts.map((_, at) => `a.tar.00${at + 1}`));
  await importInto(there, file("a.tar"));
  expect(await pullsWhole(there, appName, app)).toBe(true);
});

test("a second import reads nothing again and changes nothing", async () => {
  await exported(here, { images: [appName, dockerName], output: file("images.tar") });
  await importInto(there, file("images.tar"));
  const again = await importInto(there, file("images.tar"));
  expect(again).toMatchObject({ keptCount: 0, keptBytes: 0 });
  expect(new Set(again.tags.map(({ verdict }) => verdict))).toEqual(new Set(["same"]));
});

test("an export since the last one's receipt carries only what is new", async () => {
  const first = await exported(here, { images: [appName, dockerName], output: file("1.tar") });
  const newLayer = seededBytes(200_000, "new");
  const tool2 = buildImage({ flavour: "docker", layers: [{ "etc/hello": "hello\n" }, { "usr/tool": seededBytes(300_000, "tool") }, { "usr/new": newLayer }] });
  await here.keep(dockerName, tool2, { checkedAtMs: 1_800_000_000_000 });
  const second = await exported(here, { images: [appName, dockerName], output: file("2.tar"), since: first.receipt, name: "2.tar" });
  expect((await sizeOf(file("2.tar"))) - newLayer.byteLength).toBeLessThan(64 * 1024);
  expect(second.blobCount).toBe(3); // A manifest, a config, a layer.

  await expect(importInto(there, file("2.tar"))).rejects.toThrow(BaseMissing);
  await expect(importInto(there, file("2.tar"))).rejects.toThrow(`import bundle ${first.id} (images.tar) first`);
  expect(await seenIn(there, [appName, dockerName])).toEqual([]);

  await importInto(there, file("1.tar"));
  const imported = await importInto(there, file("2.tar"));
  expect(imported.tags.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([`${dockerName} moved`, `${appName} same`]);
  expect(await pullsWhole(there, dockerName, tool2)).toBe(true);
});

test("of a chain of three the missing link is named, not the others", async () => {
  const one = await exported(here, { images: [appName], output: file("1.tar"), name: "1.tar" });
  const two = await exported(here, { images: [appName, dockerName], output: file("2.tar"), since: one.receipt, name: "2.tar" });
  await here.keep("docker.io/library/tool:3", buildImage({ layers: [{ "a/b": "c" }] }));
  await exported(here, { images: [appName, dockerName, "docker.io/library/tool:3"], output: file("3.tar"), since: two.receipt, name: "3.tar" });
  await importInto(there, file("1.tar"));
  const refusal = await importInto(there, file("3.tar")).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(BaseMissing);
  expect(refusal).toMatchObject({ links: [{ kind: "bundle", id: two.id, name: "2.tar" }] });
  expect((refusal as BaseMissing).missing.map(({ digest }) => digest)).toContain(tool.manifest.descriptor.digest);
});

test("a tag that is newer on the other side stays, and with keepTags an older one too", async () => {
  const older = buildImage({ layers: [{ "etc/x": "older" }] });
  const newer = buildImage({ layers: [{ "etc/x": "newer" }] });
  await exported(here, { images: [dockerName], output: file("images.tar") });
  await there.keep(dockerName, newer, { checkedAtMs: 1_790_000_000_000 });
  expect((await importInto(there, file("images.tar"))).tags).toMatchObject([{ name: dockerName, verdict: "kept", digest: newer.manifest.descriptor.digest }]);
  expect(await pullsWhole(there, dockerName, newer)).toBe(true);

  await using other = await openSide();
  await other.keep(dockerName, older, { checkedAtMs: 1_600_000_000_000 });
  expect((await importInto(other, file("images.tar"), { keepTags: true })).tags).toMatchObject([{ verdict: "kept" }]);
  expect(await pullsWhole(other, dockerName, older)).toBe(true);
  expect((await importInto(other, file("images.tar"))).tags).toMatchObject([{ verdict: "moved" }]);
});

test("only the platforms that were asked for are carried, the index whole; what is missing is named and nothing written", async () => {
  const platforms = [{ os: "linux", architecture: "arm64" }];
  await exported(here, { images: [appName], output: file("arm.tar"), platforms });
  const [amd, arm] = app.images;
  await importInto(there, file("arm.tar"));
  const seen = await seenIn(there, [appName]);
  expect(seen).toContain(`quay.io/team/app@${app.manifest.descriptor.digest}`);
  expect(seen).toContain(`quay.io/team/app@${arm?.manifest.descriptor.digest}`);
  expect(seen).not.toContain(`quay.io/team/app@${amd?.manifest.descriptor.digest}`);

  expect(await exportFrom(there, { images: [appName], output: file("held.tar") })).toMatchObject({ kind: "written" });
  const lacking = await exportFrom(there, { images: [appName, "quay.io/team/other:1"], output: file("all.tar"), platforms: "all" });
  expect(lacking).toMatchObject({
    kind: "lacking",
    lacking: [
      { image: appName, digest: amd?.manifest.descriptor.digest },
      { image: "quay.io/team/other:1", digest: undefined },
    ],
  });
  expect(await readdir(folder.path)).toEqual(["arm.tar", "held.tar"]);
});

test("a platform of which somebody only looked at the manifest is left aside", async () => {
  const [amd, arm] = app.images;
  if (!amd || !arm) expect.fail();
  const looked = buildIndex([amd, arm], { flavour: "docker" });
  const held = new HeldManifests({ store: there.store, grants: new Grants(there.store) });
  const repository = repositoryAt("quay.io", "team/looked");
  await there.keep("quay.io/team/looked:amd64", amd);
  for (const manifest of [arm.manifest, looked.manifest]) await held.keep(repository, { ...manifest, outcome: "miss", warnings: [] });
  const name = `quay.io/team/looked@${looked.manifest.descriptor.digest}`;
  expect(await exportFrom(there, { images: [name], output: file("looked.tar") })).toMatchObject({ kind: "written", blobCount: 2 + amd.blobs.size });
  // Where it was asked for, it is missing.
  expect(await exportFrom(there, { images: [name], output: file("all.tar"), platforms: "all" })).toMatchObject({ kind: "lacking" });
});

test("what another registry delivered is not exported for one that did not", async () => {
  const secret = buildImage({ layers: [{ "etc/secret": "of quay.io" }] });
  await here.keep("quay.io/private/app:1", secret);
  // A pull of the manifest alone: anyone can push one that names somebody's digests.
  const held = new HeldManifests({ store: here.store, grants: new Grants(here.store) });
  await held.keep(repositoryAt("docker.io", "thief/app"), { ...secret.manifest, outcome: "miss", warnings: [] });
  expect(await exportFrom(here, { images: [`docker.io/thief/app@${secret.manifest.descriptor.digest}`], output: file("x.tar") })).toMatchObject({
    kind: "lacking",
    lacking: [secret.config, ...secret.layers].map((digest) => ({ digest })),
  });
});

test("a wrong byte on this disk is not carried to another", async () => {
  const [, layer] = tool.layers;
  const path = here.store.layout.blob(layer ?? expect.fail());
  const bytes = await readFile(path);
  bytes[1_000] = (bytes[1_000] ?? 0) ^ 1;
  await chmod(path, 0o644);
  await writeFile(path, bytes);
  await expect(exported(here, { images: [dockerName], output: file("x.tar") })).rejects.toThrow(`${layer} has wrong bytes on this disk`);
  expect(await readdir(folder.path)).toEqual([]);
});

test("a signed bundle is taken with its key, and openssl agrees", async () => {
  await exported(here, { images: [dockerName], output: file("signed.tar"), signKey: privateKey });
  expect(await importInto(there, file("signed.tar"), { verifyKey: publicKey })).toMatchObject({ isSigned: true });
  const names = ["ociregistry-bundle.json", "ociregistry-bundle.json.sig"];
  await run("tar", ["--extract", "--file", file("signed.tar"), "--directory", folder.path, ...names]);
  await writeFile(file("key.pub"), publicKey.export({ type: "spki", format: "pem" }));
  const [manifest = "", sig = ""] = names.map(file);
  const { stdout } = await run("openssl", ["pkeyutl", "-verify", "-pubin", "-inkey", file("key.pub"), "-rawin", "-in", manifest, "-sigfile", sig]);
  expect(stdout).toContain("Signature Verified Successfully");
});

test("the layout lists each name once, with what containerd and skopeo go by", async () => {
  await exported(here, { images: [appName, dockerName], output: file("images.tar") });
  const { stdout } = await run("tar", ["--extract", "--to-stdout", "--file", file("images.tar"), "index.json"]);
  const { manifests } = JSON.parse(stdout) as { manifests: { digest: string; annotations: Record<string, string> }[] };
  expect(
    manifests.map(({ digest, annotations }) => [digest, annotations["io.containerd.image.name"], annotations["org.opencontainers.image.ref.name"]]),
  ).toEqual([
    [tool.manifest.descriptor.digest, dockerName, dockerName],
    [app.manifest.descriptor.digest, appName, appName],
  ]);
});
