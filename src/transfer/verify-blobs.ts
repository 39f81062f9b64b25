/** verifyBlobs: hashes every blob file of a store, several at once, at a bounded rate; what is wrong is put aside. */
import { FileHasher } from "../cache/file-hasher.ts";
import { isStorageFailure } from "../cache/atomic-write.ts";
import { Quarantine } from "../cache/quarantine.ts";
import type { UnreadPath } from "../cache/store-reader.ts";
import type { Store } from "../cache/store.ts";
import { walkStoredBlobs } from "../cache/stored-blobs.ts";
import type { Clock } from "../oci/clock.ts";
import type { Digest } from "../oci/digest.ts";
import { Pace } from "./pace.ts";

/** Bytes that are not what they are called. */
export interface DamagedBlob {
  readonly kind: "damaged";
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** What the bytes are called in truth. */
  readonly found: Digest;
  /** Where they lie now; undefined where the store cannot be written. */
  readonly quarantinedAt: string | undefined;
}

/** A file that the disk does not give. It stays where it is: the disk may be better tomorrow. */
export interface UnreadableBlob {
  readonly kind: "unreadable";
  readonly digest: Digest;
  readonly reason: string;
}

export interface VerifyBlobsOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Infinity: as fast as it goes. */
  readonly bytesPerSecond: number;
  /** Files that are hashed at once, each in a thread of its own. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  /** A blob is right, or was not there any more. */
  readonly onChecked: (sizeBytes: number) => void;
  /** A folder that cannot be read: its blobs were not looked at. */
  readonly onUnread: (unread: UnreadPath) => void;
  readonly onFinding: (finding: DamagedBlob | UnreadableBlob) => void;
}

/** A small file costs as much as this: opening it is what takes time. */
const fileBytesMin = 16 * 1024;

/** Rejects with the signal's reason. */
export async function verifyBlobs(options: VerifyBlobsOptions): Promise<void> {
  const { store, jobs } = options;
  const pace = new Pace(options);
  const quarantine = new Quarantine({ layout: store.layout, clock: options.clock });
  const digests = walkStoredBlobs(store, options);
  const runners = Array.from({ length: jobs }, async () => {
    await using hasher = new FileHasher(options);
    for await (const digest of digests) await verifyBlob(digest, { ...options, hasher, pace, quarantine });
  });
  const failed = (await Promise.allSettled(runners)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}

interface Tools {
  readonly hasher: FileHasher;
  readonly pace: Pace;
  readonly quarantine: Quarantine;
}

async function verifyBlob(digest: Digest, { store, hasher, pace, quarantine, signal, onChecked, onFinding }: VerifyBlobsOptions & Tools): Promise<void> {
  const path = store.layout.blob(digest);
  const spend = (bytes: number): Promise<void> | undefined => pace.spend(Math.max(bytes, fileBytesMin), signal);
  // What seems wrong is looked at twice: memory fails too.
  for (let looks = 1; ; looks++) {
    const hashed = await hasher.hash(path, digest, { spend, signal });
    if (hashed.kind === "absent") return;
    if (hashed.kind === "unreadable") return onFinding({ kind: "unreadable", digest, reason: hashed.reason });
    if (hashed.digest === digest) return onChecked(hashed.sizeBytes);
    if (looks < 2) continue;
    const aside = await putAside(quarantine, digest, hashed.inode);
    // Healed between the looks and the move.
    if (aside.kind === "another") continue;
    return onFinding({ kind: "damaged", digest, sizeBytes: hashed.sizeBytes, found: hashed.digest, quarantinedAt: aside.path });
  }
}

/** Without a path: the store cannot be written, and the file is where it was. */
type Aside = { readonly kind: "aside"; readonly path: string | undefined } | { readonly kind: "another" };

async function putAside(quarantine: Quarantine, digest: Digest, inode: number): Promise<Aside> {
  try {
    const path = await quarantine.put(digest, { inode });
    return path === undefined ? { kind: "another" } : { kind: "aside", path };
  } catch (error) {
    if (!isStorageFailure(error)) throw error;
    return { kind: "aside", path: undefined };
  }
}
