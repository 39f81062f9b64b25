/** `ociregistry load` as its users run it: the real program, against fakes that count and against Debian's docker-registry. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hexOf } from "../../src/oci/digest.ts";
import { pushLayout, skopeoClient } from "../support/container-clients.ts";
import { startDockerRegistry } from "../support/docker-registry.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex, seededBytes, writeImageLayout } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { runProcess, startProcess, type RunningProcess, type RunResult } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const root = join(import.meta.dirname, "..", "..");
const node = join(root, "node_modules", ".bin", "node");
const main = join(root, "src", "main.ts");
const mebibyte = 1024 * 1024;

const big = buildImage({ layers: [{ small: "small" }, { big: seededBytes(4 * mebibyte) }] });
/** More than sockets hold between two processes. */
const huge = buildImage({ layers: [{ small: "small" }, { huge: seededBytes(32 * mebibyte) }] });
const index = buildIndex(["linux/amd64", "linux/arm64"].map((platform) => buildImage({ platform })));

let folder: TemporaryFolder;
let upstream: FakeUpstream;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
});

afterEach(async () => {
  await upstream.close();
  await folder[Symbol.asyncDispose]();
});

async function configured(config: object = {}): Promise<readonly string[]> {
  const file = join(folder.path, "load.yaml");
  const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"] }];
  await writeFile(file, JSON.stringify({ imagePath: join(folder.path, "store"), logLevel: "error", registries, ...config }));
  return ["--config-file", file];
}

async function listed(...lines: readonly string[]): Promise<string> {
  const file = join(folder.path, "images.txt");
  await writeFile(file, `${lines.join("\n")}\n`);
  return file;
}

async function load(...args: readonly string[]): Promise<RunResult> {
  return await runProcess(node, [main, "load", ...args]);
}

async function startLoad(...args: readonly string[]): Promise<RunningProcess> {
  return await startProcess({ command: node, args: [main, "load", ...args] });
}

/** A server that asks nobody, on what was loaded. */
async function offline(config: object = {}): Promise<OurServer> {
  const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"] }];
  return await startOurServer({ folder: folder.path, config: { airGapped: true, registries, ...config } });
}

async function statusOf(url: string): Promise<number> {
  const response = await fetch(url, { headers: { connection: "close", accept: "*/*" } });
  await response.arrayBuffer();
  return response.status;
}

test("a verdict for each image, bad lines by file and number, and 1 because of them; what is good is served without any upstream", async () => {
  upstream.putImage("team/app", "1", index);
  upstream.putImage("team/Deep".toLowerCase(), "V1.0-RC1", big);
  const file = await listed("# ours", "up/team/app:1", "NOT/good:1", "up/team/deep:V1.0-RC1 # case counts", "up/team/none:1");
  const { code, stdout, stderr } = await load("--image-file", file, ...(await configured()));
  expect(stdout.trim().split("\n").toSorted()).toEqual([
    `failed   ${upstream.host}/team/none:1`,
    expect.stringMatching(`^loaded   ${upstream.host}/team/app:1 ${index.manifest.descriptor.digest}  2 manifests, 3 blobs, .*; fetched: .* in .*$`),
    expect.stringMatching(
      `^loaded   ${upstream.host}/team/deep:V1.0-RC1 ${big.manifest.descriptor.digest}  1 manifest, 3 blobs, 4.0 MiB; fetched: 4.0 MiB in .*$`,
    ),
  ]);
  const said = stderr.split("\n");
  expect(said).toContainEqual(expect.stringMatching(/^ociregistry: .*images\.txt:3: "NOT\/good" is not a repository name/));
  expect(said).toContainEqual(expect.stringMatching(/^ociregistry: .*images\.txt:5: .*team\/none:1: .*/));
  expect(said).toContainEqual(expect.stringMatching(/^ociregistry: 2 loaded, 1 failed: 4\.0 MiB fetched in /));
  expect(code).toBe(1);
  await using server = await offline();
  upstream.forget();
  expect(await statusOf(`${server.url}/v2/up/team/app/manifests/1`)).toBe(200);
  expect(await statusOf(`${server.url}/v2/up/team/deep/manifests/V1.0-RC1`)).toBe(200);
  expect(await statusOf(`${server.url}/v2/up/team/deep/blobs/${big.layers[1]}`)).toBe(200);
  expect(await statusOf(`${server.url}/v2/up/team/deep/manifests/v1.0-rc1`)).toBe(404);
  expect(upstream.requests).toEqual([]);
});

test("a second run finds all of it here, and asks for each tag's meaning only", async () => {
  upstream.putImage("team/app", "1", index);
  upstream.putImage("team/big", "1", big);
  const args = ["--image-file", await listed("up/team/app:1", "up/team/big:1"), ...(await configured()), "--jobs", "1"];
  expect((await load(...args)).code).toBe(0);
  upstream.forget();
  const { code, stdout } = await load(...args);
  expect(stdout.split("\n").map((line) => line.slice(0, 6))).toEqual(["held  ", "held  ", ""]);
  expect(code).toBe(0);
  expect(upstream.requests).toEqual(["HEAD /v2/team/app/manifests/1", "HEAD /v2/team/big/manifests/1"]);
});

