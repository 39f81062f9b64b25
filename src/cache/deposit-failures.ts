/** Why something that was brought is not kept: it is wrong, or the disk is full. Whoever brings it has to tell these two apart. */
import type { Digest } from "../oci/digest.ts";

/** What is brought is not what it says it is, or lacks what it needs. Nothing of it was kept. */
export class DepositRefused extends Error {
  /** What was refused. */
  readonly digest: Digest;

  constructor(digest: Digest, reason: string, { cause }: { cause?: unknown } = {}) {
    super(`${digest}: ${reason}`, { cause });
    this.name = "DepositRefused";
    this.digest = digest;
  }
}

/** The disk is why something cannot be kept: full, read-only, broken. What was brought may be right. */
export class StoreUnwritable extends Error {
  constructor(what: string, cause: unknown) {
    super(`${what} cannot be written to the store: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "StoreUnwritable";
  }
}
