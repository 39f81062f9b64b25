/** Every way to say which registry is meant, over real sockets: one image, one upstream, the same requests there. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, type BuiltImage } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

/** Tags that look like other parts of a URL. */
const oddTags = ["v2", "blobs", "manifests", "tags", "list"];

let folder: TemporaryFolder;
let upstream: FakeUpstream;
let server: OurServer;
let image: BuiltImage;

beforeAll(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  image = buildImage();
  for (const repository of ["library/app", "team/app", "google.com/team/app"]) upstream.putImage(repository, "1", image);
  for (const tag of oddTags) upstream.putImage("library/app", tag, image);
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
  ["ns with the default port", "/v2/library/app/manifests/1?ns=docker.io:443", {}],
  ["ns in capitals", "/v2/library/app/manifests/1?ns=DOCKER.IO", {}],
  ["a prefix with the default port", "/docker.io:443/v2/library/app/manifests/1", {}],
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

test.each(oddTags)("a tag may be called %s, after a prefix too", async (tag) => {
  for (const path of [`/v2/app/manifests/${tag}`, `/docker.io/v2/library/app/manifests/${tag}?ns=docker.io`]) {
    const answer = await get(path);
    expect([answer.status, answer.headers.get("docker-content-digest")]).toEqual([200, image.manifest.descriptor.digest]);
  }
  expect(upstream.requests.filter((line) => line !== "GET /v2/")).toEqual(Array(2).fill(`HEAD /v2/library/app/manifests/${tag}`));
});

test.each([
  ["beside another registry", (host: string) => `/v2/google.com/team/app/manifests/1?ns=${host}`],
  ["behind a prefix", (host: string) => `/${host}/v2/google.com/team/app/manifests/1`],
  ["where it is not listed", () => "/v2/google.com/team/app/manifests/1"],
])("a name's first segment that looks like a host is part of the name %s", async (_, path) => {
  expect((await get(path(upstream.host))).status).toBe(200);
  expect(upstream.requests.filter((line) => !line.includes("sha256:") && line !== "GET /v2/")).toEqual(["HEAD /v2/google.com/team/app/manifests/1"]);
});

test.each([
  ["two forms that disagree", "/v2/up/team/app/manifests/1?ns=docker.io", {}, 400, "NAME_INVALID"],
  ["two namespaces", "/v2/team/app/manifests/1?ns=docker.io&ns=up", {}, 400, "NAME_INVALID"],
  ["a prefix and a namespace that disagree", "/hub/v2/team/app/manifests/1?ns=up", {}, 400, "NAME_INVALID"],
  ["a header that disagrees", "/v2/hub/team/app/manifests/1", { "x-registry": "up" }, 400, "NAME_INVALID"],
  ["a forgotten override_path", "/v2/docker.io/v2/library/app/manifests/1", {}, 404, "NAME_UNKNOWN"],
  ["a name with capitals", "/v2/docker.io/library/App/manifests/1", {}, 400, "NAME_INVALID"],
  ["a tag that is none", "/v2/app/manifests/-1", {}, 400, "TAG_INVALID"],
  ["a digest that is none", "/v2/app/blobs/sha256:abc", {}, 400, "DIGEST_INVALID"],
  ["a name that is too long", `/v2/${"a/".repeat(130)}a/manifests/1`, {}, 400, "NAME_INVALID"],
])("%s is refused by name, and nobody is asked", async (_, path, headers, status, code) => {
  const answer = await get(path, headers);
  expect([answer.status, await answer.json()]).toEqual([status, { errors: [expect.objectContaining({ code, message: expect.any(String) })] }]);
  expect(upstream.requests.filter((line) => line !== "GET /v2/")).toEqual([]);
});

test("a registry that is not listed is refused in words, and nobody is asked", async () => {
  const answer = await get("/v2/team/app/manifests/1?ns=registry.example.test");
  expect([answer.status, await answer.json()]).toEqual([403, { errors: [expect.objectContaining({ code: "DENIED" })] }]);
  expect(upstream.requests).toEqual([]);
});
