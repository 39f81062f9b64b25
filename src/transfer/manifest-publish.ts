/** publishManifests: the manifests of an image whose blobs are all here become visible: children before parents, tags last. */
import type { LoadContext } from "./load-context.ts";
import type { WalkedManifest } from "./walked.ts";

export interface PublishOptions {
  /** When the upstream was asked what tags mean and what refers to what, in milliseconds since 1970. */
  readonly checkedAtMs: number;
  /** What refers to each was asked of the upstream itself, and is known now. */
  readonly tellsReferrers: boolean;
}

/** `manifests` parents first, as a walk tells them. Throws `DepositRefused`, `StoreUnwritable`, and the signal's reason. */
export async function publishManifests(
  { repository, parts, options }: Pick<LoadContext, "repository" | "parts" | "options">,
  manifests: readonly WalkedManifest[],
  { checkedAtMs, tellsReferrers }: PublishOptions,
): Promise<void> {
  const { deposits, store } = parts;
  options.signal.throwIfAborted();
  for (const { manifest, outcome } of manifests.toReversed()) {
    const { digest, mediaType } = manifest.descriptor;
    if (outcome !== "hit") await deposits.manifest(repository, { bytes: manifest.bytes, mediaType, digest });
  }
  for (const { manifest, tags = [] } of manifests) {
    for (const tag of tags) await deposits.tag(repository, tag, manifest.descriptor.digest, { checkedAtMs });
  }
  if (!tellsReferrers) return;
  for (const { role, manifest } of manifests) {
    const { digest } = manifest.descriptor;
    if (role === "referrer") continue;
    const referring = manifests.filter(({ subject, content }) => subject === digest && content.subject?.digest === digest);
    const answer = { manifests: referring.map((referrer) => listed(referrer)), checkedAtMs };
    await store.whereWritable(() => store.referrers.putAnswer(repository, digest, answer));
  }
}

/** A referrer as a registry lists it. */
function listed({ manifest: { descriptor }, content: { artifactType, annotations } }: WalkedManifest) {
  return { ...descriptor, ...(artifactType ? { artifactType } : {}), ...(annotations ? { annotations } : {}) };
}
