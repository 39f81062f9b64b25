import { generateKeyPairSync } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "../../src/cli/program.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { parseReceipt } from "../../src/transfer/receipt.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { startOurServer } from "../support/our-server.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { tarOf } from "../support/tar.ts";
import { CapturedIo } from "./captured-io.ts";

const app = buildIndex([buildImage({ platform: "linux/amd64" }), buildImage({ platform: "linux/arm64" })]);
const [amd64, arm64] = app.images;
const tool = buildImage({ layers: [{ "usr/tool": "a tool" }] });

let folder: TemporaryFolder;
let upstream: FakeUpstream;
const file = (name: string): string => join(folder.path, name);

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1", app);
  upstream.putImage("team/tool", "2", tool);
  for (const side of ["outside", "inside"]) {
    const registries = [{ name: "registry.test", scheme: "http", endpoints: side === "outside" ? [upstream.url] : [], originFallback: side === "inside" }];
    await writeFile(file(`${side}.yaml`), JSON.stringify({ imagePath: file(side), registries, airGapped: side === "inside", logLevel: "error" }));
  }
  await writeFile(file("images.txt"), "registry.test/team/app:1\nregistry.test/team/tool:2\n");
});

afterEach(async () => {
  await upstream.close();
  await folder[Symbol.asyncDispose]();
});

async function outside(...words: readonly string[]): Promise<CapturedIo & { code: number }> {
  return await runIn("outside", words);
}

async function inside(...words: readonly string[]): Promise<CapturedIo & { code: number }> {
  return await runIn("inside", words);
}

async function runIn(side: string, words: readonly string[], given: string | Uint8Array = ""): Promise<CapturedIo & { code: number }> {
  const io = new CapturedIo();
  io.given = given;
  return Object.assign(io, { code: await run([...words, "--config-file", file(`${side}.yaml`)], io) });
}

/** What was fetched, without the questions for referrers. */
function fetched(): readonly string[] {
  return upstream.requests.filter((request) => !/referrers|sha256-/.test(request)).toSorted();
}

test("what the list names and is not here is fetched once; what is here asks nobody", async () => {
  const first = await outside("export", "--output", file("1.tar"), "--images", file("images.txt"));
  expect(first.errors).not.toContain("ociregistry:");
  expect(first.code).toBe(0);
  const of = (path: string, digests: readonly (Digest | undefined)[]): readonly string[] => digests.map((digest) => `GET /v2/team/${path}/${digest}`);
  const blobsOf = (image: typeof tool | undefined): readonly Digest[] => (image ? [...image.blobs.keys()] : []);
  expect(fetched()).toEqual(
    [
      "HEAD /v2/team/app/manifests/1",
      "HEAD /v2/team/tool/manifests/2",
      ...of("app/manifests", [app.manifest.descriptor.digest, amd64?.manifest.descriptor.digest]),
      ...of("tool/manifests", [tool.manifest.descriptor.digest]),
      ...of("app/blobs", blobsOf(amd64)),
      ...of("tool/blobs", blobsOf(tool)),
    ].toSorted(),
  );
  const before = upstream.requests.length;
  expect((await outside("export", "--output", file("2.tar"), "--images", file("images.txt"))).code).toBe(0);
  expect((await outside("export", "--output", file("3.tar"), "--pattern", "team/(app|tool):")).code).toBe(0);
  expect(upstream.requests.length).toBe(before);
  expect((await readFile(file("2.tar"))).equals(await readFile(file("1.tar")))).toBe(true);
  expect((await readFile(file("3.tar"))).equals(await readFile(file("1.tar")))).toBe(true);

  // Another platform of an image of which one is here.
  expect((await outside("export", "--output", file("arm.tar"), "--images", file("images.txt"), "--platform", "linux/amd64,linux/arm64")).code).toBe(0);
  expect(fetched().filter((request) => request.includes(arm64?.config ?? "none"))).toEqual(of("app/blobs", [arm64?.config]));
});

test("offline, what is missing is named, nothing is written, and nobody is asked", async () => {
  await mkdir(file("outside"));
  const result = await outside("export", "--output", file("1.tar"), "--images", file("images.txt"), "--offline");
  expect(result.code).toBe(1);
  expect(result.errors).toContain("ociregistry: registry.test/team/app:1: ");
  expect(result.errors).toContain("ociregistry: registry.test/team/tool:2: ");
  expect(result.errors).toContain("nothing was exported");
  expect(upstream.requests).toEqual([]);
  expect(await readdir(folder.path)).not.toContain("1.tar");
});

test("an image that cannot be had is named, and a bad line too", async () => {
  await writeFile(file("more.txt"), "registry.test/team/app:1\nregistry.test/team/gone:1\n/not a name/\n");
  const result = await outside("export", "--output", file("1.tar"), "--images", file("more.txt"));
  expect(result.code).toBe(1);
  expect(result.errors).toContain(`${file("more.txt")}:3: `);
  expect(result.errors).toContain("registry.test/team/gone:1: ");
  expect(await readdir(folder.path)).not.toContain("1.tar");
});

