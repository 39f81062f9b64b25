import { MemoryRegistry } from "../support/memory-registry.ts";
import { parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import { contractHost, describeRegistryContract } from "./registry-contract.ts";

describeRegistryContract("a registry in memory", async (content) => {
  const registry = new MemoryRegistry();
  const repository = repositoryOf(contractHost, parseRepositoryPath(content.path));
  for (const { bytes, mediaType } of content.manifests.values()) registry.putManifest(repository, bytes, { contentType: mediaType });
  for (const [tag, digest] of content.tags) registry.putManifest(repository, content.manifests.get(digest)?.bytes ?? "", { tags: [tag] });
  for (const bytes of content.blobs.values()) registry.putBlob(repository, bytes);
  return { registry, repository, close: async () => {} };
});
