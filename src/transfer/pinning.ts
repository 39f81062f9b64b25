/** pinImages, unpinImages: what must stay, said of many images at once. */
import type { Store } from "../cache/store.ts";
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
}

export interface PinningOptions {
  /** When the pins end, in milliseconds since 1970; undefined: when they are removed. */
  readonly untilMs?: number | undefined;
  readonly reason?: string | undefined;
}

/** Pins them, held or not. Throws the system's error where the store cannot be written. */
export async function* pinImages(store: Store, targets: Iterable<PinTarget>, { untilMs, reason }: PinningOptions = {}): AsyncGenerator<PinVerdict> {
  for (const target of targets) {
    const name = nameOf(target);
    try {
      await store.pins.put(target.repository, target.reference, { ...(untilMs === undefined ? {} : { untilMs }), ...(reason === undefined ? {} : { reason }) });
      yield { name, verdict: "pinned", isHeld: await isHeld(store, target) };
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      yield { name, verdict: "refused", reason: error.message };
    }
  }
}

/** Removes their pins. Throws as `pinImages`. */
export async function* unpinImages(store: Store, targets: Iterable<PinTarget>): AsyncGenerator<PinVerdict> {
  for (const target of targets) {
    yield { name: nameOf(target), verdict: (await store.pins.remove(target.repository, target.reference)) ? "unpinned" : "absent" };
  }
}

async function isHeld({ repositories }: Store, { repository, reference }: PinTarget): Promise<boolean> {
  if (reference.kind === "digest") return (await repositories.findManifest(repository, reference.digest)) !== undefined;
  return (await repositories.findTag(repository, reference.tag)) !== undefined;
}

function nameOf({ repository, reference }: PinTarget): string {
  return `${repositoryName(repository)}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}`;
}