test("a pipe carries a bundle from one side to the other, and a running server shows it within a second", async () => {
  const sent = await outside("export", "--output", "-", "--images", file("images.txt"));
  expect(sent).toMatchObject({ code: 0, out: "" });
  expect(sent.errors).toMatch(/bundle sha256:[0-9a-f]{64}: 2 images, /);

  await using server = await startOurServer({
    folder: folder.path,
    config: { imagePath: file("inside"), airGapped: true, registries: [{ name: "registry.test", scheme: "http" }] },
  });
  const ask = async (): Promise<number> => (await fetch(`${server.url}/v2/registry.test/team/tool/manifests/2`)).status;
  expect(await ask()).toBe(404);
  const taken = await runIn("inside", ["import", "-"], sent.outBytes);
  const importedAtMs = performance.now();
  expect(taken.code, taken.errors).toBe(0);
  expect(taken.out).toContain(`new registry.test/team/app:1 ${app.manifest.descriptor.digest}`);
  while ((await ask()) !== 200) expect(performance.now() - importedAtMs).toBeLessThan(1_000);
  for (const digest of tool.blobs.keys()) expect((await fetch(`${server.url}/v2/registry.test/team/tool/blobs/${digest}`)).status).toBe(200);
});

test("what an upstream has just said to be unknown is served once it was imported", async () => {
  const sent = await outside("export", "--output", "-", "--images", file("images.txt"));
  const empty = await startFakeUpstream();
  await using _closing = { [Symbol.asyncDispose]: () => empty.close() };
  await using server = await startOurServer({
    folder: folder.path,
    config: { imagePath: file("inside"), registries: [{ name: "registry.test", scheme: "http", endpoints: [empty.url], originFallback: false }] },
  });
  const ask = async (reference: string): Promise<number> => (await fetch(`${server.url}/v2/registry.test/team/tool/manifests/${reference}`)).status;
  const references = ["2", tool.manifest.descriptor.digest];
  for (const reference of references) expect(await ask(reference)).toBe(404);
  expect((await runIn("inside", ["import", "-"], sent.outBytes)).code).toBe(0);
  const importedAtMs = performance.now();
  for (const reference of references) while ((await ask(reference)) !== 200) expect(performance.now() - importedAtMs).toBeLessThan(1_000);
});

test("a receipt of the other side, or the last export's own, leaves out what is there", async () => {
  await outside("export", "--output", file("1.tar.zst"), "--images", file("images.txt"));
  expect((await inside("import", file("1.tar.zst"))).code).toBe(0);
  expect((await inside("receipt", "--output", file("inside.receipt.json"))).code).toBe(0);
  const next = buildImage({ layers: [{ "usr/tool": "a tool" }, { "usr/more": "more" }] });
  upstream.putImage("team/tool", "3", next);
  await writeFile(file("images.txt"), "registry.test/team/app:1\nregistry.test/team/tool:2\nregistry.test/team/tool:3\n");
  for (const receipt of ["inside.receipt.json", "1.receipt.json"]) {
    const result = await outside("export", "--output", file("2.tar"), "--images", file("images.txt"), "--since", file(receipt), "--json");
    expect(result.code, result.errors).toBe(0);
    expect(JSON.parse(result.out)).toMatchObject({ images: 3, blobs: 3, files: [{ path: file("2.tar") }] });
  }
  const taken = await inside("import", file("2.tar"), "--json");
  expect(JSON.parse(taken.out)).toMatchObject({
    blobs: { kept: 3 },
    tags: [{ verdict: "same" }, { verdict: "same" }, { name: "registry.test/team/tool:3", verdict: "new" }],
  });
});

test("a bundle whose base is not here names what has to be imported first, and imports nothing", async () => {
  const first = await outside("export", "--output", file("1.tar"), "--images", file("images.txt"), "--json");
  upstream.putImage("team/tool", "3", buildImage({ layers: [{ "usr/tool": "a tool" }, { "usr/more": "more" }] }));
  await writeFile(file("images.txt"), "registry.test/team/app:1\nregistry.test/team/tool:3\n");
  await outside("export", "--output", file("2.tar"), "--images", file("images.txt"), "--since", file("1.receipt.json"));
  const refused = await inside("import", file("2.tar"));
  const { id } = JSON.parse(first.out) as { id: string };
  expect(refused).toMatchObject({ code: 1, out: "" });
  expect(refused.errors).toContain(`import bundle ${id} (1.tar) first`);
  expect(refused.errors).toContain(`missing ${app.manifest.descriptor.digest}`);
  expect(refused.errors).toContain("nothing was imported");
});

