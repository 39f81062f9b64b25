/**
 * Copying what an earlier fill left into a new file, hashing it on the way. Always a copy: its old owner may wake up with the
 * file still open, and nobody may hold a descriptor to a file that gets published.
 */
import { open } from "node:fs/promises";
import { isStorageFailure } from "./atomic-write.ts";

const chunkBytes = 1024 * 1024;

/** Hands `receive` the first `lengthBytes` of the file at `path`, piece by piece. False when the disk does not give them all; throws what `receive` throws. */
export async function copyPart({
  path,
  lengthBytes,
  receive,
}: {
  path: string;
  lengthBytes: number;
  receive: (bytes: Uint8Array) => Promise<void>;
}): Promise<boolean> {
  const file = await readable(open(path, "r"));
  if (!file) return false;
  await using _closed = file;
  const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, Math.max(1, lengthBytes)));
  for (let position = 0; position < lengthBytes;) {
    const read = await readable(file.read(chunk, 0, Math.min(chunk.length, lengthBytes - position), position));
    if (!read || read.bytesRead === 0) return false;
    await receive(chunk.subarray(0, read.bytesRead));
    position += read.bytesRead;
  }
  return true;
}

/** What the disk gives, or undefined when it does not. */
async function readable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (!isStorageFailure(error)) throw error;
    return undefined;
  }
}
