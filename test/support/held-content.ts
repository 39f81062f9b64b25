/** HeldContent: what a fake registry holds, by repository. */
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { parseManifest, readManifestContent } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { referrersTagOf } from "../../src/oci/tag.ts";
import { buildImage, type BuiltImage, type BuiltIndex, type ImageOptions } from "./images.ts";

interface HeldRepository {
  readonly blobs: Map<string, Uint8Array>;
  readonly manifests: Map<string, HeldManifest>;
  readonly tags: Map<string, string>;
}

interface HeldManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

export class HeldContent {
  readonly #repositories = new Map<string, HeldRepository>();

  putBlob(repository: string, bytes: Uint8Array, digest: Digest): void {
    this.#of(repository).blobs.set(digest, bytes);
  }

  putManifest(repository: string, tag: string | undefined, manifest: object | Uint8Array, mediaType?: string): Digest {
    const bytes = manifest instanceof Uint8Array ? manifest : Buffer.from(JSON.stringify(manifest));
    const digest = digestOf(bytes);
    this.#of(repository).manifests.set(digest, { bytes, mediaType: mediaType ?? parseManifest(bytes).descriptor.mediaType });
    if (tag !== undefined) this.setTag(repository, tag, digest);
    return digest;
  }

  putImage(repository: string, tag: string | undefined, image: BuiltIndex | BuiltImage | ImageOptions): BuiltIndex | BuiltImage {
    const built = "manifest" in image ? image : buildImage(image);
    for (const part of "images" in built ? built.images : []) this.putImage(repository, undefined, part);
    for (const [digest, bytes] of built.blobs) this.putBlob(repository, bytes, digest);
    this.putManifest(repository, tag, built.manifest.bytes, built.manifest.descriptor.mediaType);
    return built;
  }

  putReferrersTag(repository: string, subject: Digest): Digest {
    return this.putManifest(repository, referrersTagOf(subject), referrersIndex(this.referrersOf(repository, subject)));
  }

  setTag(repository: string, tag: string, digest: string): void {
    this.#of(repository).tags.set(tag, digest);
  }

  removeTag(repository: string, tag: string): void {
    this.#of(repository).tags.delete(tag);
  }

  remove(repository: string, digest: string): void {
    this.#of(repository).blobs.delete(digest);
    this.#of(repository).manifests.delete(digest);
  }

  has(repository: string): boolean {
    return this.#repositories.has(repository);
  }

  repositories(): readonly string[] {
    return [...this.#repositories.keys()].toSorted();
  }

  findBlob(repository: string, digest: string): Uint8Array | undefined {
    return this.#of(repository).blobs.get(digest);
  }

  findManifest(repository: string, digest: string): HeldManifest | undefined {
    return this.#of(repository).manifests.get(digest);
  }

  findTagged(repository: string, tag: string): string | undefined {
    return this.#of(repository).tags.get(tag);
  }

  tagsOf(repository: string): readonly string[] {
    return [...this.#of(repository).tags.keys()].toSorted();
  }

  /** Descriptors, as JSON has them, of the manifests whose subject is `subject`. */
  referrersOf(repository: string, subject: string): readonly { readonly artifactType: string | undefined }[] {
    return [...this.#of(repository).manifests].flatMap(([digest, { bytes, mediaType }]) => {
      // Bytes that are no manifest at all may be held too: some tests want them.
      if (mediaType === mediaTypes.dockerSchema1Signed || bytes[0] !== "{".charCodeAt(0)) return [];
      const content = readManifestContent(bytes);
      if (content.subject?.digest !== subject) return [];
      return [{ mediaType, digest, size: bytes.byteLength, artifactType: content.artifactType, annotations: content.annotations }];
    });
  }

  #of(repository: string): HeldRepository {
    const held = this.#repositories.get(repository) ?? { blobs: new Map(), manifests: new Map(), tags: new Map() };
    this.#repositories.set(repository, held);
    return held;
  }
}

/** The index that a referrers list is. */
export function referrersIndex(manifests: readonly object[]): object {
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
}
