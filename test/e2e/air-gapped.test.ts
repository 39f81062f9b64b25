/** Air-gapped: what is held is served, what is not is unknown, and nobody is ever dialled: a canary stands where the upstream stood. */
import { expect, test } from "vitest";
import { startCanary } from "../support/canary.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServerOptions } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const unknownDigest = `sha256:${"0".repeat(64)}`;

test("what is held is served without a warning, the rest is 404, and nobody is dialled", async () => {
  await using folder = await temporaryFolder();
  const upstream = await startFakeUpstream();
  const { manifest, blobs } = upstream.putImage("team/app", "1");
  const configured = (more: Record<string, unknown>): OurServerOptions["config"] => ({ tagTtl: "0s", ...more });
  const paths = ["manifests/1", ...[...blobs.keys()].map((digest) => `blobs/${digest}`)];
  {
    await using online = await startOurServer({
      folder: folder.path,
      config: configured({ registries: [{ name: "registry.test", scheme: "http", endpoints: [upstream.url], originFallback: false }] }),
    });
    for (const path of paths) expect((await fetch(`${online.url}/v2/registry.test/team/app/${path}`)).status).toBe(200);
  }
  await upstream.close();
  await using canary = await startCanary();
  const url = `http://${canary.host}`;
  await using server = await startOurServer({
    folder: folder.path,
    config: configured({ airGapped: true, registries: [{ name: "registry.test", scheme: "http", endpoints: [url], originFallback: false }] }),
    env: { HTTP_PROXY: url, HTTPS_PROXY: url },
  });
  const get = (path: string): Promise<Response> => fetch(`${server.url}/v2/registry.test/team/app/${path}`);
  for (const path of [...paths, `manifests/${manifest.descriptor.digest}`, "tags/list", `referrers/${manifest.descriptor.digest}`]) {
    const answer = await get(path);
    expect([answer.status, answer.headers.get("warning")], path).toEqual([200, null]);
  }
  for (const [path, code] of [
    ["manifests/2", "MANIFEST_UNKNOWN"],
    [`manifests/${unknownDigest}`, "MANIFEST_UNKNOWN"],
    [`blobs/${unknownDigest}`, "BLOB_UNKNOWN"],
  ] as const) {
    const answer = await get(path);
    expect([answer.status, await answer.json()], path).toEqual([404, { errors: [expect.objectContaining({ code })] }]);
    expect((await fetch(answer.url, { method: "HEAD" })).status).toBe(404);
  }
  expect((await fetch(`${server.url}/v2/other.test/team/app/tags/list`)).status).toBe(404);
  expect(await (await get(`referrers/${unknownDigest}`)).json()).toMatchObject({ manifests: [] });
  expect(await (await fetch(`${server.url}/readyz`)).json()).toMatchObject({ status: "ready" });
  expect(canary.connections).toBe(0);
});
