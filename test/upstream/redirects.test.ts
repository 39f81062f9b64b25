import { describe, expect, test } from "vitest";
import { digestOf, parseDigest } from "../../src/oci/digest.ts";
import { startCanary } from "../support/canary.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { pullBlob, pullManifest, startTestCache } from "../support/test-cache.ts";
import { call, failureOf, listedAs, readAll, repositoryAt, startUpstreams } from "./asking.ts";

const bytes = Buffer.from("the content of a blob");
const digest = digestOf(bytes);
const path = `/v2/team/app/blobs/${digest}`;

async function setUp() {
  const stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeUpstream());
  fake.putBlob("team/app", bytes);
  const upstreams = stack.use(startUpstreams([listedAs(fake)]));
  const get = async (ranges?: readonly { startBytes: number }[]) => {
    await using blob = await upstreams.getBlob(repositoryAt(fake.host), digest, { ...call(), ...(ranges ? { ranges } : {}) });
    return readAll(blob);
  };
  return { fake, get, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe("a redirect", () => {
  test.each([301, 302, 303, 307, 308])("of status %s is followed, with the Range", async (redirectStatus) => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: "cdn", redirectStatus });
    expect((await set.get([{ startBytes: 4 }])).toString()).toBe("content of a blob");
    expect(set.fake.requests).toEqual([`GET ${path} bytes=4-`]);
    expect(set.fake.cdn.requests).toEqual([`GET /signed/${digest}?signature=1 bytes=4-`]);
  });

  test("is asked for anew each time: its target is good for minutes only", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: "cdn" });
    await set.get();
    await set.get();
    expect(set.fake.requests).toHaveLength(2);
    expect(set.fake.cdn.requests.map((line) => line.at(-1))).toEqual(["1", "2"]);
  });

  test.each([401, 403, 410])("whose target has run out (%s) is asked for once more", async (status) => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: "cdn" });
    set.fake.cdn.when({ kind: "blob", times: 1 }, { status });
    expect((await set.get()).equals(bytes)).toBe(true);
    expect(set.fake.requests).toHaveLength(2);
    expect(set.fake.cdn.requests).toHaveLength(2);
  });

  test("whose target keeps refusing is unusable, not a denial", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: "cdn" });
    set.fake.cdn.when({ kind: "blob" }, { status: 403 });
    const error = await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    expect(error.message).not.toContain("signature");
    expect(set.fake.cdn.requests).toHaveLength(2);
  });

  test("in a circle ends after five", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: path });
    await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
    expect(set.fake.requests).toHaveLength(6);
  });

  test.each(["ftp://127.0.0.1/x", "http://user:pass@127.0.0.1/x", "http://:pass@127.0.0.1/x", `http://${"a".repeat(300)}/`, "http://"])(
    "to %s is not followed",
    async (redirectTo) => {
      await using set = await setUp();
      set.fake.when({ kind: "blob" }, { redirectTo });
      await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
      expect(set.fake.requests).toHaveLength(1);
    },
  );

  test("to a place that the registry may not send us to is not dialled", async () => {
    await using set = await setUp();
    await using canary = await startCanary();
    // 169.254/16 is for those who are listed literally; the port is the canary's, should anything turn it into loopback.
    for (const target of [
      `http://169.254.169.254:${canary.port}/latest/meta-data`,
      `http://[fe80::1]:${canary.port}/`,
      `http://0.0.0.0:${canary.port}/`,
      "http://10.255.255.1/",
    ]) {
      const stop = set.fake.when({ kind: "blob" }, { redirectTo: target });
      const error = await failureOf(set.get(), "UPSTREAM_UNAVAILABLE");
      expect(error.message).toContain("not a public address");
      stop();
    }
    expect(canary.connections).toBe(0);
    expect((await set.get()).equals(bytes)).toBe(true);
  });

  test("of everything leads to where it all lies, and the token that only /v2/ asks for is never bought", async () => {
    await using canary = await startCanary();
    await using front = await startFakeUpstream();
    await using behind = await startFakeUpstream();
    const { manifest, blobs } = behind.putImage("team/app", "latest");
    const [blobDigest] = [...blobs.keys()];
    const paths = [`manifests/latest`, `manifests/${manifest.descriptor.digest}`, `blobs/${blobDigest}`].map((rest) => `/v2/team/app/${rest}`);
    for (const at of paths) front.when({ path: at }, { redirectTo: `${behind.url}${at}` });
    front.when({ kind: "ping" }, { status: 401, headers: { "www-authenticate": `Bearer realm="http://${canary.host}/token",service="front"` } });
    await using cache = await startTestCache({ upstreams: [front.host] });
    const repository = repositoryAt(front.host);
    expect((await pullManifest(cache, repository, "latest")).descriptor).toEqual(manifest.descriptor);
    expect((await pullBlob(cache, repository, blobDigest ?? "")).bytes.equals(blobs.get(parseDigest(blobDigest ?? "")) ?? Buffer.alloc(0))).toBe(true);
    const asked = [`HEAD ${paths[0]}`, `GET ${paths[1]}`, `GET ${paths[2]}`];
    expect(front.requests).toEqual(asked);
    expect(behind.requests).toEqual(asked);
    expect(canary.connections).toBe(0);
  });

  test("within loopback is followed for a listed registry on loopback", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "blob" }, { redirectTo: `${set.fake.cdn.url.replace("127.0.0.1", "localhost")}/nothing` });
    await failureOf(set.get(), "BLOB_UNKNOWN");
    expect(set.fake.cdn.requests).toEqual(["GET /nothing"]);
  });
});
