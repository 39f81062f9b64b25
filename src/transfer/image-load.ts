/**
 * loadImage: brings one image here whole, through the cache that serves: its blobs are the cache's own downloads (one for a digest,
 * however many want it; they go on where a killed one stopped). Manifests and tags are written when all that they name is here.
 */
import { randomUUID } from "node:crypto";
import type { CachingRegistry } from "../cache/caching-registry.ts";
import { DepositRefused, StoreUnwritable } from "../cache/deposit-failures.ts";
import type { Deposits } from "../cache/deposits.ts";
import type { Store } from "../cache/store.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { isUnknown, OciError } from "../oci/errors.ts";
import { platformName, type Platform } from "../oci/platform.ts";
import type { Reference } from "../oci/reference.ts";
import type { Call, Registry } from "../oci/registry.ts";
import type { Repository } from "../oci/repository.ts";
import { BroughtBlobs } from "./brought-blobs.ts";
import { HeldFirst } from "./held-first.ts";
import { walkImage } from "./image-walk.ts";
import type { RetryOptions } from "./retries.ts";
import { withRetries } from "./retries.ts";
import type { Slots } from "./slots.ts";
import type { Walked, WalkedBlob, WalkedGap, WalkedManifest } from "./walked.ts";

/** What it takes to load images. */
export interface LoadParts {
  /** The cache that serves, or one like it on the same store. */
  readonly registry: CachingRegistry;
  /** Whom it asks. */
  readonly upstream: Registry;
  readonly store: Store;
  readonly deposits: Deposits;
  readonly clock: Clock;
}

export interface ImageLoadOptions {
  readonly platforms: readonly Platform[] | "all";
  /** Signatures and bills of material too. */
  readonly referrers: boolean;
  /** True: nothing is fetched but manifests, and nothing is written. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** Blobs that arrive at once, of all images together. */
  readonly slots: Slots;
  /** What any image of this load has fetched, `host@digest`: images that wait for one download count it once. */
  readonly fetched: Set<string>;
  readonly onProgress?: (tally: LoadTally) => void;
  readonly onRetry?: RetryOptions["onRetry"];
}

