import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { listedAs, repositoryAt, startUpstreams } from "../upstream/asking.ts";
import { describeRegistryContract, type ContractContent } from "./registry-contract.ts";

function fill(upstream: FakeUpstream, { path, tags, manifests, blobs }: ContractContent): void {
  for (const bytes of blobs.values()) upstream.putBlob(path, bytes);
  for (const { bytes, mediaType } of manifests.values()) upstream.putManifest(path, undefined, bytes, mediaType);
  for (const [tag, digest] of tags) upstream.setTag(path, tag, digest);
}

describeRegistryContract("an upstream", async (content) => {
  const upstream = await startFakeUpstream();
  fill(upstream, content);
  const upstreams = startUpstreams([listedAs(upstream)]);
  return { registry: upstreams, repository: repositoryAt(upstream.host, content.path), close: async () => (await upstreams.close(), await upstream.close()) };
});

describeRegistryContract("an upstream with tokens and a CDN, behind a mirror that lacks everything", async (content) => {
  const mirror = await startFakeUpstream();
  const upstream = await startFakeUpstream({ redirectsBlobs: true });
  const tokens = await startFakeTokenService();
  upstream.authentication = { kind: "bearer", tokens };
  upstream.cdn.refusesHead = true;
  fill(upstream, content);
  const upstreams = startUpstreams([listedAs(upstream, { endpoints: [{ url: mirror.url }] })]);
  const close = async (): Promise<void> => {
    await upstreams.close();
    for (const server of [mirror, upstream, tokens]) await server.close();
  };
  return { registry: upstreams, repository: repositoryAt(upstream.host, content.path), close };
});
