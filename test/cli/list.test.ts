/** What `list`, `pin` and `unpin` print of a store that a cache has filled. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hexOf } from "../../src/oci/digest.ts";
import { readManifestContent } from "../../src/oci/manifest.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage, buildIndex, type BuiltImage } from "../support/images.ts";
import { plantStore } from "../support/planted-store.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache } from "../support/test-cache.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { run } from "../../src/cli/program.ts";
import { CapturedIo, runLine } from "./captured-io.ts";

const image = buildImage({ layers: [{ shared: "shared by both" }, { own: "x".repeat(10_000) }] });
const arm64 = buildImage({ platform: "linux/arm64", layers: [{ arm: "a" }] });
const amd64 = buildImage({ platform: "linux/amd64", layers: [{ amd: "b" }] });
const index = buildIndex([amd64, arm64]);
const signature = buildArtifact(image.manifest);
const other = buildImage({ layers: [{ shared: "shared by both" }] });
const cameMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const pulledMs = cameMs + 86_400_000;

/** Two repositories: one with an image that is whole, signed, and pulled a day later, and an index of which one platform is here; one that shares a layer. */
async function arrange() {
  const folder = await temporaryFolder();
  const upstream = await startFakeUpstream();
  const root = join(folder.path, "store");
  const clock = new TestClock({ startMs: cameMs });
  await using rig = await startTestCache({ upstreams: [upstream.host], root, clock, rules: { tagTtlMs: () => Infinity } });
  const hold = async (path: string, tag: string | undefined, built: BuiltImage) => {
    upstream.putImage(path, tag, built);
    await pullManifest(rig, repositoryAt(upstream.host, path), tag ?? built.manifest.descriptor.digest, { purpose: "load" });
    const named = readManifestContent(built.manifest.bytes).blobs;
    for (const { digest } of named) await pullBlob(rig, repositoryAt(upstream.host, path), digest);
  };
  await hold("team/app", "1", image);
  await hold("team/app", undefined, signature);
  upstream.putImage("team/app", "many", index);
  await pullManifest(rig, repositoryAt(upstream.host, "team/app"), "many", { purpose: "load" });
  await hold("team/app", undefined, arm64);
  await hold("team/other", "V2", other);
  await clock.advance(pulledMs - cameMs);
  await pullManifest(rig, repositoryAt(upstream.host, "team/app"), "1");
  await upstream.close();
  return {
    root,
    folder: folder.path,
    host: upstream.host,
    app: repositoryName(repositoryAt(upstream.host, "team/app")),
    other: repositoryName(repositoryAt(upstream.host, "team/other")),
    list: (more: string) => runLine(`list --image-path ${root} ${more}`),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

function words(line: string): readonly string[] {
  return line.split(/ +/);
}

describe("list", () => {
  test("prints a row for each tag, in the order of names, with the columns of old", async () => {
    await using all = await arrange();
    const { code, out, errors } = await all.list("--header");
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    const lines = out.split("\n");
    expect(lines).toHaveLength(5);
    expect(lines.slice(0, 4).map(words)).toEqual([
      ["IMAGE", "TAG/DIGEST", "TYPE", "CREATED", "PULLED", "SIZE(MB)", "PINNED"],
      [all.app, "1", "image", "2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z", expect.stringMatching(/^\d+\.\d\d$/)],
      [all.app, "many", "list", "2026-01-02T03:04:05Z", "-", "0.00"],
      [all.other, "V2", "image", "2026-01-02T03:04:05Z", "-", "0.00"],
    ]);
    expect(new Set(lines.slice(0, 3).map((line) => line.search(/TYPE|image|list/)))).toHaveLength(1); // Aligned.
  });

  test.each([
    ["--pattern many", ["many"]],
    ["--pattern /other:,:many$", ["many", "V2"]],
    ["--pattern (?i)v2", ["V2"]],
    ["--complete", ["1", "many", "V2"]],
    ["--incomplete", []],
    ["--sort used", ["1", "many", "V2"]],
    ["--sort size", ["1", "many", "V2"]],
  ])("%s", async (flags, tags) => {
    await using all = await arrange();
    const { out } = await all.list(flags);
    expect(
      out
        .trim()
        .split("\n")
        .flatMap((line) => words(line)[1] ?? [])
        .toSorted(),
    ).toEqual(tags.toSorted());
    if (flags.startsWith("--sort")) expect(words(out)[1]).toBe("1");
  });

  test("goes by listConfig where no flag says otherwise", async () => {
    await using all = await arrange();
    const file = join(all.folder, "config.yaml");
    await writeFile(file, `imagePath: ${all.root}\nlistConfig: { header: true, expr: ":V2", shortDigest: true }\n`);
    const configured = await runLine(`list --config-file ${file}`);
    expect(configured.out.split("\n").map((line) => words(line)[1])).toEqual(["TAG/DIGEST", "V2", undefined]);
    const flagged = await runLine(`list --config-file ${file} --header=false --pattern :many`);
    expect(flagged.out.split("\n").map((line) => words(line)[1])).toEqual(["many", undefined]);
  });

  test("--registry takes an alias, and one of which nothing is held is said so", async () => {
    await using all = await arrange();
    const file = join(all.folder, "config.yaml");
    await writeFile(file, `imagePath: ${all.root}\nregistries: [{ name: "${all.host}", scheme: http, aliases: [mine] }]\n`);
    expect((await runLine(`list --config-file ${file} --registry mine`)).out.trim().split("\n")).toHaveLength(3);
    expect(await all.list("--registry quay.io")).toEqual({ code: 0, out: "", errors: `ociregistry: nothing that was asked for is held in ${all.root}\n` });
  });

  test("--tree shows children by platform and what refers to an image, and which of them are here", async () => {
    await using all = await arrange();
    const { out } = await all.list("--tree --short-digest");
    const short = (built: { manifest: BuiltImage["manifest"] }) => hexOf(built.manifest.descriptor.digest).slice(0, 12);
    const lines = out.split("\n");
    expect(lines[0]).toBe(`${all.app}:1`);
    expect(lines[1]).toMatch(new RegExp(`^  ${short(image)}, image, .* its own\\), pulled .*, here since 2026-01-02T03:04:05Z$`));
    expect(lines[2]).toBe(`  └─ refers to it: application/vnd.oci.image.manifest.v1+json ${short(signature)}`);
    expect(lines[3]).toBe(`${all.app}:many`);
    expect(lines[4]).toMatch(/, index, .*, never pulled, /);
    expect(lines.slice(5, 7)).toEqual([`  ├─ linux/amd64 ${short(amd64)} not held`, `  └─ linux/arm64 ${short(arm64)}`]);
  });

  test("--json prints a line for each image: what it shares, and what is its own", async () => {
    await using all = await arrange();
    const { out } = await all.list("--json");
    const images = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const [layer] = other.layers;
    const sharedBytes = (layer && other.blobs.get(layer)?.byteLength) ?? 0;
    expect(images).toMatchObject([
      {
        repository: all.app,
        registry: all.host,
        tags: ["1"],
        kind: "image",
        sharedBytes,
        pulled: "2026-01-03T03:04:05Z",
        complete: true,
        missing: 0,
        pinned: null,
      },
      {
        tags: ["many"],
        kind: "index",
        pulled: null,
        manifests: [{ role: "root" }, { platform: "linux/amd64", held: false }, { platform: "linux/arm64", held: true }],
      },
      { repository: all.other, tags: ["V2"], sharedBytes, sizeBytes: expect.any(Number) },
    ]);
    expect(images[0]?.["ownBytes"]).toBeGreaterThan(0);
  });

  test.each([
    ["--sort weight", '--sort: "weight" is not name, used or size'],
    ["--json --tree", "--json and --tree: one of them"],
    ["--complete --incomplete", "--complete and --incomplete: neither means both"],
    ["--pattern [", '--pattern: "[" is no regular expression'],
  ])("%s is misuse", async (flags, message) => {
    await using folder = await temporaryFolder();
    const { code, out, errors } = await runLine(`list --image-path ${folder.path}/store ${flags}`);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toContain(message);
  });

  test("is whole for who reads it slowly", async () => {
    await using folder = await temporaryFolder();
    plantStore(join(folder.path, "store"), { host: "registry.example", repositories: { "team/app": 900 } });
    const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
    const child = spawn(process.execPath, [main, "list", "--json", "--sort", "used", "--image-path", join(folder.path, "store")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let lines = 0;
    for await (const bytes of child.stdout) {
      lines += (bytes as Buffer).toString().split("\n").length - 1; // A stream without an encoding gives bytes.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(lines).toBe(810);
  }, 120_000);

  test("ends quietly when whoever reads has seen enough", async () => {
    await using folder = await temporaryFolder();
    plantStore(join(folder.path, "store"), { host: "registry.example", repositories: { "team/app": 900 } });
    const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
    const child = spawn(process.execPath, [main, "list", "--image-path", join(folder.path, "store")], { stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr.on("data", (text: Buffer) => (errors += text.toString()));
    await once(child.stdout, "data");
    child.stdout.destroy();
    expect(await once(child, "close")).toEqual([1, null]);
    expect(errors).toBe("");
  }, 120_000);
});

describe("pin and unpin", () => {
  test("say what became of each image, held or not, and list shows it", async () => {
    await using all = await arrange();
    const pinned = await runLine(`pin --image-path ${all.root} --for 30d --reason why ${all.app}:1 alpine:3`);
    const until = /until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g;
    expect({ ...pinned, out: pinned.out.replaceAll(until, "until T") }).toEqual({
      code: 0,
      out: `pinned ${all.app}:1 until T\npinned docker.io/library/alpine:3 until T: not held yet\n`,
      errors: "",
    });
    expect((await all.list("--tree --pattern app:1$")).out).toMatch(/, pinned until [^ ]*Z \(why\)\n/);
    expect((await all.list("--pattern app:1$")).out).toMatch(/ pinned until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$/);
    expect(JSON.parse((await all.list("--json --pattern app:1$")).out)).toMatchObject({ pinned: { reference: "1", reason: "why" } });
    expect(await runLine(`unpin --image-path ${all.root} ${all.app}:1 quay.io/a/b:1`)).toEqual({
      code: 0,
      out: `unpinned ${all.app}:1\nunpinned quay.io/a/b:1: was not pinned\n`,
      errors: "",
    });
    expect((await all.list("--pattern app:1$")).out).not.toContain("pinned");
  });

  test("keep the later end and the reason of what is pinned already, unless another reason is given", async () => {
    await using all = await arrange();
    const pin = (more: string) => runLine(`pin --image-path ${all.root} ${all.app}:1 ${more}`);
    const pinned = async () => (JSON.parse((await all.list("--json --pattern app:1$")).out) as { pinned: { until: string | null; reason: string } }).pinned;
    await pin("--for 30d --reason why");
    const first = await pinned();
    expect(first).toMatchObject({ until: expect.any(String) as string, reason: "why" });
    expect((await pin("")).out).toBe(`pinned ${all.app}:1 until ${first.until}\n`);
    expect(await pinned()).toEqual(first);
    await pin("--for 1d --reason because");
    expect(await pinned()).toEqual({ ...first, reason: "because" });
    expect((await pin("--for -1")).out).toBe(`pinned ${all.app}:1\n`);
    expect(await pinned()).toMatchObject({ until: null, reason: "because" });
    await pin("--for 1d");
    expect(await pinned()).toMatchObject({ until: null });
  });

  test("say which pin is left of an image", async () => {
    await using all = await arrange();
    const { digest } = image.manifest.descriptor;
    await runLine(`pin --image-path ${all.root} ${all.app}:1 ${all.app}@${digest}`);
    expect((await runLine(`unpin --image-path ${all.root} ${all.app}:1`)).out).toBe(`unpinned ${all.app}:1: the image stays pinned as ${all.app}@${digest}\n`);
    expect((await runLine(`unpin --image-path ${all.root} ${all.app}@${digest}`)).out).toBe(`unpinned ${all.app}@${digest}\n`);
  });

  test("read what a cluster runs from stdin; what cannot be read is told, and the rest is pinned", async () => {
    await using all = await arrange();
    const io = new CapturedIo();
    io.given = `kind: Pod\nspec:\n  containers:\n    - image: ${all.app}:many\n    - image: "Not A Name"\n`;
    const code = await run(["pin", "--image-path", all.root, "--image-file", "-"], io);
    expect(io.out).toBe(`pinned ${all.app}:many\n`);
    expect(io.errors).toContain("Not A Name");
    expect(code).toBe(1);
    expect((await all.list("--pattern :many")).out).toMatch(/ pinned\n$/);
  });

  test("refuse a tag that is written as a digest, and do the rest", async () => {
    await using all = await arrange();
    const { code, out, errors } = await runLine(`pin --image-path ${all.root} a/b:sha256-${"0".repeat(64)} a/b:1`);
    expect({ code, out }).toEqual({ code: 1, out: "pinned docker.io/a/b:1: not held yet\n" });
    expect(errors).toContain("pin that image");
  });

  test.each([
    ["pin", "pin wants to know what"],
    ["unpin", "unpin wants to know what"],
    ["pin a:1 --for 0", "a pin of no time keeps nothing"],
    ["receipt --output - --hold 0", '--hold: "0" is not a duration'],
    ["pin a:1 --for ever", '--for: "ever" is not a duration'],
  ])("%s is misuse", async (line, message) => {
    await using folder = await temporaryFolder();
    const [command = "", ...rest] = line.split(" ");
    const { code, errors } = await runLine(`${command} --image-path ${folder.path}/store ${rest.join(" ")}`);
    expect(code).toBe(2);
    expect(errors).toContain(message);
  });

  test("say so where the store cannot be written", async () => {
    await using folder = await temporaryFolder();
    await mkdir(join(folder.path, "store"));
    await writeFile(join(folder.path, "store", "upstreams"), "");
    const { code, errors } = await runLine(`pin --image-path ${folder.path}/store a:1`);
    expect(code).toBe(1);
    expect(errors).toMatch(/^ociregistry: .*ENOTDIR/);
  });
});
