/** Descriptor: what names a piece of content. OCI image-spec "OCI Content Descriptors". */
import type { Digest } from "./digest.ts";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Undefined when nobody has said yet (an upstream that answers a blob without a length). */
  readonly sizeBytes: number | undefined;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}