test("JSON for programs; the Go one's flags for os and arch; a dry run that fetches nothing", async () => {
  upstream.putImage("team/app", "1", index);
  const args = ["--image-file", await listed("up/team/app:1"), ...(await configured({ platforms: ["all"] })), "--os", "linux", "--arch", "arm64", "--json"];
  const dry = await load(...args, "--dry-run", "--pull-timeout", "5000");
  expect(JSON.parse(dry.stdout)).toMatchObject({
    images: [{ verdict: "missing", manifests: 2, fetchedBlobs: 3 }],
    problems: [],
    summary: { missing: 1, failed: 0 },
  });
  expect(upstream.requests.filter((request) => request.includes("/blobs/"))).toEqual([]);
  const real = await load(...args, "--dry-run=false");
  expect(JSON.parse(real.stdout)).toMatchObject({
    images: [{ name: `${upstream.host}/team/app:1`, verdict: "loaded", digest: index.manifest.descriptor.digest, line: 1 }],
    summary: { loaded: 1 },
  });
  const [, arm64] = index.images;
  await using server = await offline();
  expect(await statusOf(`${server.url}/v2/up/team/app/manifests/${arm64?.manifest.descriptor.digest}`)).toBe(200);
  expect(await statusOf(`${server.url}/v2/up/team/app/manifests/${index.images[0]?.manifest.descriptor.digest}`)).toBe(404);
});

test("a short name of Docker Hub is found however clients spell it, once it is loaded", async () => {
  upstream.putImage("library/nginx", "1", big);
  const registries = [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }];
  const { code, stderr } = await load("--image-file", await listed("nginx:1"), ...(await configured({ registries })));
  expect([code, stderr]).toEqual([0, expect.stringContaining("1 loaded")]);
  await using server = await offline({ registries });
  for (const path of ["/v2/library/nginx/manifests/1?ns=docker.io", "/v2/docker.io/nginx/manifests/1", "/v2/nginx/manifests/1"]) {
    expect([path, await statusOf(`${server.url}${path}`)]).toEqual([path, 200]);
  }
});

describe.each(["SIGINT", "SIGKILL"] as const)("ended by %s in the middle", (signal) => {
  test("nothing of the image is seen, and the next run goes on where it stood", async () => {
    upstream.putImage("team/app", "1", huge);
    const release = Promise.withResolvers<void>();
    upstream.when({ kind: "blob", path: huge.layers[1], times: 1 }, { holdBody: { atBytes: 16 * mebibyte, until: release.promise } });
    const args = ["--image-file", await listed("up/team/app:1"), ...(await configured())];
    const first = await startLoad(...args);
    await upstream.waitForBytes(16 * mebibyte);
    first.signal(signal);
    const { code } = await first.ended;
    if (signal === "SIGINT") {
      expect(code).toBe(1);
      expect(first.output).toContain("team/app:1: stopped by SIGINT");
    }
    release.resolve();
    {
      await using server = await offline();
      expect(await statusOf(`${server.url}/v2/up/team/app/manifests/1`)).toBe(404);
    }
    upstream.forget();
    const second = await load(...args);
    expect([second.code, second.stdout.slice(0, 6)]).toEqual([0, "loaded"]);
    const blobs = upstream.requests.filter((request) => request.includes(`/blobs/${huge.layers[1]}`));
    expect(blobs).toHaveLength(1);
    expect(blobs[0]).toMatch(/bytes=[1-9]\d*-$/);
    await using server = await offline();
    expect(await statusOf(`${server.url}/v2/up/team/app/manifests/1`)).toBe(200);
    for (const digest of huge.blobs.keys()) expect(await statusOf(`${server.url}/v2/up/team/app/blobs/${digest}`)).toBe(200);
  });
});

test("a server that runs meanwhile shows what was loaded within a second", async () => {
  upstream.putImage("team/app", "1", big);
  await using server = await offline();
  expect(await statusOf(`${server.url}/v2/up/team/app/manifests/1`)).toBe(404);
  expect((await load("--image-file", await listed("up/team/app:1"), ...(await configured()))).code).toBe(0);
  const look = async (): Promise<number> => await statusOf(`${server.url}/v2/up/team/app/manifests/1`);
  expect(await lookUntil(look, (status) => status === 200, { waitMs: 2_000 })).toBe(200);
});

