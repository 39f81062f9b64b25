/** `ociregistry verify`, as people and scripts use it: what is printed, where, and with which exit code. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { beforeAll, afterAll, beforeEach, describe, expect, test } from "vitest";
import { Layout } from "../../src/cache/layout.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache } from "../support/test-cache.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo, runLine, type Outcome } from "./captured-io.ts";
import { run } from "../../src/cli/program.ts";

let upstream: FakeUpstream;
let folder: TemporaryFolder;
let asked = 0;
const image = buildImage({ layers: [{ small: "x" }, { big: seededBytes(150_000) }] });
const [, big = ""] = image.layers;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1", image);
});

afterAll(() => upstream.close());

beforeEach(async () => {
  folder = await temporaryFolder();
  const cache = await startTestCache({ root: `${folder.path}/store`, upstreams: [upstream.host] });
  const repository = repositoryAt(upstream.host, "team/app");
  await pullManifest(cache, repository, "1");
  for (const digest of image.blobs.keys()) {
    await pullBlob(cache, repository, digest);
    await cache.cache.kept(repository.host, digest);
  }
  await cache[Symbol.asyncDispose]();
  await writeConfig({});
  asked = upstream.requests.length;
  return () => folder[Symbol.asyncDispose]();
});

async function writeConfig(more: object): Promise<void> {
  const registries = [{ name: upstream.host, scheme: "http" }];
  await writeFile(
    `${folder.path}/config.yaml`,
    JSON.stringify({ imagePath: `${folder.path}/store`, defaultNs: upstream.host, registries, logLevel: "error", ...more }),
  );
}

function verify(args = ""): Promise<Outcome> {
  return runLine(`verify --config-file ${folder.path}/config.yaml ${args}`);
}

function blobPath(): string {
  return new Layout(`${folder.path}/store`).blob(big as never);
}

async function spoil(): Promise<void> {
  const bytes = await readFile(blobPath());
  bytes[0] = (bytes[0] ?? 0) ^ 255;
  await rm(blobPath());
  await writeFile(blobPath(), bytes);
}

function requests(): readonly string[] {
  return upstream.requests.slice(asked);
}

describe("verify", () => {
  test("says that all is right, and how much that is", async () => {
    const { code, out, errors } = await verify();
    expect(out).toMatch(/^1 image, 4 blobs, 1\d\d KiB in \d.*s: all right\n$/);
    expect(errors).toBe("");
    expect(code).toBe(0);
    expect(requests()).toEqual([]);
  });

  test("names what is damaged, where it lies now and to whom it belongs; the exit code says so", async () => {
    await spoil();
    const { code, out } = await verify();
    const lines = out.split("\n");
    expect(lines[0]).toMatch(new RegExp(`^damaged     ${big} 14\\d KiB: its bytes are sha256:[0-9a-f]{64}; put aside as ${folder.path}/store/quarantine/`));
    expect(lines[1]).toBe(`belongs to  ${big} of ${upstream.host}/team/app`);
    expect(lines[2]).toMatch(/: 1 damaged$/);
    expect(code).toBe(1);
    expect(requests()).toEqual([]);
  });

  test("with --repair fetches it again", async () => {
    await spoil();
    const { code, out } = await verify("--repair");
    expect(out).toContain(`repaired    ${big} of ${upstream.host}/team/app\n`);
    expect(out).toMatch(/: 1 damaged, 1 repaired\n$/);
    expect(code).toBe(0);
    expect(requests()).toEqual([`GET /v2/team/app/blobs/${big}`]);
    expect((await verify()).out).toContain("all right");
  });

  test("asks nobody for a repair in air-gapped mode, and says why", async () => {
    await spoil();
    await writeConfig({ airGapped: true });
    const { code, out } = await verify("--repair=true");
    expect(out).toMatch(new RegExp(`unrepaired  ${big} of .*: .*not held`));
    expect(code).toBe(1);
    expect(requests()).toEqual([]);
  });

  test("as JSON: an object a line, the last one sums up", async () => {
    await spoil();
    const { out } = await verify("--json");
    const objects = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string });
    expect(objects).toMatchObject([
      { kind: "damaged", digest: big },
      { kind: "owners", digest: big, repositories: [`${upstream.host}/team/app`] },
      { kind: "summary", images: 1, damaged: 1, isGood: false },
    ]);
  });
});

describe("verify --images", () => {
  async function lists(text: string, args = ""): Promise<Outcome> {
    await writeFile(`${folder.path}/images.txt`, text);
    return verify(`--images ${folder.path}/images.txt ${args}`);
  }

  test("says that they would start with no network", async () => {
    const { code, out } = await lists("team/app:1\n");
    expect([code, out]).toEqual([0, "1 image: all can be pulled with no network, for linux/amd64\n"]);
    expect(requests()).toEqual([]);
  });

  test("names everything that is missing, and fails", async () => {
    await rm(blobPath());
    const { code, out } = await lists("team/app:1\nteam/none:2\n");
    expect(out.split("\n")).toEqual([
      "incomplete  team/app:1: 1 part missing",
      expect.stringMatching(new RegExp(`^  layer     ${big} 14\\d KiB$`)),
      `incomplete  team/none:2: no tag 2 of ${upstream.host}/team/none is held here, and it may not be fetched`,
      "2 images: 2 could not be pulled with no network, for linux/amd64",
      "",
    ]);
    expect(code).toBe(1);
    expect(requests()).toEqual([]);
  });

  test("a line that is none is told with its place, and fails, though the rest would start", async () => {
    const { code, out, errors } = await lists("team/app:1\nUPPER CASE\n");
    expect(errors).toContain(`ociregistry: ${folder.path}/images.txt:2: `);
    expect([code, out]).toEqual([1, "1 image: all can be pulled with no network, for linux/amd64\n"]);
  });

  test("of an empty list nobody can say that it would start", async () => {
    expect(await lists("# nothing\n")).toMatchObject({ code: 1, out: "no image is named there\n" });
  });

  test("reads what kubectl writes from stdin", async () => {
    const io = new CapturedIo();
    const pods = `apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - name: app\n      image: ${upstream.host}/team/app:1\n`;
    Object.assign(io, {
      async *input() {
        yield Buffer.from(pods);
      },
    });
    expect(await run(["verify", "--config-file", `${folder.path}/config.yaml`, "--images", "-"], io)).toBe(0);
    expect(io.out).toContain("1 image: all can be pulled");
  });
});

test.each([
  ["--jobs 0", '--jobs: "0" is not a whole number from 1 to 32'],
  ["--rate fast", '--rate: "fast" is not a size such as 50MiB'],
  ["--platform linux", '--platform: "linux" is not os/arch'],
])("%s is misuse", async (args, problem) => {
  const { code, errors } = await verify(args);
  expect([code, errors]).toEqual([2, expect.stringContaining(problem)]);
});
