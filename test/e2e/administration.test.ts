/** The administrative routes of a real server: lists of what is held, pruning for real, and stopping; over TCP and over its own socket. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { manifestAccept } from "../../src/oci/media-types.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const run = promisify(execFile);
const images = ["linux/amd64", "linux/arm64"].map((platform) => buildImage({ platform }));
const index = buildIndex(images);
const plain = buildImage({ layers: [{ other: "layer" }] });

let folder: TemporaryFolder;
let upstream: FakeUpstream;
let server: OurServer;

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  upstream.putImage("calico/typha", "v3.27.0", index);
  upstream.putImage("library/alpine", "3", plain);
  upstream.putImage("library/alpine", "3.20", plain);
  const registries = [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }];
  server = await startOurServer({ folder: folder.path, config: { registries, adminApi: "loopback" } });
  await pull("calico/typha", "v3.27.0");
  await pull("calico/typha", images[0]?.manifest.descriptor.digest ?? "");
  for (const digest of images[0]?.blobs.keys() ?? []) await pull("calico/typha", digest, "blobs");
  for (const reference of ["3", "3.20", ...plain.blobs.keys()]) await pull("library/alpine", reference, reference.startsWith("3") ? "manifests" : "blobs");
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await upstream.close();
  await folder[Symbol.asyncDispose]();
});

async function pull(path: string, reference: string, kind = "manifests"): Promise<void> {
  const answer = await fetch(`${server.url}/v2/docker.io/${path}/${kind}/${reference}`, { headers: { accept: manifestAccept } });
  await answer.arrayBuffer();
  expect(answer.status, `${path} ${reference}`).toBe(200);
}

async function ask(target: string, method = "GET"): Promise<string> {
  const answer = await fetch(`${server.url}${target}`, { method });
  expect(answer.status, target).toBe(200);
  return answer.text();
}

describe("the lists", () => {
  test("name every manifest under each of its names, with its times", async () => {
    const [header, ...lines] = (await ask("/cmd/manifest/list")).trimEnd().split("\n");
    expect(header).toBe("URL DIGEST CREATED PULLED");
    const digest = plain.manifest.descriptor.digest;
    expect(lines.map((line) => line.split(" ").slice(0, 2))).toEqual([
      ["docker.io/calico/typha:v3.27.0", index.manifest.descriptor.digest],
      [`docker.io/calico/typha@${images[0]?.manifest.descriptor.digest.slice(0, 17)}`, images[0]?.manifest.descriptor.digest],
      ["docker.io/library/alpine:3", digest],
      ["docker.io/library/alpine:3.20", digest],
    ]);
    for (const line of lines) for (const time of line.split(" ").slice(2)) expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(120_000);
  });

  test("take patterns and a count", async () => {
    const names = async (query: string): Promise<readonly string[]> =>
      (await ask(`/cmd/manifest/list?${query}`))
        .trimEnd()
        .split("\n")
        .slice(1)
        .map((line) => line.split(" ")[0] ?? "");
    expect(await names("pattern=calico,cilium&count=10")).toHaveLength(2);
    expect(await names("pattern=%5Edocker.io/library/alpine:3$")).toEqual(["docker.io/library/alpine:3"]);
    expect(await names("count=1")).toHaveLength(1);
    expect(await names("count=-1")).toHaveLength(4);
    expect(await names("pattern=nothing")).toEqual([]);
  });

  test("show images with the blobs that they name, also by a part of a blob's digest", async () => {
    const layer = plain.layers[0] ?? "";
    const text = await ask(`/cmd/image/list?digest=${layer.slice(10, 30)}`);
    expect(text.split("\n").filter((line) => line.startsWith("- "))).toEqual(
      [plain.config, ...plain.layers, plain.config, ...plain.layers].map((one) => `- ${one}`),
    );
    expect(text).not.toContain("typha");
  });

  test("count how many images need a blob", async () => {
    const text = await ask(`/cmd/blob/list?substr=${plain.config.slice(7, 20)}`);
    expect(text).toBe(`URL REFCNT\n${plain.config} 1\n`);
    expect((await ask("/cmd/blob/list?count=-1")).trimEnd().split("\n")).toHaveLength(1 + (images[0]?.blobs.size ?? 0) + plain.blobs.size);
  });

  test("refuse what is no pattern, in words", async () => {
    const answer = await fetch(`${server.url}/cmd/manifest/list?pattern=(%3F=x)`);
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("is no regular expression of Go's")]);
  });

  test("asked for again and again leave what is used as it was", async () => {
    const before = await ask("/cmd/manifest/list");
    await ask("/cmd/image/list");
    await ask("/cmd/blob/list");
    expect(await ask("/cmd/manifest/list")).toBe(before);
  });
});

describe("pruning", () => {
  test("with dryRun says what would go, and nothing does", async () => {
    expect(await ask("/cmd/prune?type=pattern&expr=calico&dryRun=true", "DELETE")).toMatch(
      /^would prune docker\.io\/calico\/typha:v3\.27\.0 sha256:.*\nwould prune 1 image, \d+ bytes\n$/,
    );
    expect(await ask("/cmd/manifest/list?pattern=calico")).toContain("typha:v3.27.0");
  });

  test("without it is for real: the index, what it names and their blobs; the server fetches them anew", async () => {
    expect(await ask("/cmd/prune?type=pattern&expr=calico", "DELETE")).toMatch(/^pruned docker\.io\/calico\/typha:v3\.27\.0/);
    expect(await ask("/cmd/manifest/list?pattern=calico")).toBe("no manifests found\n");
    for (const digest of images[0]?.layers ?? []) expect(await ask(`/cmd/blob/list?substr=${digest}`)).toBe("no blobs found\n");
    const asked = upstream.requests.length;
    await pull("calico/typha", "v3.27.0");
    expect(upstream.requests.slice(asked)).toContain(`GET /v2/calico/typha/manifests/${index.manifest.descriptor.digest}`);
    await pull("library/alpine", "3");
  });

  test("by age spares what is younger, and a duration is wanted", async () => {
    expect(await ask("/cmd/prune?type=created&dur=10d&count=50", "DELETE")).toBe("pruned 0 images, 0 bytes\n");
    expect(await ask("/cmd/prune?type=accessed&dur=1h", "DELETE")).toBe("pruned 0 images, 0 bytes\n");
    const answer = await fetch(`${server.url}/cmd/prune?type=accessed`, { method: "DELETE" });
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("dur is missing")]);
  });
});

test("stop drains: the answer arrives, the process ends with 0, and its socket is gone", async () => {
  const state = join(server.imagePath, "state");
  expect((await readdir(state)).filter((name) => name.startsWith("admin")).length).toBe(2);
  expect(await ask("/cmd/stop")).toBe("stopping\n");
  expect(await server.process.ended).toMatchObject({ code: 0 });
  expect(server.process.output).toContain('"reason":"an administrator has asked for it"');
  expect((await readdir(state)).filter((name) => name.startsWith("admin"))).toEqual([]);
});

test("the server's own socket takes the same requests, from curl", async () => {
  const { stdout } = await run("curl", [
    "--silent",
    "--unix-socket",
    join(server.imagePath, "state", "admin.sock"),
    "http://admin/cmd/manifest/list?pattern=alpine",
  ]);
  expect(stdout).toContain("docker.io/library/alpine:3.20");
});
