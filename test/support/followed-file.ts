/** FollowedFile: what somebody appends to a file, awaited by the file's changes. */
import { watch } from "node:fs";
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isErrno } from "../../src/oci/errno.ts";

export interface FollowedFile {
  /** Resolves to the match when what was appended since `followFile` holds one. Rejects with the signal's reason. */
  waitFor(pattern: RegExp, { signal }: { signal: AbortSignal }): Promise<RegExpExecArray>;
}

/** Follows `path` from its present end; it need not be there yet, its folder has to. */
export async function followFile(path: string): Promise<FollowedFile> {
  const fromBytes = await sizeOf(path);
  return {
    async waitFor(pattern, { signal }) {
      const changes = watch(dirname(path), { signal });
      changes.on("error", () => {}); // Told by `changed` to whoever waits.
      try {
        for (;;) {
          const change = changed(changes, signal);
          const match = pattern.exec(await readFrom(path, fromBytes));
          if (match) return match;
          await change;
        }
      } finally {
        changes.close();
      }
    },
  };
}

function changed(changes: ReturnType<typeof watch>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (): void => reject(signal.reason as Error);
  changes.once("change", () => {
    signal.removeEventListener("abort", fail);
    resolve();
  });
  signal.addEventListener("abort", fail, { once: true });
  if (signal.aborted) fail();
  promise.catch(() => {}); // A match may come before anybody waits for the next change.
  return promise;
}

async function readFrom(path: string, fromBytes: number): Promise<string> {
  const sizeBytes = await sizeOf(path);
  if (sizeBytes <= fromBytes) return "";
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(sizeBytes - fromBytes), 0, sizeBytes - fromBytes, fromBytes);
  return buffer.toString("utf8", 0, bytesRead);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0;
    throw error;
  }
}
