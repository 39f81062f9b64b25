/**
 * The thread in which files are hashed: one at a time, a step at a time, each step asked for by its owner, who thereby decides how
 * fast. Reading waits here, and hashing works here, so that whoever serves meanwhile is not kept. Started by `FileHasher`.
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { DigestAlgorithm } from "../oci/digest.ts";
import { stepBack } from "../oci/step-back.ts";

export type HashingOrder = { readonly kind: "begin"; readonly path: string; readonly algorithm: DigestAlgorithm } | { readonly kind: "go on" | "stop" };

export type HashingReport =
  | { readonly kind: "step"; readonly bytes: number }
  | { readonly kind: "end"; readonly bytes: number; readonly hex: string; readonly sizeBytes: number; readonly inode: number }
  /** The system's error. */
  | { readonly kind: "failure"; readonly code: string; readonly message: string };

/** Read in one step. */
const stepBytes = 1024 * 1024;

const buffer = Buffer.allocUnsafeSlow(stepBytes);
let open: { readonly file: number; readonly hash: Hash; sizeBytes: number } | undefined;

stepBack();

parentPort?.on("message", (order: HashingOrder) => {
  if (order.kind === "stop") return close();
  parentPort?.postMessage(follow(order));
});

function follow(order: Exclude<HashingOrder, { kind: "stop" }>): HashingReport {
  try {
    if (order.kind === "begin") {
      close();
      open = { file: openSync(order.path, "r"), hash: createHash(order.algorithm), sizeBytes: 0 };
    }
    return step();
  } catch (error) {
    close();
    const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
    return { kind: "failure", code, message: error instanceof Error ? error.message : String(error) };
  }
}

function step(): HashingReport {
  if (!open) throw new Error("no file is open");
  const bytes = readSync(open.file, buffer, 0, stepBytes, open.sizeBytes);
  open.hash.update(buffer.subarray(0, bytes));
  open.sizeBytes += bytes;
  // Most files fit into one step: their end costs no other.
  const { size, ino } = fstatSync(open.file);
  if (bytes > 0 && open.sizeBytes < size) return { kind: "step", bytes };
  const { sizeBytes, hash } = open;
  close();
  return { kind: "end", bytes, hex: hash.digest("hex"), sizeBytes, inode: ino };
}

function close(): void {
  if (open) closeSync(open.file);
  open = undefined;
}
