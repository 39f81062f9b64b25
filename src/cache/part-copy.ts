/**
 * Copying what an earlier fill left into a new file, hashing it on the way. Always a copy: its old owner may wake up with the
 * file still open, and nobody may hold a descriptor to a file that gets published.
 */
import { open } from "node:fs/promises";

const chunkBytes = 1024 * 1024;

/** Hands `receive` the first `lengthBytes` of the file at `path`, piece by piece. */
export async function copyPart({
  path,
  lengthBytes,
  receive,
}: {
  path: string;
  lengthBytes: number;
  receive: (bytes: Uint8Array) => Promise<void>;
}): Promise<void> {
  await using file = await open(path, "r");
  const chunk = Buffer.allocUnsafeSlow(Math.min(chunkBytes, Math.max(1, lengthBytes)));
  for (let position = 0; position < lengthBytes;) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, lengthBytes - position), position);
    if (bytesRead === 0) throw new Error(`a part became shorter while it was read: ${path}`);
    await receive(chunk.subarray(0, bytesRead));
    position += bytesRead;
  }
}
