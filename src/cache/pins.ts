/**
 * Pins: what must stay, whatever is pruned or evicted. Each is a small file beside the tags, named by what it pins, so that copying
 * one store over another is a union. A pin by tag keeps what the tag means now; one by digest keeps the image of which it is a part.
 */
import { readFile, unlink } from "node:fs/promises";
import type { Clock } from "../oci/clock.ts";
import { isErrno } from "../oci/errno.ts";
import { OciError } from "../oci/errors.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { findTag, isReferrersTag } from "../oci/tag.ts";
import { isThere, writeAtomic } from "./atomic-write.ts";
import type { DiskReads } from "./disk-reads.ts";
import type { InstanceFolder } from "./instance-folder.ts";
import { findDashedDigest, type Layout } from "./layout.ts";
import { listFolder } from "./list-folder.ts";
import { formatRecord, parseRecord } from "./record.ts";

export interface Pin {
  readonly reference: Reference;
  /** When it was made, in milliseconds since 1970; 0 where its record is torn: it pins all the same. */
  readonly pinnedAtMs: number;
  /** When it ends, in milliseconds since 1970; absent: when somebody unpins it. */
  readonly untilMs?: number;
  /** Why, in the words of who pinned it. */
  readonly reason?: string;
}

export interface PinsOptions {
  readonly layout: Layout;
  readonly instance: InstanceFolder;
  readonly clock: Clock;
  readonly reads: DiskReads;
}

const reasonLengthMax = 1_024;

export class Pins {
  readonly #options: PinsOptions;

  constructor(options: PinsOptions) {
    this.#options = options;
  }

  /** The pins of a repository that have not ended; sorted by their files' names. A torn record pins without an end: nothing is lost by a power cut. */
  async list(repository: Repository): Promise<readonly Pin[]> {
    const { layout, reads, clock } = this.#options;
    const folder = layout.pins(repository);
    const names = (await reads.attempt(folder, () => listFolder(folder))) ?? [];
    const pins: Pin[] = [];
    for (const name of names.sort()) {
      const reference = findPinnedReference(name);
      const bytes = reference && (await reads.attempt(`${folder}/${name}`, () => readFile(`${folder}/${name}`)));
      if (!reference || !bytes) continue;
      const pin = parsePin(reference, bytes);
      if (pin.untilMs === undefined || pin.untilMs > clock.now()) pins.push(pin);
    }
    return pins;
  }

  /**
   * Pins what `reference` names, held or not; a pin that is there already is replaced. Throws `TAG_INVALID` for a tag that is written
   * as a digest (`sha256-<hex>`), and the system's error where the store cannot be written.
   */
  async put(repository: Repository, reference: Reference, { untilMs, reason }: { readonly untilMs?: number; readonly reason?: string } = {}): Promise<void> {
    const { layout, instance, clock } = this.#options;
    if (reference.kind === "tag" && isReferrersTag(reference.tag)) {
      throw new OciError("TAG_INVALID", `the tag ${reference.tag} lists what refers to an image, which is pinned with it: pin that image`);
    }
    const record = {
      pinnedAt: new Date(clock.now()).toISOString(),
      ...(untilMs === undefined ? {} : { until: new Date(untilMs).toISOString() }),
      ...(reason === undefined ? {} : { reason: reason.slice(0, reasonLengthMax) }),
    };
    await writeAtomic(layout.pin(repository, reference), formatRecord(record), { temporaryPath: await instance.temporaryPath() });
  }

  /** Whether there was such a pin. Throws the system's error where the store cannot be written. */
  async remove(repository: Repository, reference: Reference): Promise<boolean> {
    try {
      await unlink(this.#options.layout.pin(repository, reference));
      return true;
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
      throw error;
    }
  }

  /** Whether just this reference is pinned now: one look. What an image's pins are, `HeldImages` says. */
  async isPinned(repository: Repository, reference: Reference): Promise<boolean> {
    return (await this.find(repository, reference)) !== undefined;
  }

  /** The pin of just this reference, if it has not ended. */
  async find(repository: Repository, reference: Reference): Promise<Pin | undefined> {
    const { layout, reads, clock } = this.#options;
    const path = layout.pin(repository, reference);
    const bytes = (await reads.attempt(path, () => isThere(path))) === true ? await reads.attempt(path, () => readFile(path)) : undefined;
    const pin = bytes && parsePin(reference, bytes);
    return pin && (pin.untilMs ?? Infinity) > clock.now() ? pin : undefined;
  }
}

/** What a pin's file says; a torn one pins without an end. */
export function parsePin(reference: Reference, bytes: Buffer): Pin {
  const { pinnedAt, until, reason } = parseRecord(bytes) ?? {};
  const untilMs = readTime(until);
  return {
    reference,
    pinnedAtMs: readTime(pinnedAt) ?? 0,
    ...(untilMs === undefined ? {} : { untilMs }),
    ...(typeof reason === "string" ? { reason } : {}),
  };
}

function readTime(time: unknown): number | undefined {
  const timeMs = typeof time === "string" ? Date.parse(time) : Number.NaN;
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

/** What a file's name pins; undefined when it is not ours. */
export function findPinnedReference(name: string): Reference | undefined {
  const digest = findDashedDigest(name);
  if (digest) return { kind: "digest", digest };
  const tag = findTag(name);
  return tag && { kind: "tag", tag };
}
