/** FillRoom: what a fill asks before it writes: whether there is room for it. What finds none passes through and is not kept. */
import type { Digest } from "../oci/digest.ts";
import type { RegistryHost } from "../oci/repository.ts";

export interface WantedRoom {
  readonly host: RegistryHost;
  readonly digest: Digest;
  /** How much is to come; undefined when nobody knows. */
  readonly sizeBytes: number | undefined;
  /** How much of it is on the disk by now. */
  readonly arrivedBytes: () => number;
}

export interface FillRoom {
  /** Room, which is to be given back when the fill is over; undefined when there is none, which takes a few seconds to find out at most. */
  claim(wanted: WantedRoom): Promise<(() => void) | undefined>;
}
