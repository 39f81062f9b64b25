/** pinImages, unpinImages: what must stay, said of many images at once. */
import type { Store } from "../cache/store.ts";
import type { Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import type { Reference } from "../oci/reference.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { referenceName } from "../oci/reference.ts";

export interface PinTarget {
  readonly repository: Repository;
  readonly reference: Reference;
}

export interface PinVerdict {
  /** `host/path:tag` or `host/path@digest`. */
  readonly name: string;
  /** "refused": what is written cannot be pinned, for `reason`. "absent": there was no such pin to be removed. */
  readonly verdict: "pinned" | "unpinned" | "absent" | "refused";
  /** Whether it is here by now; a pin waits for what is not. Undefined when nothing was pinned. */
  readonly isHeld?: boolean;
  readonly reason?: string;
  /** When the pin ends, in milliseconds since 1970; undefined: when it is removed. */
  readonly untilMs?: number | undefined;
  /** Other pins that keep the same image, by name: of what was unpinned. */
  readonly left?: readonly string[];
}

export interface PinningOptions {
  /** When the pins end, in milliseconds since 1970; Infinity: when they are removed; undefined: that too, but for what is pinned already. */
  readonly untilMs?: number | undefined;
  readonly reason?: string | undefined;
}

/** Pins them, held or not. What is pinned already keeps the later end, and its reason unless one is given. Throws the system's error where the store cannot be written. */
export async function* pinImages(store: Store, targets: Iterable<PinTarget>, { untilMs, reason }: PinningOptions = {}): AsyncGenerator<PinVerdict> {
  for (const target of targets) {
    const name = nameOf(target);
    try {
      const known = await store.pins.find(target.repository, target.reference);
      const endMs = known ? Math.max(known.untilMs ?? Infinity, untilMs ?? 0) : (untilMs ?? Infinity);
      const ends = endMs === Infinity ? {} : { untilMs: endMs };
      const why = reason ?? known?.reason;
      await store.pins.put(target.repository, target.reference, { ...ends, ...(why === undefined ? {} : { reason: why }) });
      yield { name, verdict: "pinned", isHeld: await isHeld(store, target), ...ends };
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      yield { name, verdict: "refused", reason: error.message };
    }
  }
}

/** Removes their pins. Throws as `pinImages`. */
export async function* unpinImages(store: Store, targets: Iterable<PinTarget>): AsyncGenerator<PinVerdict> {
  for (const target of targets) {
    const verdict = (await store.pins.remove(target.repository, target.reference)) ? "unpinned" : "absent";
    yield { name: nameOf(target), verdict, left: await leftPins(store, target) };
  }
}

/** Pins of the same image under its digest or another of its tags. */
async function leftPins({ pins, repositories }: Store, { repository, reference }: PinTarget): Promise<readonly string[]> {
  const digestOf = async (one: Reference): Promise<Digest | undefined> =>
    one.kind === "digest" ? one.digest : (await repositories.findTag(repository, one.tag))?.digest;
  const digest = await digestOf(reference);
  const left: string[] = [];
  for (const pin of digest === undefined ? [] : await pins.list(repository))
    if ((await digestOf(pin.reference)) === digest) left.push(nameOf({ repository, reference: pin.reference }));
  return left;
}

async function isHeld({ repositories }: Store, { repository, reference }: PinTarget): Promise<boolean> {
  if (reference.kind === "digest") return (await repositories.findManifest(repository, reference.digest)) !== undefined;
  return (await repositories.findTag(repository, reference.tag)) !== undefined;
}

function nameOf({ repository, reference }: PinTarget): string {
  return `${repositoryName(repository)}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}`;
}
