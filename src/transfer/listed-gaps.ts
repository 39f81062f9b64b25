/**
 * findListedGaps: what of an image that somebody needs is not here, by walking it as clients pull it, through the registry that
 * serves them, which may ask nobody: would it start with no network?
 */
import type { Store } from "../cache/store.ts";
import type { Digest } from "../oci/digest.ts";
import { platformName, type Platform } from "../oci/platform.ts";
import type { Registry } from "../oci/registry.ts";
import type { ListedReference } from "./listed-reference.ts";
import { walkImage } from "./image-walk.ts";
import { isBlobHeld, isLack, type ImageGap, type MissingPart } from "./image-gap.ts";

export interface ListedGapsOptions {
  readonly registry: Registry;
  readonly store: Store;
  readonly platforms: readonly Platform[] | "all";
  readonly signal: AbortSignal;
}

/** The gaps of one image, a platform at a time; none: it can be pulled with no network. Rejects with the signal's reason. */
export async function findListedGaps(listed: ListedReference, { registry, store, platforms, signal }: ListedGapsOptions): Promise<readonly ImageGap[]> {
  const { repository, reference, written } = listed;
  const missing = new Map<string | undefined, MissingPart[]>();
  const walkedManifests = new Map<Digest, { readonly platform: string | undefined; readonly config: Digest | undefined }>();
  const note = (platform: string | undefined, part: MissingPart): void => {
    missing.set(platform, [...(missing.get(platform) ?? []), part]);
  };
  const walk = walkImage(registry, repository, reference, { platforms, referrers: true, signal, mayFetch: false, purpose: "verify" });
  try {
    for await (const walked of walk) {
      if (walked.kind === "manifest") {
        const { manifest, platform, content } = walked;
        walkedManifests.set(manifest.descriptor.digest, { platform: platform && platformName(platform), config: content.blobs[0]?.digest });
      }
      // Of a signature that is listed and not here the image itself knows nothing: it starts all the same.
      if (walked.kind === "gap" && walked.role === "child") {
        note(walked.platform && platformName(walked.platform), { what: "manifest", ...named(walked.descriptor) });
      }
      if (walked.kind !== "blob" || walked.isForeign) continue;
      if (await isBlobHeld({ store, host: repository.host, descriptor: walked.descriptor })) continue;
      const parent = walkedManifests.get(walked.parent);
      note(parent?.platform, { what: walked.descriptor.digest === parent?.config ? "config" : "layer", ...named(walked.descriptor) });
    }
  } catch (error) {
    if (!isLack(error)) throw error;
    return [{ image: written, repository, platform: undefined, missing: [], reason: error.message }];
  }
  return [...missing].map(([platform, parts]) => ({ image: written, repository, platform, missing: parts }));
}

function named({ digest, sizeBytes }: { readonly digest: Digest; readonly sizeBytes: number | undefined }): { digest: Digest; sizeBytes: number | undefined } {
  return { digest, sizeBytes };
}