test("a receipt names images unless it may not, and holds what it lists as long as it says", async () => {
  await outside("export", "--output", file("1.tar"), "--images", file("images.txt"));
  await inside("import", file("1.tar"));
  const told = await inside("receipt", "--output", file("r.json"), "--hold", "30d");
  expect(told.out).toMatch(/receipt sha256:[0-9a-f]{64}: 2 images, \d+ blobs, held until /);
  const { images, links } = JSON.parse(await readFile(file("r.json"), "utf8")) as { images: { name: string }[]; links: { digests: string[] }[] };
  expect(images.map(({ name }) => name)).toEqual(["registry.test/team/app:1", "registry.test/team/tool:2"]);
  expect(links[0]?.digests).toContain(tool.config);
  expect(links[0]?.digests).not.toContain(arm64?.config);
  const pin = JSON.parse(
    await readFile(file(`inside/upstreams/registry.test/team/tool/_pins/${tool.manifest.descriptor.digest.replace(":", "-")}`), "utf8"),
  ) as { until: string };
  expect(Date.parse(pin.until) - Date.now()).toBeGreaterThan(29 * 86_400_000);

  const bare = await inside("receipt", "--output", "-", "--digests-only");
  expect(bare.out).not.toContain("registry.test");
  expect(parseReceipt(Buffer.from(bare.out)).links[0]?.digests).toEqual(links[0]?.digests);
});

test("a key that signs and one that verifies are files; the wrong kind is told", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const other = generateKeyPairSync("ed25519");
  await writeFile(file("key"), privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFile(file("key.pub"), publicKey.export({ type: "spki", format: "pem" }));
  await writeFile(file("other.pub"), other.publicKey.export({ type: "spki", format: "pem" }));
  await writeFile(file("rsa"), generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs8", format: "pem" }));
  expect((await outside("export", "--output", file("1.tar"), "--images", file("images.txt"), "--sign-key", file("key"))).code).toBe(0);
  const wrong = await inside("import", file("1.tar"), "--verify-key", file("other.pub"));
  expect(wrong).toMatchObject({ code: 1, errors: expect.stringContaining("the bundle's signature is wrong") as string });
  expect((await inside("import", file("1.tar"), "--verify-key", file("key.pub"))).code).toBe(0);
  const rsa = await outside("export", "--output", file("2.tar"), "--images", file("images.txt"), "--sign-key", file("rsa"));
  expect(rsa).toMatchObject({ code: 1, errors: expect.stringContaining("is of the kind rsa") as string });
});

test.each([
  ["export", "required option '--output <FILE>'"],
  ["export --output x.tar --used-since soon", '--used-since: "soon" is not a duration'],
  ["export --output x.tar --images a.txt --pattern b", "--images says which images"],
  ["export --output x.tar --part-size 12", '--part-size: "12" is not a size'],
  ["export --output - --part-size 4GiB", "a pipe has no parts"],
  ["export --output x.tar --platform arm64", '--platform: "arm64" is not'],
  ["export --output x.tar --pattern (", '--pattern: "("'],
  ["import", "import wants to know what: import FILE"],
  ["import x.tar --from-ociregistry y", "import wants a bundle, or"],
  ["receipt --output r --hold long", '--hold: "long" is not a duration'],
])("%s is misuse", async (line, words) => {
  const { code, errors } = await outside(...line.split(" "));
  expect({ code, errors }).toEqual({ code: 2, errors: expect.stringContaining(words) as string });
});

test("what is no bundle is told, and who takes it", async () => {
  await writeFile(file("app.tar"), tarOf({ "blobs/x": "" }));
  for (const name of ["images.txt", "app.tar"])
    expect(await inside("import", file(name))).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/this is no bundle: .*`ociregistry load --image-file`/) as string,
    });
});

test("a part that is not the first names the first", async () => {
  for (const name of ["p.tar.001", "p.tar.002"]) await writeFile(file(name), "");
  expect(await inside("import", file("p.tar.002"))).toMatchObject({
    code: 1,
    errors: `ociregistry: ${file("p.tar.002")} is part 2: give ${file("p.tar.001")}\n`,
  });
});

test("a private key verifies nothing", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  await writeFile(file("key"), privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFile(file("1.tar"), "");
  const { code, errors } = await inside("import", file("1.tar"), "--verify-key", file("key"));
  expect({ code, errors }).toEqual({ code: 1, errors: expect.stringContaining("the key to verify with is a private key") as string });
});

test.each(["nothing.tar", "nothing.tar.001"])("a bundle that is not there is told: %s", async (name) => {
  expect(await inside("import", file(name))).toMatchObject({ code: 1, errors: expect.stringContaining(`${file(name)} is not there`) as string });
});

test("nothing to export is a failure, not an empty bundle", async () => {
  await mkdir(file("outside"));
  expect(await outside("export", "--output", file("x.tar"))).toMatchObject({
    code: 1,
    errors: expect.stringContaining("there is nothing to export") as string,
  });
});
