import { OfflineRegistry } from "../../src/upstream/offline.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache } from "../support/test-cache.ts";
import { describeRegistryContract, type ContractContent } from "./registry-contract.ts";

function fill(upstream: FakeUpstream, { path, tags, manifests, blobs }: ContractContent): void {
  for (const bytes of blobs.values()) upstream.putBlob(path, bytes);
  for (const { bytes, mediaType } of manifests.values()) upstream.putManifest(path, undefined, bytes, mediaType);
  for (const [tag, digest] of tags) upstream.setTag(path, tag, digest);
}

describeRegistryContract("a cache that holds nothing yet", async (content) => {
  const upstream = await startFakeUpstream();
  fill(upstream, content);
  const rig = await startTestCache({ upstreams: [upstream.host] });
  return {
    registry: rig.cache,
    repository: repositoryAt(upstream.host, content.path),
    close: async () => (await rig[Symbol.asyncDispose](), await upstream.close()),
  };
});

describeRegistryContract("a cache that holds everything, with no network", async (content) => {
  const upstream = await startFakeUpstream();
  fill(upstream, content);
  const online = await startTestCache({ upstreams: [upstream.host] });
  const repository = repositoryAt(upstream.host, content.path);
  for (const reference of [...content.tags.keys(), ...content.manifests.keys()]) await pullManifest(online, repository, reference);
  for (const digest of content.blobs.keys()) await pullBlob(online, repository, digest);
  await online.store.background.settled();
  await upstream.close();
  const offline = await startTestCache({ upstreams: [], root: online.store.layout.root, freshness: { airGapped: true }, wrap: () => new OfflineRegistry() });
  return { registry: offline.cache, repository, close: async () => (await offline[Symbol.asyncDispose](), await online[Symbol.asyncDispose]()) };
});
