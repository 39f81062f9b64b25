/** MemoryRegistry: a registry of what a test puts in; it can be told to fail, to wait, and to break off. */
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { OciError } from "../../src/oci/errors.ts";
import { parseManifest, readManifestContent, type Manifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { resolveRanges } from "../../src/oci/ranges.ts";
import { referenceName, type Reference } from "../../src/oci/reference.ts";
import type { Answered, BlobCall, BlobContent, Call, Referrers, ReferrersCall, Registry, TagsCall, TagsPage } from "../../src/oci/registry.ts";
import { repositoryName, type Repository } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";

interface Held {
  readonly manifests: Map<Digest, Manifest>;
  readonly tags: Map<string, Digest>;
  readonly blobs: Map<Digest, Uint8Array>;
}

export interface BlobBehaviour {
  /** Waited for before the bytes from this position on are given. */
  readonly gate?: { readonly positionBytes: number; readonly opened: Promise<void> };
  /** Reads fail once this position is reached. */
  readonly failAtBytes?: number;
  /** The size is not told. */
  readonly sizeUnknown?: boolean;
  /** No read gives more than so many bytes. */
  readonly pieceBytes?: number;
}

export class MemoryRegistry implements Registry {
  readonly #held = new Map<string, Held>();
  /** What was asked, as `getManifest docker.io/library/alpine latest`. */
  readonly calls: string[] = [];
  /** The last call as it came. */
  lastCall: Call | undefined;
  /** Said with every answer. */
  answered: Answered = { outcome: "hit", warnings: [] };
  /** Thrown by every call while set. */
  failure: Error | undefined;
  blobBehaviour: BlobBehaviour = {};
  /** Blobs that are open now, and how many were disposed of. */
  openBlobs = 0;
  disposedBlobs = 0;

  putManifest(
    repository: Repository,
    bytes: Uint8Array | string,
    { tags = [], contentType, algorithm }: { tags?: readonly string[]; contentType?: string; algorithm?: "sha256" | "sha512" } = {},
  ): Manifest {
    const manifest = parseManifest(Buffer.from(bytes), { contentType, ...(algorithm ? { algorithm } : {}) });
    const held = this.#heldIn(repository);
    held.manifests.set(manifest.descriptor.digest, manifest);
    for (const tag of tags) held.tags.set(parseTag(tag), manifest.descriptor.digest);
    return manifest;
  }

  putBlob(repository: Repository, bytes: Uint8Array, algorithm: "sha256" | "sha512" = "sha256"): Digest {
    const digest = digestOf(bytes, algorithm);
    this.#heldIn(repository).blobs.set(digest, bytes);
    return digest;
  }

  async getManifest(repository: Repository, reference: Reference, call: Call): Promise<Manifest & Answered> {
    this.#note("getManifest", repository, call, referenceName(reference));
    const manifest = this.#manifestOf(repository, reference);
    return { descriptor: manifest.descriptor, bytes: manifest.bytes, ...this.answered };
  }

  async headManifest(repository: Repository, reference: Reference, call: Call): Promise<Descriptor & Answered> {
    this.#note("headManifest", repository, call, referenceName(reference));
    return { ...this.#manifestOf(repository, reference).descriptor, ...this.answered };
  }

  async getBlob(repository: Repository, digest: Digest, call: BlobCall): Promise<BlobContent & Answered> {
    this.#note("getBlob", repository, call, digest, ...(call.ranges ? [JSON.stringify(call.ranges)] : []));
    const bytes = this.#blobOf(repository, digest);
    const ranges = call.ranges && resolveRanges(call.ranges, bytes.byteLength);
    this.openBlobs += 1;
    const content = new MemoryBlob(bytes, this.blobBehaviour, () => {
      this.openBlobs -= 1;
      this.disposedBlobs += 1;
    });
    const { sizeUnknown = false } = this.blobBehaviour;
    return {
      ...this.answered,
      descriptor: { mediaType: mediaTypes.octetStream, digest, sizeBytes: sizeUnknown ? undefined : bytes.byteLength },
      kind: ranges ? "partial" : "full",
      ranges: ranges ?? [],
      read: (target, positionBytes) => content.read(target, positionBytes),
      [Symbol.asyncDispose]: () => content.dispose(),
    };
  }

  async headBlob(repository: Repository, digest: Digest, call: Call): Promise<Descriptor & Answered> {
    this.#note("headBlob", repository, call, digest);
    const bytes = this.#blobOf(repository, digest);
    return { mediaType: mediaTypes.octetStream, digest, sizeBytes: this.blobBehaviour.sizeUnknown ? undefined : bytes.byteLength, ...this.answered };
  }

  async listTags(repository: Repository, call: TagsCall): Promise<TagsPage & Answered> {
    this.#note("listTags", repository, call);
    const held = this.#held.get(repositoryName(repository));
    if (!held) throw new OciError("NAME_UNKNOWN", `no repository ${repositoryName(repository)}`, { source: "upstream" });
    const after = [...held.tags.keys()].toSorted().filter((tag) => call.last === undefined || tag > call.last);
    const tags = after.slice(0, call.limit);
    const last = tags.at(-1);
    return { tags, ...(tags.length < after.length && last !== undefined ? { next: last } : {}), ...this.answered };
  }

  async listReferrers(repository: Repository, digest: Digest, call: ReferrersCall): Promise<Referrers & Answered> {
    this.#note("listReferrers", repository, call, digest);
    const manifests = [...(this.#held.get(repositoryName(repository))?.manifests.values() ?? [])].flatMap(({ bytes, descriptor }) => {
      const { subject, artifactType, annotations } = readManifestContent(bytes);
      if (subject?.digest !== digest) return [];
      return [{ ...descriptor, ...(artifactType === undefined ? {} : { artifactType }), ...(annotations ? { annotations } : {}) }];
    });
    return { manifests: manifests.filter((entry) => call.artifactType === undefined || entry.artifactType === call.artifactType), ...this.answered };
  }

  #note(method: string, repository: Repository, call: Call, ...what: readonly string[]): void {
    this.calls.push([method, repositoryName(repository), ...what].join(" "));
    this.lastCall = call;
    call.signal.throwIfAborted();
    if (this.failure) throw this.failure;
  }

  #manifestOf(repository: Repository, reference: Reference): Manifest {
    const held = this.#held.get(repositoryName(repository));
    const digest = reference.kind === "digest" ? reference.digest : held?.tags.get(reference.tag);
    const manifest = digest && held?.manifests.get(digest);
    if (manifest) return manifest;
    throw new OciError("MANIFEST_UNKNOWN", `no manifest ${referenceName(reference)} in ${repositoryName(repository)}`, { source: "upstream" });
  }

  #blobOf(repository: Repository, digest: Digest): Uint8Array {
    const bytes = this.#held.get(repositoryName(repository))?.blobs.get(digest);
    if (bytes) return bytes;
    throw new OciError("BLOB_UNKNOWN", `no blob ${digest} in ${repositoryName(repository)}`, { source: "upstream" });
  }

  #heldIn(repository: Repository): Held {
    const name = repositoryName(repository);
    const held = this.#held.get(name) ?? { manifests: new Map(), tags: new Map(), blobs: new Map() };
    this.#held.set(name, held);
    return held;
  }
}

