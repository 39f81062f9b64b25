/** Claims: the room that running fills have been given, from before their first byte until they are over, and what others wait for. */
import type { Digest } from "../../oci/digest.ts";
import type { RegistryHost } from "../../oci/repository.ts";
import type { WantedRoom } from "../fill-room.ts";
import { blockBytes } from "./record-bytes.ts";

export class Claims {
  readonly #claims = new Set<WantedRoom>();
  readonly #waiting = new Set<WantedRoom>();

  /** Room is given; call the result when the fill is over. */
  add(wanted: WantedRoom): () => void {
    const claim = { ...wanted };
    this.#claims.add(claim);
    return () => this.#claims.delete(claim);
  }

  /** Something may go for its sake; call the result when that is over. */
  wait(wanted: WantedRoom): () => void {
    this.#waiting.add(wanted);
    return () => this.#waiting.delete(wanted);
  }

  /** What is waited for, by all or for one registry, without `except`. */
  waitingBytes({ host, except }: { readonly host?: RegistryHost; readonly except?: WantedRoom } = {}): number {
    let sum = 0;
    for (const wanted of this.#waiting) if (wanted !== except && (host === undefined || wanted.host === host)) sum += takes(wanted);
    return sum;
  }

  /** What all of them will take, or those of one registry. */
  bytes(host?: RegistryHost): number {
    let sum = 0;
    for (const claim of this.#claims) if (host === undefined || claim.host === host) sum += takes(claim);
    return sum;
  }

  /** What of it is not on the disk yet. */
  pendingBytes(): number {
    let sum = 0;
    for (const claim of this.#claims) sum += Math.max(0, takes(claim) - claim.arrivedBytes());
    return sum;
  }

  isFilling(digest: Digest): boolean {
    for (const claim of this.#claims) if (claim.digest === digest) return true;
    return false;
  }
}

/** Beside its bytes: a link, and folders that nobody made before. */
const besidesBytes = 4 * blockBytes;

/** Of an unknown size it takes what has come. */
function takes({ sizeBytes, arrivedBytes }: WantedRoom): number {
  return Math.ceil(Math.max(sizeBytes ?? 0, arrivedBytes()) / blockBytes) * blockBytes + besidesBytes;
}
