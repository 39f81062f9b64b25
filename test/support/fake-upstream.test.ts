/** The fake is what other tests stand on: that it records and misbehaves as told is worth a few tests of its own. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { referrersTagOf } from "../../src/oci/tag.ts";
import { startFakeTokenService } from "./fake-token-service.ts";
import { startFakeUpstream, type FakeUpstream } from "./fake-upstream.ts";
import { buildArtifact, buildImage, buildIndex, seededBytes } from "./images.ts";
import { Throttle } from "./sending.ts";

let upstream: FakeUpstream;

beforeEach(async () => {
  upstream = await startFakeUpstream();
});

afterEach(() => upstream.close());

const get = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${upstream.url}${path}`, { redirect: "manual", ...init });

test("serves an image with its index and blobs, and records what was asked", async () => {
  const index = buildIndex([buildImage(), buildImage({ platform: "linux/arm64" })]);
  upstream.putImage("team/app", "1", index);
  const answer = await get("/v2/team/app/manifests/1");
  expect(Buffer.from(await answer.arrayBuffer())).toEqual(index.manifest.bytes);
  expect(answer.headers.get("docker-content-digest")).toBe(index.manifest.descriptor.digest);
  const layer = index.images[1]?.layers[0] ?? "";
  const part = await get(`/v2/team/app/blobs/${layer}`, { headers: { range: "bytes=2-5" } });
  expect([part.status, part.headers.get("content-range")?.slice(0, 10)]).toEqual([206, "bytes 2-5/"]);
  expect((await part.arrayBuffer()).byteLength).toBe(4);
  expect(upstream.requests).toEqual(["GET /v2/team/app/manifests/1", `GET /v2/team/app/blobs/${layer} bytes=2-5`]);
  expect(upstream.bytesSent.byPath.get(`/v2/team/app/blobs/${layer}`)).toBe(4);
  expect((await get("/v2/team/app/manifests/2")).status).toBe(404);
});

test("a rule counts: cuts the second blob answer only", async () => {
  const bytes = seededBytes(300_000);
  const digest = upstream.putBlob("a", bytes);
  upstream.when({ kind: "blob", skip: 1, times: 1 }, { cutAfterBytes: 100_000 });
  expect(Buffer.from(await (await get(`/v2/a/blobs/${digest}`)).arrayBuffer()).equals(bytes)).toBe(true);
  await expect((await get(`/v2/a/blobs/${digest}`)).arrayBuffer()).rejects.toThrow();
  expect(upstream.bytesSent.total).toBe(400_000);
  expect((await (await get(`/v2/a/blobs/${digest}`)).arrayBuffer()).byteLength).toBe(300_000);
});

test("wrong bytes have the right length, and are wrong at the same place in a part", async () => {
  const bytes = seededBytes(200_000);
  const digest = upstream.putBlob("a", bytes);
  upstream.when({ kind: "blob" }, { wrongBytes: { atBytes: 150_000 } });
  const whole = Buffer.from(await (await get(`/v2/a/blobs/${digest}`)).arrayBuffer());
  expect(whole.byteLength).toBe(200_000);
  expect(whole[150_000]).not.toBe(bytes[150_000]);
  const part = Buffer.from(await (await get(`/v2/a/blobs/${digest}`, { headers: { range: "bytes=149999-" } })).arrayBuffer());
  expect(part[1]).toBe(whole[150_000]);
  expect(part.subarray(2).equals(bytes.subarray(150_001))).toBe(true);
});

test("a pace is kept by all who share it", async () => {
  const digest = upstream.putBlob("a", seededBytes(100_000));
  upstream.when({ kind: "blob" }, { bytesPerSecond: new Throttle({ bytesPerSecond: 1_000_000 }) });
  const startMs = performance.now();
  await Promise.all([1, 2].map(async () => (await get(`/v2/a/blobs/${digest}`)).arrayBuffer()));
  expect(performance.now() - startMs).toBeGreaterThan(150);
});

test("holds an answer until the test lets go", async () => {
  const digest = upstream.putBlob("a", seededBytes(100_000));
  const gate = Promise.withResolvers<void>();
  upstream.when({ kind: "blob" }, { holdBody: { atBytes: 50_000, until: gate.promise } });
  const answer = await get(`/v2/a/blobs/${digest}`);
  await upstream.waitForBytes(50_000);
  expect(upstream.bytesSent.total).toBe(50_000);
  gate.resolve();
  expect((await answer.arrayBuffer()).byteLength).toBe(100_000);
});

test("refuses connections and comes back on the same port", async () => {
  upstream.putImage("a", "1");
  const { host } = upstream;
  await upstream.refuse();
  await expect(get("/v2/")).rejects.toThrow();
  await upstream.accept();
  expect(upstream.host).toBe(host);
  expect((await get("/v2/")).status).toBe(200);
});

test("redirects to a CDN whose URLs end and which takes no credentials", async () => {
  const digest = upstream.putBlob("a", seededBytes(1000));
  upstream.when({ kind: "blob" }, { redirectTo: "cdn" });
  const location = (await get(`/v2/a/blobs/${digest}`)).headers.get("location") ?? "";
  expect((await (await fetch(location)).arrayBuffer()).byteLength).toBe(1000);
  expect(upstream.cdn.authorizationSeen).toBe(false);
  expect((await fetch(location, { headers: { authorization: "Basic eDp5" } })).status).toBe(400);
  expect(upstream.cdn.authorizationSeen).toBe(true);
  upstream.cdn.expireAll();
  expect((await fetch(location)).status).toBe(403);
});

test("asks for a token, takes it, and refuses it once it has expired", async () => {
  await using tokens = await startFakeTokenService();
  upstream.authentication = { kind: "bearer", tokens, expiredStatus: 400 };
  upstream.putImage("a", "1");
  const challenge = (await get("/v2/a/manifests/1")).headers.get("www-authenticate");
  expect(challenge).toBe(`Bearer realm="${tokens.realm}",service="fake",scope="repository:a:pull"`);
  const { token } = (await (await fetch(`${tokens.realm}?service=fake&scope=repository:a:pull`)).json()) as { token: string };
  const headers = { authorization: `Bearer ${token}` };
  expect((await get("/v2/a/manifests/1", { headers })).status).toBe(200);
  expect((await get("/v2/b/manifests/1", { headers })).status).toBe(401);
  tokens.expireAll();
  expect((await get("/v2/a/manifests/1", { headers })).status).toBe(400);
});

describe("tags/list", () => {
  test.each(["last", "opaque"] as const)("pages by %s", async (paging) => {
    const { manifest } = upstream.putImage("a", "1");
    for (const tag of ["2", "3", "4", "5"]) upstream.setTag("a", tag, manifest.descriptor.digest);
    upstream.when({ kind: "tags" }, { tags: { pageSize: 2, paging } });
    const pages: unknown[] = [];
    for (let next: string | undefined = "/v2/a/tags/list"; next !== undefined;) {
      const answer: Response = await get(next);
      pages.push(((await answer.json()) as { tags: unknown }).tags);
      next = /<(.+)>/.exec(answer.headers.get("link") ?? "")?.[1];
    }
    expect(pages).toEqual([["1", "2"], ["3", "4"], ["5"]]);
  });
});

test("lists referrers, by the API and by the fallback tag, and as GitLab does not", async () => {
  const { manifest } = upstream.putImage("a", "1");
  const subject = manifest.descriptor.digest;
  upstream.putImage("a", undefined, buildArtifact(manifest));
  const types = async (path: string): Promise<unknown> =>
    ((await (await get(path)).json()) as { manifests: { artifactType: string }[] }).manifests.map((entry) => entry.artifactType);
  expect(await types(`/v2/a/referrers/${subject}`)).toEqual(["application/vnd.example.signature"]);
  expect(await types(`/v2/a/referrers/${subject}?artifactType=x/y`)).toEqual([]);
  upstream.putReferrersTag("a", subject);
  expect(await types(`/v2/a/manifests/${referrersTagOf(subject)}`)).toEqual(["application/vnd.example.signature"]);
  upstream.when({ kind: "manifest" }, { subjectAtFallbackTag: true });
  expect((await get(`/v2/a/manifests/${referrersTagOf(subject)}`)).headers.get("docker-content-digest")).toBe(subject);
});
