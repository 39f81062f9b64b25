/**
 * loadImage: brings one image here whole, through the cache that serves: its blobs are the cache's own downloads (one for a digest,
 * however many want it; they go on where a killed one stopped). Manifests and tags are written when all that they name is here.
 */
import { randomUUID } from "node:crypto";
import { DepositRefused } from "../cache/deposit-failures.ts";
import type { Digest } from "../oci/digest.ts";
import { isUnknown, OciError } from "../oci/errors.ts";
import { platformName } from "../oci/platform.ts";
import type { Reference } from "../oci/reference.ts";
import type { Call } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import { BlobLoad } from "./blob-load.ts";
import { BroughtBlobs } from "./brought-blobs.ts";
import { HeldFirst } from "./held-first.ts";
import { walkImage } from "./image-walk.ts";
import type { ImageLoadOptions, LoadContext, LoadParts, LoadTally } from "./load-context.ts";
import { publishManifests } from "./manifest-publish.ts";
import { withRetries } from "./retries.ts";
import type { Walked, WalkedBlob, WalkedGap, WalkedManifest } from "./walked.ts";

export interface ImageLoad extends LoadTally {
  /** What the reference means. */
  readonly digest: Digest;
  /** True when nothing was missing. */
  readonly wasHeld: boolean;
  /** What was left out, and is no failure: a platform that the image lacks, a referrer that is gone. */
  readonly notes: readonly string[];
}

/** Whoever looked for referrers so short a time ago knows them: a load that is begun again need not ask for them. */
const referrersTrustedMs = 60 * 60_000;

/** Throws the `OciError` of what could not be had, `DepositRefused`, `StoreUnwritable`, and the signal's reason; nothing is seen of the image then. */
export async function loadImage(repository: Repository, reference: Reference, parts: LoadParts, options: ImageLoadOptions): Promise<ImageLoad> {
  await using brought = new BroughtBlobs(parts);
  return await new Loading(repository, { ...parts, brought }, options).load(reference);
}

class Loading {
  readonly #repository: Repository;
  readonly #parts: LoadParts & { readonly brought: BroughtBlobs };
  readonly #options: ImageLoadOptions;
  readonly #source: HeldFirst;
  readonly #call: Call;
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #tally: LoadTally = { manifests: 0, blobs: 0, sizeBytes: 0, hereBytes: 0, fetchedBlobs: 0, fetchedBytes: 0 };
  readonly #notes: string[] = [];
  readonly #context: LoadContext;
  readonly #blobs: BlobLoad;

  constructor(repository: Repository, parts: LoadParts & { readonly brought: BroughtBlobs }, options: ImageLoadOptions) {
    this.#repository = repository;
    this.#parts = parts;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
    this.#call = { signal: this.#signal, requestId: randomUUID(), purpose: "load", mayFetch: true };
    this.#source = new HeldFirst({ held: parts.registry, upstream: parts.upstream, attempt: (ask) => this.#attempt(ask) });
    this.#context = { repository, parts, options, call: this.#call, tally: this.#tally, notes: this.#notes, attempt: (ask) => this.#attempt(ask) };
    this.#blobs = new BlobLoad(this.#context);
  }

