/** A disk of a few MiB, to be filled: a tmpfs of the test's own. Needs root, as CI has it. */
import { execFile } from "node:child_process";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { isErrno } from "../../src/oci/errno.ts";
import { lookUntil } from "./looking.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const run = promisify(execFile);
const remountMs = 20_000;

export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Leaves only about so many bytes free. */
  fill(freeBytes: number): Promise<void>;
  /** Leaves room for bytes, but for no file more. */
  useUpFiles(): Promise<void>;
  /** Takes away what these wrote. */
  relieve(): Promise<void>;
  /** Lets nobody write any more, or everybody again, as soon as no file is open for writing. */
  setWritable(isWritable: boolean): Promise<void>;
}

/** Mounts one, for so many bytes and files. Rejects where that is not allowed. */
export async function mountSmallDisk(sizeBytes: number, { filesMax = 10_000 }: { filesMax?: number } = {}): Promise<SmallDisk> {
  const folder = await temporaryFolder();
  await run("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes},nr_inodes=${filesMax}`, "tmpfs", folder.path]);
  const ballast = join(folder.path, "ballast");
  const crowd = join(folder.path, "crowd");
  return {
    path: folder.path,
    async fill(freeBytes) {
      const { bavail, bsize } = await statfs(folder.path);
      await writeFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - freeBytes))).catch((error: unknown) => {
        // Somebody else wrote meanwhile: it is full all the same.
        if (!isErrno(error, "ENOSPC")) throw error;
      });
    },
    async useUpFiles() {
      await mkdir(crowd, { recursive: true });
      for (let { ffree } = await statfs(folder.path); ffree > 0; ffree--) await writeFile(join(crowd, String(ffree)), "");
    },
    async relieve() {
      await rm(crowd, { recursive: true, force: true });
      await rm(ballast, { force: true });
    },
    async setWritable(isWritable) {
      // While somebody writes a file there it is busy.
      const remount = (): Promise<string> =>
        run("mount", ["-o", `remount,${isWritable ? "rw" : "ro"}`, folder.path]).then(
          () => "done",
          (error: unknown) => String(error),
        );
      const said = await lookUntil(remount, (now) => !now.includes("busy"), { waitMs: remountMs });
      if (said !== "done") throw new Error(said);
    },
    async [Symbol.asyncDispose]() {
      await run("umount", ["--lazy", folder.path]);
      await folder[Symbol.asyncDispose]();
    },
  };
}
