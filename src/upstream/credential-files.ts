/** Credential files: keys and tokens that a platform writes and renews. Read at each use, so that the newest counts; kept nowhere. */
import { open, stat } from "node:fs/promises";
import { OciError } from "../oci/errors.ts";

/** Keys and tokens are a few KiB. */
const fileBytesMax = 64 << 10;

const words: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "it may not be read by this user",
  EPERM: "it may not be read by this user",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
};

/**
 * The text of `path`, without blanks around it. Rejects with `DENIED` in words that begin with `name` (`gcp keyFile`) when it cannot
 * be read, is empty, or is too long for what it should be.
 */
export async function readCredentialFile(path: string, name: string): Promise<string> {
  const text = (await readLimited(path, name)).trim();
  if (text === "") throw new OciError("DENIED", `${name} ${path}: it is empty`);
  return text;
}

async function readLimited(path: string, name: string): Promise<string> {
  try {
    // Opened, a pipe would keep a thread waiting for somebody to write into it.
    const stats = await stat(path);
    if (!stats.isFile() && !stats.isDirectory()) throw new OciError("DENIED", `${name} ${path}: it is no file`);
    await using file = await open(path);
    const target = Buffer.alloc(fileBytesMax + 1);
    let sizeBytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(target, sizeBytes, target.byteLength - sizeBytes);
      sizeBytes += bytesRead;
      if (sizeBytes > fileBytesMax) throw new OciError("DENIED", `${name} ${path}: it is longer than ${fileBytesMax} bytes`);
      if (bytesRead === 0) return target.toString("utf8", 0, sizeBytes);
    }
  } catch (error) {
    if (error instanceof OciError) throw error;
    const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
    throw new OciError("DENIED", `${name} ${path}: ${words[code] ?? `it cannot be read (${code})`}`, { cause: error });
  }
}
