/**
 * Deposits: how content that the operator brings (archives, bundles, another store) enters the store. Nobody is asked for it: the
 * operator vouches, so it counts as delivered by the registry that its name says. Blobs first, then manifests (children before
 * parents), then tags: at no moment can half an image be seen, whoever reads the store meanwhile and whenever we are killed.
 */
import type { Clock } from "../oci/clock.ts";
import { isElsewhere, type Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, digestOf, type Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import { OciError } from "../oci/errors.ts";
import { parseManifest, readManifestContent, type Manifest } from "../oci/manifest.ts";
import { repositoryName, type RegistryHost, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { isThere } from "./atomic-write.ts";
import { smallBytesMax } from "./blob-store.ts";
import { DepositRefused } from "./deposit-failures.ts";
import { Grants } from "./grants.ts";
import { HeldManifests } from "./held-manifests.ts";
import { StagedBlob } from "./staged-blob.ts";
import { Staging, type BlobToDeposit } from "./staging.ts";
import type { Store } from "./store.ts";

export interface DepositsOptions {
  readonly store: Store;
  readonly clock: Clock;
}

export class Deposits {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #staging: Staging;
  readonly #manifests: HeldManifests;

  constructor({ store, clock }: DepositsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#staging = new Staging(store);
    this.#manifests = new HeldManifests({ store, grants: new Grants(store) });
  }

  /**
   * Keeps a blob, on behalf of `host`. All of `bytes` is read and hashed, also where the blob is held already ("held": nothing was
   * written but the delivery). Throws `DepositRefused` when the bytes are wrong or of another length, `StoreUnwritable`, and what
   * `bytes` throws; nothing is left then.
   */
  async blob(host: RegistryHost, { digest, sizeBytes }: BlobToDeposit, bytes: AsyncIterable<Uint8Array>): Promise<"kept" | "held"> {
    await using staged = await this.stage(bytes, { expected: { digest, sizeBytes } });
    return await this.keep(host, staged);
  }

  /**
   * Hashes bytes on their way into a temporary file: for what is named, or told to belong, only later. Bytes that are expected and
   * held already are hashed and not written. Throws as `blob`, and leaves nothing then.
   */
  async stage(
    bytes: AsyncIterable<Uint8Array>,
    { expected, claimedBytes = expected?.sizeBytes ?? 0 }: { expected?: BlobToDeposit; claimedBytes?: number } = {},
  ): Promise<StagedBlob> {
    if (expected && (await this.#isHeld(expected))) {
      await this.#staging.check(expected, bytes);
      return new StagedBlob({ ...expected, path: this.#store.layout.blob(expected.digest), isOurs: false });
    }
    return await this.#staging.write(bytes, { expected, claimedBytes });
  }

  /** Gives a staged blob its name, on behalf of `host`; "held" when it was there already. Call it again for another host. */
  async keep(host: RegistryHost, staged: StagedBlob): Promise<"kept" | "held"> {
    const { digest, path } = staged;
    if (await this.vouch(host, staged)) return "held";
    const isKept = await this.#staging.written(digest, async () => {
      if (!(await staged.sync()) || !(await this.#adopt(path, digest))) return false;
      await this.#store.blobs.touch(digest); // It may have been staged for hours, and looks like what nobody needs.
      await this.#store.provenance.record(host, digest, { isPublic: false });
      return true;
    });
    if (isKept) return "kept";
    // Kept on behalf of somebody else at the same moment; or pruned since it was staged.
    if (await this.vouch(host, staged)) return "held";
    throw new DepositRefused(digest, "it went from the store meanwhile: bring it again");
  }

  /** Whether the blob is held and may be shown to clients of `host`: nobody has to bring it. */
  async covers(host: RegistryHost, { digest, sizeBytes }: Pick<Descriptor, "digest" | "sizeBytes">): Promise<boolean> {
    const isHeld = sizeBytes === undefined ? await this.#store.blobs.has(digest) : await this.#isHeld({ digest, sizeBytes });
    return isHeld && (await this.#store.provenance.covers(host, digest));
  }

  /** Whether the blob is held, with this length; then it counts as delivered by `host` from now on. */
  async vouch(host: RegistryHost, { digest, sizeBytes }: BlobToDeposit): Promise<boolean> {
    if (!(await this.#isHeld({ digest, sizeBytes })) || !(await this.#store.blobs.touch(digest))) return false;
    if (!(await this.#store.provenance.covers(host, digest))) {
      await this.#staging.written(digest, () => this.#store.provenance.record(host, digest, { isPublic: false }));
    }
    return true;
  }

  /**
   * Keeps a manifest in `repository`, with what follows from it: its links, its place among its subject's referrers, its record.
   * Come with its blobs first: an image that names one which is not held, or which `host` may not show, is refused; an index may
   * lack children. Throws `DepositRefused`: not a manifest, not `digest`, or lacking a blob; and `StoreUnwritable`.
   */
  async manifest(
    repository: Repository,
    { bytes, mediaType, digest }: { bytes: Uint8Array; mediaType?: string | undefined; digest?: Digest },
  ): Promise<Digest> {
    const manifest = parse(bytes, mediaType, digest);
    const named = manifest.descriptor.digest;
    if (digest !== undefined && named !== digest) throw new DepositRefused(digest, `the manifest's bytes are those of ${named}`);
    const needed = readManifestContent(bytes).blobs.filter((blob) => !isElsewhere(blob));
    for (const blob of needed) {
      const isHeld = (await this.covers(repository.host, blob)) && (await this.#store.blobs.touch(blob.digest));
      if (!isHeld) throw new DepositRefused(named, `it names ${blob.digest}, which is not held`);
    }
    await this.#staging.written(named, () => this.#manifests.write(repository, manifest, { isPublic: false }));
    // Whoever prunes beside us may have taken one before the record said that it is needed.
    for (const needs of [named, ...needed.map((blob) => blob.digest)]) {
      if (await this.#store.blobs.touch(needs)) continue;
      await this.#store.repositories.removeManifest(repository, named);
      throw removedMeanwhile(needs);
    }
    return named;
  }

  /**
   * Makes sure that manifests which `repository` held a moment ago are held with all that they need, as the disk has it now: the last
   * thing to ask when images were brought, of their manifests and of the indexes' children that came along. An hour may lie between the
   * first of them and the tag, and somebody may prune meanwhile. Throws `DepositRefused` naming what is gone.
   */
  async confirm(repository: Repository, digests: Iterable<Digest>): Promise<void> {
    const { blobs, repositories } = this.#store;
    const manifests = new Set(digests);
    const touched = new Set<Digest>();
    for (const digest of manifests) {
      const bytes = await blobs.readBytes(digest);
      if (!bytes) throw removedMeanwhile(digest);
      const needed = readManifestContent(bytes).blobs.filter((blob) => !isElsewhere(blob));
      for (const needs of [digest, ...needed.map((blob) => blob.digest)]) {
        if (touched.has(needs)) continue;
        if (!(await blobs.touch(needs))) throw removedMeanwhile(needs);
        touched.add(needs);
      }
    }
    // Last: whoever removes an image removes what says that it is held first.
    for (const digest of manifests) if (!(await repositories.readManifest(repository, digest))) throw removedMeanwhile(digest);
  }

  /**
   * Lets a tag mean a manifest that `repository` holds; `checkedAtMs` is when a registry last said so, in milliseconds since 1970:
   * now, where nobody knows better.
   * Throws `DepositRefused` when it is not held, and `StoreUnwritable`.
   */
  async tag(repository: Repository, tag: Tag, digest: Digest, { checkedAtMs = this.#clock.now() }: { checkedAtMs?: number } = {}): Promise<void> {
    const { repositories } = this.#store;
    // As the disk has it: what is remembered may have been removed a moment ago.
    const manifest = (await repositories.readManifest(repository, digest))?.record;
    if (!manifest) throw new DepositRefused(digest, `${repositoryName(repository)} does not hold it: it cannot be called ${tag}`);
    const known = await repositories.findTag(repository, tag);
    if (known?.digest === digest && known.checkedAtMs >= checkedAtMs) return;
    if (known?.digest === digest) return repositories.noteChecked(repository, tag, checkedAtMs);
    const { mediaType, sizeBytes } = manifest;
    await this.#staging.written(digest, () => repositories.putTag(repository, tag, { digest, mediaType, sizeBytes, checkedAtMs }));
  }

  /** Whether `repository` holds a manifest already and, if one is given, calls it by this tag. */
  async holds(repository: Repository, digest: Digest, tag?: Tag): Promise<boolean> {
    const { repositories } = this.#store;
    if (!(await repositories.findManifest(repository, digest))) return false;
    return tag === undefined || (await repositories.findTag(repository, tag))?.digest === digest;
  }

  /** By the rule of a pull: small ones by their digest, others by their length. */
  async #isHeld({ digest, sizeBytes }: BlobToDeposit): Promise<boolean> {
    const { blobs } = this.#store;
    if (sizeBytes <= smallBytesMax) return (await blobs.findBytes(digest))?.byteLength === sizeBytes;
    const blob = await blobs.open(digest, sizeBytes);
    blob?.release();
    return blob !== undefined;
  }

  /** False when the temporary file is gone: somebody else has given it its name. */
  async #adopt(path: string, digest: Digest): Promise<boolean> {
    try {
      await this.#store.blobs.adopt(path, digest);
      return true;
    } catch (error) {
      if (isErrno(error, "ENOENT") && !(await isThere(path))) return false;
      throw error;
    }
  }
}

function removedMeanwhile(digest: Digest): DepositRefused {
  return new DepositRefused(digest, "it was removed from the store meanwhile: bring it again");
}

function parse(bytes: Uint8Array, mediaType: string | undefined, digest: Digest | undefined): Manifest {
  try {
    return parseManifest(bytes, { contentType: mediaType, ...(digest ? { algorithm: algorithmOf(digest) } : {}) });
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new DepositRefused(digest ?? digestOf(bytes), error.message, { cause: error });
  }
}