  async load(reference: Reference): Promise<ImageLoad> {
    const checkedAtMs = this.#parts.clock.now();
    const digest = reference.kind === "digest" ? reference.digest : await this.#source.digestOfTag(this.#repository, reference.tag, this.#call);
    if (digest !== undefined && (await this.#isComplete(digest))) {
      if (!this.#options.dryRun) await this.#name(reference, digest, checkedAtMs);
      return { ...this.#tally, digest, wasHeld: true, notes: this.#notes };
    }
    const manifests = await this.#fetch(digest === undefined ? reference : { kind: "digest", digest });
    const root = manifests[0]?.manifest.descriptor.digest;
    if (root === undefined) throw new OciError("MANIFEST_UNKNOWN", "an image without a manifest");
    const wasHeld = !this.#blobs.hasFetched && manifests.every(({ outcome }) => outcome === "hit");
    if (!this.#options.dryRun) {
      await publishManifests(this.#context, manifests, { checkedAtMs, tellsReferrers: this.#options.referrers && !this.#source.wasOffline });
      await this.#name(reference, root, checkedAtMs);
      await this.#parts.deposits.confirm(this.#repository, digestsOf(manifests));
    }
    return { ...this.#tally, digest: root, wasHeld, notes: this.#notes };
  }

  /** Whether all of it is here, referrers as of a moment ago included: then nobody is asked for anything. */
  async #isComplete(digest: Digest): Promise<boolean> {
    const tally = { ...this.#tally };
    const manifests: WalkedManifest[] = [];
    const walk = walkImage(this.#parts.registry, this.#repository, { kind: "digest", digest }, { ...this.#walkOptions(), mayFetch: false });
    try {
      for await (const part of walk) {
        if (part.kind === "gap" && part.role === "child") return false;
        if (part.kind === "manifest" && this.#options.referrers && part.role !== "referrer" && !(await this.#knowsReferrers(part))) return false;
        if (part.kind === "manifest") manifests.push(part);
        if (part.kind !== "blob" || part.isForeign) continue;
        const { sizeBytes = 0 } = await this.#parts.registry.headBlob(this.#repository, part.descriptor.digest, { ...this.#call, mayFetch: false });
        tally.blobs += 1;
        tally.sizeBytes += sizeBytes;
        tally.hereBytes += sizeBytes;
      }
      // What was seen may be what this process remembers.
      if (!this.#options.dryRun) await this.#parts.deposits.confirm(this.#repository, digestsOf(manifests));
    } catch (error) {
      if (isUnknown(error) || error instanceof DepositRefused) return false;
      throw error;
    }
    Object.assign(this.#tally, tally, { manifests: manifests.length });
    return true;
  }

  async #knowsReferrers({ manifest: { descriptor } }: WalkedManifest): Promise<boolean> {
    const answer = await this.#parts.store.referrers.findAnswer(this.#repository, descriptor.digest);
    const ageMs = answer ? this.#parts.clock.now() - answer.checkedAtMs : Infinity;
    return ageMs >= 0 && ageMs < referrersTrustedMs;
  }

  /** All manifests, when every blob that they need is here. */
  async #fetch(reference: Reference): Promise<readonly WalkedManifest[]> {
    const manifests: WalkedManifest[] = [];
    const blobs: Promise<void>[] = [];
    try {
      for await (const part of walkImage(this.#source, this.#repository, reference, this.#walkOptions())) {
        if (part.kind === "manifest") manifests.push(part);
        else if (part.kind === "blob") blobs.push(this.#owned(this.#blobs.bring(part)));
        else this.#note(part);
        this.#tally.manifests = manifests.length;
        this.#options.onProgress?.(this.#tally);
      }
      await Promise.all(blobs);
      return manifests;
    } catch (error) {
      this.#failed.abort(error); // Not when a blob was first: then that is why.
      await Promise.allSettled(blobs);
      this.#options.signal.throwIfAborted();
      throw this.#failed.signal.reason;
    }
  }

  /** The first failure ends the rest of the image. Awaited by `#fetch`, whatever comes first. */
  #owned(work: Promise<void>): Promise<void> {
    const owned = work.catch((error: unknown) => {
      this.#failed.abort(error);
      throw error;
    });
    owned.catch(() => {}); // Thrown again where it is awaited, which may be later.
    return owned;
  }

  #note(part: Exclude<Walked, WalkedManifest | WalkedBlob>): void {
    if (part.kind === "lack") this.#notes.push(`${part.parent} has nothing for ${platformName(part.platform)}`);
    if (part.kind === "gap") this.#noteGap(part);
  }

  /** A child that is missing is half an image; a referrer that its registry lists and does not have is no part of it. */
  #noteGap({ role, descriptor: { digest }, parent, error, platform }: WalkedGap): void {
    if (role === "child") {
      throw new OciError(error.code, `${digest}${platform ? ` (${platformName(platform)})` : ""} of ${parent}: ${error.message}`, {
        cause: error,
        source: error.source,
      });
    }
    if (!isUnknown(error)) throw error;
    this.#notes.push(`${digest}, which refers to ${parent}, is listed and cannot be had`);
  }

  async #name(reference: Reference, digest: Digest, checkedAtMs: number): Promise<void> {
    if (reference.kind === "tag") await this.#parts.deposits.tag(this.#repository, reference.tag, digest, { checkedAtMs });
  }

  async #attempt<T>(ask: () => Promise<T>): Promise<T> {
    const { onRetry } = this.#options;
    return await withRetries(ask, { clock: this.#parts.clock, signal: this.#signal, ...(onRetry ? { onRetry } : {}) });
  }

  #walkOptions(): Parameters<typeof walkImage>[3] {
    const { platforms, referrers } = this.#options;
    return { platforms, referrers, signal: this.#signal, purpose: "load", requestId: this.#call.requestId };
  }
}

function digestsOf(manifests: readonly WalkedManifest[]): readonly Digest[] {
  return manifests.map(({ manifest }) => manifest.descriptor.digest);
}
