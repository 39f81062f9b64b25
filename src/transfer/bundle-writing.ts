/**
 * bundleBytes: a bundle as a stream of bytes, the same for the same content: its manifest, the signature, the layout's files, then what the
 * images are made of, by digest. Each blob is hashed on its way out: what is wrong on this disk is not carried to another.
 */
import type { KeyObject } from "node:crypto";
import type { Store } from "../cache/store.ts";
import { algorithmOf, Digester, type Digest } from "../oci/digest.ts";
import { blobEntry, bundleEntries } from "./bundle-layout.ts";
import type { BundledBlob } from "./bundle-manifest.ts";
import { signManifest } from "./bundle-signature.ts";
import { formatTarHeader, paddingOf, tarEnd } from "./tar-format.ts";

export interface BundleContent {
  readonly manifest: Buffer;
  /** Of the layout, in the manifest's order. */
  readonly files: readonly { readonly name: string; readonly bytes: Buffer }[];
  readonly blobs: readonly BundledBlob[];
  readonly signKey?: KeyObject | undefined;
}

export interface BundleWritingOptions {
  readonly store: Store;
  readonly signal: AbortSignal;
  /** After each blob. */
  readonly onBlob?: (blob: BundledBlob) => void;
}

const pieceBytes = 1024 * 1024;

/** A blob that was held and cannot be read, or not whole. */
export class BlobUnreadable extends Error {
  readonly digest: Digest;

  constructor(digest: Digest, reason: string) {
    super(`${digest} ${reason}; \`ociregistry verify --repair\` fetches it again`);
    this.name = "BlobUnreadable";
    this.digest = digest;
  }
}

/** Throws `BlobUnreadable`, and the signal's reason. */
export async function* bundleBytes({ manifest, files, blobs, signKey }: BundleContent, options: BundleWritingOptions): AsyncGenerator<Uint8Array> {
  yield* smallFile(bundleEntries.manifest, manifest);
  if (signKey) yield* smallFile(bundleEntries.signature, signManifest(manifest, signKey));
  for (const { name, bytes } of files) yield* smallFile(name, bytes);
  for (const blob of blobs) {
    yield formatTarHeader(blobEntry(blob.digest), blob.sizeBytes);
    yield* blobBytes(blob, options);
    yield Buffer.alloc(paddingOf(blob.sizeBytes));
    options.onBlob?.(blob);
  }
  yield tarEnd();
}

function* smallFile(name: string, bytes: Buffer): Generator<Uint8Array> {
  yield formatTarHeader(name, bytes.byteLength);
  yield bytes;
  yield Buffer.alloc(paddingOf(bytes.byteLength));
}

async function* blobBytes({ digest, sizeBytes }: BundledBlob, { store, signal }: BundleWritingOptions): AsyncGenerator<Uint8Array> {
  const blob = await store.blobs.open(digest, sizeBytes);
  if (!blob) throw new BlobUnreadable(digest, "was removed from the store, or changed, while it was exported");
  try {
    const digester = new Digester(algorithmOf(digest));
    for (let positionBytes = 0; positionBytes < sizeBytes;) {
      signal.throwIfAborted();
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, sizeBytes - positionBytes));
      const { bytesRead } = await blob.handle.read(piece, 0, piece.byteLength, positionBytes);
      if (bytesRead === 0) throw new BlobUnreadable(digest, "became shorter while it was exported");
      digester.update(piece.subarray(0, bytesRead));
      positionBytes += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
    if (digester.digest() !== digest) throw new BlobUnreadable(digest, "has wrong bytes on this disk");
  } finally {
    blob.release();
  }
}