/** What has come of an image so far. */
export interface LoadTally {
  manifests: number;
  blobs: number;
  /** Of the blobs that it needs, as far as they are known. */
  sizeBytes: number;
  /** Of these, what is here. */
  hereBytes: number;
  /** What had to be fetched, or would have to be. */
  fetchedBlobs: number;
  fetchedBytes: number;
}

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
const readBytes = 256 * 1024;

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
  #lacked = false;

  constructor(repository: Repository, parts: LoadParts & { readonly brought: BroughtBlobs }, options: ImageLoadOptions) {
    this.#repository = repository;
    this.#parts = parts;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#failed.signal]);
    this.#call = { signal: this.#signal, requestId: randomUUID(), purpose: "load", mayFetch: true };
    this.#source = new HeldFirst({ held: parts.registry, upstream: parts.upstream, attempt: (ask) => this.#attempt(ask) });
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
    const wasHeld = !this.#lacked && manifests.every(({ outcome }) => outcome === "hit");
    if (!this.#options.dryRun) {
      await this.#publish(manifests, checkedAtMs);
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
        else if (part.kind === "blob") blobs.push(this.#owned(this.#bring(part)));
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

  async #bring({ descriptor, isForeign }: WalkedBlob): Promise<void> {
    this.#tally.blobs += 1;
    this.#tally.sizeBytes += descriptor.sizeBytes ?? 0;
    const { digest, sizeBytes } = descriptor;
    try {
      if (this.#options.dryRun) return await this.#lookFor(digest, sizeBytes ?? 0);
      const fetchedBytes = await this.#options.slots.run(() => this.#attempt(() => this.#hold(digest, sizeBytes)));
      if (fetchedBytes !== undefined) await this.#keep(digest, fetchedBytes);
      this.#parts.brought.add(digest);
    } catch (error) {
      if (!isForeign || !isUnknown(error)) throw error;
      this.#notes.push(`${digest} lies elsewhere by its licence, and cannot be had there`);
    }
  }

  async #lookFor(digest: Digest, sizeBytes: number): Promise<void> {
    const { store } = this.#parts;
    if ((await store.provenance.covers(this.#repository.host, digest)) && (await store.blobs.has(digest))) {
      this.#tally.hereBytes += sizeBytes;
      return;
    }
    this.#countFetched(digest, sizeBytes);
  }

  /** Reads all of a blob through the cache; undefined when it was here. */
  async #hold(digest: Digest, sizeBytes: number | undefined): Promise<number | undefined> {
    const { registry, store } = this.#parts;
    this.#signal.throwIfAborted();
    // A manifest of this repository names it, although it is not written yet: nobody need be asked whether it may be shown.
    if (sizeBytes !== undefined) await store.whereWritable(() => store.repositories.putLink(this.#repository, digest, sizeBytes));
    await using content = await registry.getBlob(this.#repository, digest, this.#call);
    if (content.outcome === "hit") {
      await store.blobs.touch(digest); // Nothing may name it any more.
      this.#come(content.descriptor.sizeBytes ?? 0);
      return undefined;
    }
    return await this.#readAll(content);
  }

  /** Waits until what was read belongs to the store: the next download need not wait for the disk. */
  async #keep(digest: Digest, fetchedBytes: number): Promise<void> {
    await this.#parts.registry.kept(this.#repository.host, digest);
    await this.#checkKept(digest);
    this.#countFetched(digest, fetchedBytes);
    this.#options.onProgress?.(this.#tally);
  }

  #countFetched(digest: Digest, sizeBytes: number): void {
    const key = `${this.#repository.host}@${digest}`;
    this.#lacked = true;
    if (this.#options.fetched.has(key)) return;
    this.#options.fetched.add(key);
    this.#tally.fetchedBlobs += 1;
    this.#tally.fetchedBytes += sizeBytes;
  }

  async #readAll(content: { read(target: Uint8Array, positionBytes: number): Promise<number> }): Promise<number> {
    const target = Buffer.allocUnsafe(readBytes);
    let positionBytes = 0;
    try {
      for (;;) {
        this.#signal.throwIfAborted();
        const length = await content.read(target, positionBytes);
        if (length === 0) return positionBytes;
        positionBytes += length;
        this.#come(length);
      }
    } catch (error) {
      this.#come(-positionBytes); // The next try counts anew.
      throw error;
    }
  }

  async #checkKept(digest: Digest): Promise<void> {
    const { registry, store } = this.#parts;
    try {
      await registry.headBlob(this.#repository, digest, { ...this.#call, mayFetch: false });
    } catch (error) {
      if (!isUnknown(error)) throw error;
      // The disk may have taken something else meanwhile: then only the log has what it said of this one.
      throw new StoreUnwritable(digest, store.status().reason ?? new Error("its download could not be kept, and the log says why", { cause: error }));
    }
  }

  #come(bytes: number): void {
    this.#tally.hereBytes += bytes;
    this.#options.onProgress?.(this.#tally);
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

  /** Children before parents: a walk tells parents first. */
  async #publish(manifests: readonly WalkedManifest[], checkedAtMs: number): Promise<void> {
    const { deposits, store } = this.#parts;
    this.#options.signal.throwIfAborted();
    for (const { manifest, outcome } of manifests.toReversed()) {
      const { digest, mediaType } = manifest.descriptor;
      if (outcome !== "hit") await deposits.manifest(this.#repository, { bytes: manifest.bytes, mediaType, digest });
    }
    for (const { manifest, tags = [] } of manifests) {
      for (const tag of tags) await deposits.tag(this.#repository, tag, manifest.descriptor.digest, { checkedAtMs });
    }
    if (!this.#options.referrers || this.#source.wasOffline) return;
    for (const { role, manifest } of manifests) {
      const { digest } = manifest.descriptor;
      if (role === "referrer") continue;
      const referring = manifests.filter(({ subject, content }) => subject === digest && content.subject?.digest === digest);
      const answer = { manifests: referring.map((referrer) => listed(referrer)), checkedAtMs };
      await store.whereWritable(() => store.referrers.putAnswer(this.#repository, digest, answer));
    }
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

/** A referrer as a registry lists it. */
function listed({ manifest: { descriptor }, content: { artifactType, annotations } }: WalkedManifest) {
  return { ...descriptor, ...(artifactType ? { artifactType } : {}), ...(annotations ? { annotations } : {}) };
}
