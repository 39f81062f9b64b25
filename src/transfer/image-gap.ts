/** ImageGap: what of an image is not here, for one of its platforms. */
import { stat } from "node:fs/promises";
import { smallBytesMax } from "../cache/blob-store.ts";
import type { Store } from "../cache/store.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isOutage, isUnknown, type OciError } from "../oci/errors.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";

export interface MissingPart {
  readonly what: "manifest" | "config" | "layer" | "referrer";
  readonly digest: Digest;
  /** As the manifest that names it says. */
  readonly sizeBytes: number | undefined;
}

export interface ImageGap {
  /** `docker.io/library/alpine:3.20`, or as a list writes it. */
  readonly image: string;
  readonly repository: Repository;
  /** `linux/arm64`; undefined where nobody says, or it is about all of them. */
  readonly platform: string | undefined;
  /** Empty where nothing of the image is known here: `reason` says why. */
  readonly missing: readonly MissingPart[];
  readonly reason?: string;
}

/** Whether clients of `host` can be given this blob from here: delivered, of its size, and, where that costs one small read, with its bytes. */
export async function isBlobHeld({ store, host, descriptor }: { store: Store; host: RegistryHost; descriptor: Descriptor }): Promise<boolean> {
  const { digest, sizeBytes } = descriptor;
  if (!(await store.provenance.covers(host, digest))) return false;
  if (sizeBytes !== undefined && sizeBytes <= smallBytesMax) return (await store.blobs.readBytes(digest))?.byteLength === sizeBytes;
  const path = store.layout.blob(digest);
  const file = await store.reads.attempt(path, () => stat(path));
  return file?.isFile() === true && (sizeBytes === undefined || file.size === sizeBytes);
}

/** What a registry that may ask nobody says of what it lacks. */
export function isLack(error: unknown): error is OciError {
  return isUnknown(error) || isOutage(error);
}