test("in air-gapped mode load says of each image whether it is here, and asks nobody", async () => {
  upstream.putImage("team/app", "1", big);
  const file = await listed("up/team/app:1", "up/team/other:1");
  await load("--image-file", file, ...(await configured()));
  upstream.forget();
  const { code, stdout, stderr } = await load("--image-file", file, ...(await configured({ airGapped: true })));
  expect(
    stdout
      .split("\n")
      .map((line) => line.slice(0, 6))
      .toSorted(),
  ).toEqual(["", "failed", "held  "]);
  expect([code, upstream.requests]).toEqual([1, []]);
  expect(stderr).toMatch(/team\/other:1: no tag 1 of .* is held here/);
});

describe("preloadImages", () => {
  test("arrive behind a server that serves; bad lines and images that are none stop nothing", async () => {
    upstream.putImage("team/app", "1", big);
    const release = Promise.withResolvers<void>();
    upstream.when({ kind: "blob", path: big.layers[1] }, { hold: release.promise });
    const preloadImages = await listed("BAD line", "up/team/none:1", "up/team/app:1");
    const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"] }];
    await using server = await startOurServer({ folder: folder.path, config: { registries, preloadImages, preloadRequired: true } });
    expect(await statusOf(`${server.url}/livez`)).toBe(200);
    const readiness = await fetch(`${server.url}/readyz`, { headers: { connection: "close" } });
    expect([readiness.status, await readiness.json()]).toEqual([503, expect.objectContaining({ status: "preloading" })]);
    release.resolve();
    await server.process.waitForOutput(/"loaded":1,"held":0,"failed":2,.*"msg":"preloading is over"/);
    expect(await statusOf(`${server.url}/readyz`)).toBe(200);
    expect(server.process.output).toMatch(/"line":1,.*"msg":"not to be preloaded"/);
    expect(server.process.output).toMatch(/team\/none:1.*"msg":"image not preloaded"/);
    upstream.forget();
    expect(await statusOf(`${server.url}/v2/up/team/app/blobs/${big.layers[1]}`)).toBe(200);
    expect(upstream.requests).toEqual([]);
  });

  test("that are not required leave the server ready, and a stop does not wait for them", async () => {
    upstream.putImage("team/app", "1", big);
    const never = Promise.withResolvers<void>();
    upstream.when({ kind: "blob" }, { hold: never.promise });
    const preloadImages = await listed("up/team/app:1");
    const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"] }];
    const server = await startOurServer({ folder: folder.path, config: { registries, preloadImages } });
    await upstream.waitForRequests(3);
    expect(await statusOf(`${server.url}/readyz`)).toBe(200);
    await server.process.kill("SIGTERM");
    expect(await server.process.ended).toMatchObject({ code: 0 });
    never.resolve();
  });
});

test.runIf(requirePrograms("docker-registry", "skopeo"))(
  "from docker-registry by what kubectl prints; skopeo then pulls it all without any upstream",
  async () => {
    const [own, layouts] = [join(folder.path, "registry"), join(folder.path, "layouts")];
    await mkdir(own);
    await using registry = await startDockerRegistry({ folder: own });
    const docker = buildImage({ layers: [{ d: "docker" }] });
    const subject = index.images[0]?.manifest.descriptor.digest;
    if (!subject) throw new Error("an index with images");
    const signature = buildImage({ layers: [{ sig: "by tag" }] });
    for (const [name, tag, image] of [
      ["multi", "1", index],
      ["docker", "1", docker],
      ["multi", `sha256-${hexOf(subject)}.sig`, signature],
    ] as const) {
      const layout = join(layouts, `${name}-${tag}`);
      await writeImageLayout(layout, tag, image);
      await pushLayout(layout, tag, `${registry.host}/team/${name}:${tag}`);
    }
    const list = join(folder.path, "pods.yaml");
    const pod = (image: string): string => `- apiVersion: v1\n  kind: Pod\n  spec:\n    containers:\n    - image: ${registry.host}/team/${image}\n`;
    await writeFile(list, `apiVersion: v1\nitems:\n${pod("multi:1")}${pod("docker:1")}${pod("multi:1")}kind: List\n`);
    const registries = [{ name: registry.host, scheme: "http", aliases: ["debian"] }];
    const { code, stderr, stdout } = await load("--image-file", list, "--platform", "all", ...(await configured({ registries })));
    expect([code, stderr, stdout.trim().split("\n").length]).toEqual([0, expect.stringContaining("2 loaded, 0 failed"), 2]);
    await registry[Symbol.asyncDispose]();
    await using server = await offline({ registries });
    const pulled = await Promise.all(
      ["multi:1", "docker:1", `multi:sha256-${hexOf(subject)}.sig`].map(async (name, at) => {
        await mkdir(join(folder.path, `skopeo-${at}`));
        await using client = await skopeoClient(join(folder.path, `skopeo-${at}`));
        return await client.pull(`${server.host}/debian/team/${name}`);
      }),
    );
    expect(pulled).toEqual([index, docker, signature].map(({ manifest }) => manifest.descriptor.digest));
  },
);
