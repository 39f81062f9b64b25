/** Administration: what the administrative routes do: looking through what is held, pruning it, stopping. */
import { prune as pruneImages, PruneBusy, type PrunedImage } from "./cache/eviction/prune.ts";
import type { PruneRules } from "./cache/eviction/rules.ts";
import { HeldImages, imageNames, pulledAt, type HeldImage, type HeldPart } from "./cache/held-images.ts";
import type { Store } from "./cache/store.ts";
import type { Config } from "./config/config.ts";
import { ConfigError } from "./config/config-error.ts";
import { findDurationMs } from "./config/durations.ts";
import { compileGoPatterns } from "./config/go-patterns.ts";
import { compileKeep } from "./config/prune-rules.ts";
import type { Clock } from "./oci/clock.ts";
import type { Digest } from "./oci/digest.ts";
import { OciError } from "./oci/errors.ts";
import type { Log } from "./oci/log.ts";
import { readManifestContent } from "./oci/manifest.ts";
import type { RegistryNames } from "./oci/registry-names.ts";
import { repositoryName } from "./oci/repository.ts";
import type { AdminActions, AdminBlob, AdminManifest, AdminPruned, AdminPruneQuery, AdminPruneResult } from "./server/admin.ts";

export interface AdministrationOptions {
  /** What holds now: a reload may exchange it. */
  readonly rules: () => { readonly config: Config; readonly names: RegistryNames };
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Somebody has asked to stop the server. */
  readonly onStop: () => void;
}

/** For each millisecond that a prune looks, so many of rest: it runs beside those who pull. */
const restFactor = 4;
const busyRetryMs = 5_000;

export class Administration implements AdminActions {
  readonly #options: AdministrationOptions;
  readonly #images: HeldImages;

  constructor(options: AdministrationOptions) {
    this.#options = options;
    this.#images = new HeldImages(options);
  }

  async listManifests({
    patterns,
    blob,
    withBlobs,
    countMax = Infinity,
    signal,
  }: Parameters<AdminActions["listManifests"]>[0]): Promise<readonly AdminManifest[]> {
    const matches = patterns === undefined ? () => true : compile(patterns, "pattern");
    const found: AdminManifest[] = [];
    for await (const { image, part, name } of this.#manifests(signal)) {
      if (found.length >= countMax) break;
      if (!matches(name)) continue;
      const blobs = withBlobs ? await this.#blobsOf(part.digest) : [];
      if (blob !== undefined && !blobs.some((digest) => digest.includes(blob))) continue;
      found.push({ name, digest: part.digest, heldSinceMs: image.heldSinceMs, pulledAtMs: pulledAt(image), blobs });
    }
    return found.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  async listBlobs({ part = "", countMax = Infinity, signal }: Parameters<AdminActions["listBlobs"]>[0]): Promise<readonly AdminBlob[]> {
    const found = new Map<Digest, { references: number; readonly sizeBytes: number | undefined }>();
    for await (const image of this.#images.walk({ signal })) {
      for (const { digest, isHeld, sizeBytes } of (await this.#images.contents(image, { signal })).blobs) {
        if (!isHeld || !digest.includes(part)) continue;
        const known = found.get(digest);
        if (known) known.references += 1;
        else found.set(digest, { references: 1, sizeBytes });
      }
    }
    const sorted = [...found].sort(([one], [other]) => (one < other ? -1 : 1));
    return sorted.slice(0, countMax).map(([digest, blob]) => ({ digest, ...blob }));
  }

  async prune(query: AdminPruneQuery): Promise<AdminPruneResult> {
    const { rules: current, store, clock, log } = this.#options;
    const { dryRun = current().config.prune.dryRun, signal } = query;
    const rules = this.#rulesOf(query);
    const images: AdminPruned[] = [];
    let freedBytes = 0;
    let stayingCount = 0;
    try {
      for await (const event of pruneImages({ store, images: this.#images, clock, rules, dryRun, signal, restFactor, tellsStaying: true })) {
        if (event.kind === "done") freedBytes = event.freedBytes;
        else if (event.kind === "stays") stayingCount += 1;
        else images.push(...prunedOf(event));
      }
    } catch (error) {
      if (error instanceof PruneBusy) throw new OciError("OVERLOADED", error.message, { cause: error, retryAfterMs: busyRetryMs });
      throw error;
    }
    log.info({ images: images.length, bytes: freedBytes, dryRun }, dryRun ? "images would be pruned" : "images pruned");
    return { dryRun, images, sizeBytes: freedBytes, stayingCount };
  }

  stop(): void {
    this.#options.onStop();
  }

  /** Every manifest that is held, under each of its names. */
  async *#manifests(signal: AbortSignal): AsyncGenerator<{ readonly image: HeldImage; readonly part: HeldPart; readonly name: string }> {
    for await (const image of this.#images.walk({ signal })) {
      for (const part of (await this.#images.contents(image, { signal })).manifests) {
        if (!part.isHeld) continue;
        const names = part.digest === image.digest ? imageNames(image) : [`${repositoryName(image.repository)}@${part.digest}`];
        for (const name of names) yield { image, part, name };
      }
    }
  }

  /** None where the manifest has gone meanwhile. */
  async #blobsOf(manifest: Digest): Promise<readonly Digest[]> {
    const bytes = await this.#options.store.blobs.readBytes(manifest);
    return bytes ? readManifestContent(bytes).blobs.map(({ digest }) => digest) : [];
  }

  #rulesOf({ type, duration, expression, countMax }: AdminPruneQuery): PruneRules {
    const { config, names } = this.#options.rules();
    const common = { keep: compileKeep(config.prune.keep, names), ...(countMax === undefined ? {} : { countMax }) };
    switch (type) {
      case "accessed":
        return { ...common, usedBeforeMs: this.#before(duration) };
      case "created":
        return { ...common, heldBeforeMs: this.#before(duration) };
      case "pattern":
        if (expression === undefined) throw new OciError("REQUEST_INVALID", "expr is missing: a part of the names of what shall go, as a regular expression");
        return { ...common, matches: compile(expression, "expr") };
      default:
        return type satisfies never;
    }
  }

  #before(duration: string | undefined): number {
    const durationMs = duration === undefined ? undefined : findDurationMs(duration);
    if (durationMs === undefined)
      throw new OciError(
        "REQUEST_INVALID",
        `dur${duration === undefined ? " is missing" : `=${JSON.stringify(duration.slice(0, 64))}`}: a duration such as 30d`,
      );
    return this.#options.clock.now() - durationMs;
  }
}

function prunedOf({ repository, tags, digest, why, sizeBytes }: PrunedImage): readonly AdminPruned[] {
  const name = repositoryName(repository);
  const names = tags.length === 0 ? [`${name}@${digest}`] : tags.map((tag) => `${name}:${tag}`);
  return names.map((one) => ({ name: one, digest, reason: why, sizeBytes }));
}

function compile(patterns: string, what: string): (name: string) => boolean {
  try {
    return compileGoPatterns(patterns, { what });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new OciError("REQUEST_INVALID", error.message, { cause: error });
  }
}