class MemoryBlob {
  readonly #bytes: Uint8Array;
  readonly #behaviour: BlobBehaviour;
  readonly #onDispose: () => void;
  readonly #disposed = Promise.withResolvers<never>();
  #isDisposed = false;

  constructor(bytes: Uint8Array, behaviour: BlobBehaviour, onDispose: () => void) {
    this.#bytes = bytes;
    this.#behaviour = behaviour;
    this.#onDispose = onDispose;
    // Rejected at disposal whether or not a read waits for it.
    this.#disposed.promise.catch(() => {});
  }

  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    const { gate, failAtBytes, pieceBytes = Number.POSITIVE_INFINITY } = this.#behaviour;
    if (gate && positionBytes >= gate.positionBytes) await Promise.race([gate.opened, this.#disposed.promise]);
    if (failAtBytes !== undefined && positionBytes >= failAtBytes)
      throw new OciError("UPSTREAM_UNAVAILABLE", "the blob's bytes were wrong", { source: "upstream" });
    const until = Math.min(
      this.#bytes.byteLength,
      positionBytes + Math.min(target.byteLength, pieceBytes),
      boundary(gate?.positionBytes, positionBytes),
      boundary(failAtBytes, positionBytes),
    );
    const piece = this.#bytes.subarray(positionBytes, until);
    target.set(piece);
    return piece.byteLength;
  }

  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#disposed.reject(new Error("the blob was disposed of"));
    this.#onDispose();
  }
}

/** Reads stop at a gate or a failure that lies ahead. */
function boundary(atBytes: number | undefined, positionBytes: number): number {
  return atBytes !== undefined && atBytes > positionBytes ? atBytes : Number.POSITIVE_INFINITY;
}
