import { describe, expect, test } from "vitest";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { passwordAuth } from "../support/password-auth.ts";
import { seededBytes } from "../support/images.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache } from "../support/test-cache.ts";

const secret = seededBytes(300_000, "secret layer");
const digest = digestOf(secret);

/** A manifest that names the secret layer, as anybody could write one. */
const forged = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: `sha256:${"1".repeat(64)}`, size: 2 },
    layers: [{ mediaType: mediaTypes.ociLayerGzip, digest, size: secret.length }],
  }),
);

async function arrange() {
  const owner = await startFakeUpstream();
  const stranger = await startFakeUpstream();
  owner.putBlob("team/private", secret);
  owner.putManifest("team/private", "1", forged, mediaTypes.ociManifest);
  stranger.putManifest("evil/forged", "1", forged, mediaTypes.ociManifest);
  const rig = await startTestCache({ upstreams: [owner.host, stranger.host] });
  return { owner, stranger, rig, [Symbol.asyncDispose]: async () => (await rig[Symbol.asyncDispose](), await owner.close(), await stranger.close()) };
}

describe("bytes of one registry", () => {
  test("are not opened to another's clients by a forged manifest: the other registry must deliver them itself", async () => {
    await using all = await arrange();
    const { owner, stranger, rig } = all;
    await pullBlob(rig, repositoryAt(owner.host, "team/private"), digest);
    await rig.store.background.settled();
    const evil = repositoryAt(stranger.host, "evil/forged");
    await pullManifest(rig, evil, "1");
    await expect(pullBlob(rig, evil, digest)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    expect(stranger.requests.at(-1)).toBe(`GET /v2/evil/forged/blobs/${digest}`);
    stranger.putBlob("evil/honest", secret);
    const honest = repositoryAt(stranger.host, "evil/honest");
    expect((await pullBlob(rig, honest, digest)).bytes.equals(secret)).toBe(true);
    expect(stranger.requests.at(-1)).toBe(`GET /v2/evil/honest/blobs/${digest}`);
  });

  test("are not opened while they arrive either", async () => {
    await using all = await arrange();
    const { owner, stranger, rig } = all;
    const gate = Promise.withResolvers<void>();
    owner.when({ kind: "blob" }, { holdBody: { atBytes: 100_000, until: gate.promise } });
    const arriving = pullBlob(rig, repositoryAt(owner.host, "team/private"), digest);
    await owner.waitForRequests(1);
    await expect(pullBlob(rig, repositoryAt(stranger.host, "evil/forged"), digest)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    gate.resolve();
    await arriving;
  });
});

describe("another repository of the same registry", () => {
  test("shows a held blob when a manifest held there names it, without asking", async () => {
    await using all = await arrange();
    const { owner, rig } = all;
    owner.putManifest("team/fork", "1", forged, mediaTypes.ociManifest);
    await pullBlob(rig, repositoryAt(owner.host, "team/private"), digest);
    await rig.store.background.settled();
    const fork = repositoryAt(owner.host, "team/fork");
    await pullManifest(rig, fork, "1");
    owner.forget();
    expect((await pullBlob(rig, fork, digest)).outcome).toBe("hit");
    expect(owner.requests).toEqual([]);
  });

  test("is asked by HEAD when nothing here names it, once, and a no is a no", async () => {
    await using all = await arrange();
    const { owner, rig } = all;
    owner.putBlob("team/other", secret);
    await pullBlob(rig, repositoryAt(owner.host, "team/private"), digest);
    await rig.store.background.settled();
    owner.forget();
    const other = repositoryAt(owner.host, "team/other");
    expect((await pullBlob(rig, other, digest)).outcome).toBe("hit");
    expect((await pullBlob(rig, other, digest)).outcome).toBe("hit");
    await expect(pullBlob(rig, repositoryAt(owner.host, "team/none"), digest)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    expect(owner.requests).toEqual([`HEAD /v2/team/other/blobs/${digest}`, `HEAD /v2/team/none/blobs/${digest}`]);
  });

  test("joins an arriving blob only when it may show it", async () => {
    await using all = await arrange();
    const { owner, rig } = all;
    owner.putBlob("team/other", secret);
    const gate = Promise.withResolvers<void>();
    owner.when({ kind: "blob", method: "GET" }, { holdBody: { atBytes: 100_000, until: gate.promise } });
    const first = pullBlob(rig, repositoryAt(owner.host, "team/private"), digest);
    await owner.waitForRequests(1);
    const second = pullBlob(rig, repositoryAt(owner.host, "team/other"), digest);
    await expect(pullBlob(rig, repositoryAt(owner.host, "team/none"), digest)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    gate.resolve();
    expect((await first).bytes.equals(secret)).toBe(true);
    expect((await second).bytes.equals(secret)).toBe(true);
    expect(owner.requests.filter((request) => request.startsWith("GET"))).toHaveLength(1);
  });
});

test("a registry that crawls does not delay another's readers of the same digest", async () => {
  await using all = await arrange();
  const { owner, stranger, rig } = all;
  stranger.putBlob("evil/slow", secret);
  stranger.when({ kind: "blob" }, { silent: "after headers" });
  const crawling = pullBlob(rig, repositoryAt(stranger.host, "evil/slow"), digest).catch(() => "given up");
  await stranger.waitForRequests(1);
  expect((await pullBlob(rig, repositoryAt(owner.host, "team/private"), digest)).bytes.equals(secret)).toBe(true);
  await stranger.close();
  await rig.cache.close();
  await crawling;
});

describe("public bytes", () => {
  test("that one registry delivered to anybody serve another's clients without a second download", async () => {
    await using open = await startFakeUpstream();
    await using other = await startFakeUpstream();
    open.putBlob("library/base", secret);
    other.putManifest("team/app", "1", forged, mediaTypes.ociManifest);
    await using rig = await startTestCache({ upstreams: [{ host: open.host, public: true }, other.host] });
    await pullBlob(rig, repositoryAt(open.host, "library/base"), digest);
    await rig.store.background.settled();
    const app = repositoryAt(other.host, "team/app");
    await pullManifest(rig, app, "1");
    expect((await pullBlob(rig, app, digest)).outcome).toBe("hit");
    expect(other.requests.filter((request) => request.includes("/blobs/"))).toEqual([]);
  });

  test("are not public when a credential was needed for them", async () => {
    await using open = await startFakeUpstream();
    await using other = await startFakeUpstream();
    open.putBlob("library/base", secret);
    open.authentication = { kind: "basic", name: "u", password: "p" };
    other.putManifest("team/app", "1", forged, mediaTypes.ociManifest);
    await using rig = await startTestCache({ upstreams: [{ host: open.host, public: true, auth: passwordAuth("u", "p") }, other.host] });
    await pullBlob(rig, repositoryAt(open.host, "library/base"), digest);
    await rig.store.background.settled();
    const app = repositoryAt(other.host, "team/app");
    await pullManifest(rig, app, "1");
    await expect(pullBlob(rig, app, digest)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
  });
});
