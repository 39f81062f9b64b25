/** A disk of a few MiB, to be filled: a tmpfs of the test's own. Needs root, as CI has it. */
import { execFile } from "node:child_process";
import { statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { temporaryFolder } from "./temporary-folder.ts";

const run = promisify(execFile);

export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Leaves only about so many bytes free. */
  fill(freeBytes: number): Promise<void>;
  /** Takes away what `fill` wrote. */
  relieve(): Promise<void>;
}

/** Mounts one. Rejects where that is not allowed. */
export async function mountSmallDisk(sizeBytes: number): Promise<SmallDisk> {
  const folder = await temporaryFolder();
  await run("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", folder.path]);
  const ballast = join(folder.path, "ballast");
  return {
    path: folder.path,
    async fill(freeBytes) {
      const { bavail, bsize } = await statfs(folder.path);
      await writeFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - freeBytes)));
    },
    async relieve() {
      await writeFile(ballast, "");
    },
    async [Symbol.asyncDispose]() {
      await run("umount", ["--lazy", folder.path]);
      await folder[Symbol.asyncDispose]();
    },
  };
}
