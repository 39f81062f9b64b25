/** Descriptor: what names a piece of content. OCI image-spec "OCI Content Descriptors". */
import type { Digest } from "./digest.ts";
import type { Platform } from "./platform.ts";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Undefined when nobody has said yet (an upstream that answers a blob without a length). */
  readonly sizeBytes: number | undefined;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of a child of an index, where the index says. */
  readonly platform?: Platform;
  /** Where else the bytes lie: a layer that registries need not have. */
  readonly isForeign?: boolean;
}

/** Whether it is a layer that only its maker may hand out (`urls`, a foreign media type): an image is complete without it. */
export function isElsewhere({ mediaType, isForeign }: Pick<Descriptor, "mediaType" | "isForeign">): boolean {
  return isForeign === true || mediaType.includes(".foreign.") || mediaType.includes(".nondistributable.");
}
