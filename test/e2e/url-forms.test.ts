/** Every way to say which registry is meant, over real sockets: one image, one upstream, the same requests there. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, type BuiltImage } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

let folder: TemporaryFolder;
let upstream: FakeUpstream;
let server: OurServer;
let image: BuiltImage;

beforeAll(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  image = buildImage();
  for (const repository of ["library/app", "team/app"]) upstream.putImage(repository, "1", image);
  await mkdir(join(folder.path, "server"));
  const config = {
    tagTtl: "0s",
    unlistedRegistries: "deny",
    registries: [
      { name: upstream.host, scheme: "http", aliases: ["up"] },
      { name: "docker.io", aliases: ["hub"], endpoints: [upstream.url], originFallback: false },
    ],
  };
  server = await startOurServer({ folder: join(folder.path, "server"), config });
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await upstream?.close();
  await folder?.[Symbol.asyncDispose]();
});

beforeEach(() => upstream.forget());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${server.url}${path}`, { headers, redirect: "manual" });

test.each([
  ["a host in the path", "/v2/docker.io/library/app/manifests/1", {}],
  ["an alias in the path", "/v2/hub/library/app/manifests/1", {}],
  ["an official image by its short name", "/v2/docker.io/app/manifests/1", {}],
  ["no registry at all", "/v2/library/app/manifests/1", {}],
  ["no registry, short name", "/v2/app/manifests/1", {}],
  ["ns", "/v2/library/app/manifests/1?ns=docker.io", {}],
  ["ns with an alias", "/v2/library/app/manifests/1?ns=hub", {}],
  ["ns with Docker Hub's other name", "/v2/library/app/manifests/1?ns=registry-1.docker.io", {}],
  ["ns and a host in the path that agree", "/v2/docker.io/library/app/manifests/1?ns=docker.io", {}],
  ["a prefix", "/docker.io/v2/library/app/manifests/1", {}],
  ["a prefix and ns", "/docker.io/v2/library/app/manifests/1?ns=docker.io", {}],
  ["an alias for a prefix", "/hub/v2/library/app/manifests/1", {}],
  ["the X-Registry header", "/v2/library/app/manifests/1", { "x-registry": "docker.io" }],
  ["the X-Registry header with an alias", "/v2/library/app/manifests/1", { "x-registry": "hub" }],
])("%s means Docker Hub's library/app", async (_, path, headers) => {
  const answer = await get(path, headers);
  expect([answer.status, answer.headers.get("docker-content-digest")]).toEqual([200, image.manifest.descriptor.digest]);
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(Buffer.from(image.manifest.bytes));
  expect(upstream.requests.filter((line) => !line.includes("sha256:") && line !== "GET /v2/")).toEqual(["HEAD /v2/library/app/manifests/1"]);
});

test.each([
  ["an alias in the path", () => "/v2/up/team/app/manifests/1", {}],
  ["ns with a port", () => `/v2/team/app/manifests/1?ns=${upstream.host}`, {}],
  ["a prefix with a port", () => `/${upstream.host}/v2/team/app/manifests/1`, {}],
])("%s means the registry at a port", async (_, path, headers) => {
  const answer = await get(path(), headers);
  expect([answer.status, answer.headers.get("docker-content-digest")]).toEqual([200, image.manifest.descriptor.digest]);
  expect(upstream.requests.filter((line) => !line.includes("sha256:") && line !== "GET /v2/")).toEqual(["HEAD /v2/team/app/manifests/1"]);
});

test("two forms that disagree are refused, and nobody is asked", async () => {
  const answer = await get("/v2/up/team/app/manifests/1?ns=docker.io");
  expect([answer.status, await answer.json()]).toEqual([400, { errors: [expect.objectContaining({ code: "NAME_INVALID" })] }]);
  expect(upstream.requests).toEqual([]);
});

test("a registry that is not listed is refused in words, and nobody is asked", async () => {
  const answer = await get("/v2/team/app/manifests/1?ns=registry.example.test");
  expect([answer.status, await answer.json()]).toEqual([403, { errors: [expect.objectContaining({ code: "DENIED" })] }]);
  expect(upstream.requests).toEqual([]);
});
