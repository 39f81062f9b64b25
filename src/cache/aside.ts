/**
 * Aside: a file that was taken from its place to be looked at before it goes. A blob's name says there what it is, so that whoever takes
 * over the folder of a process that was killed meanwhile can give it back.
 */
import { link } from "node:fs/promises";
import { dirname } from "node:path";
import type { Digest } from "../oci/digest.ts";
import { isErrno } from "../oci/errno.ts";
import { syncFolderIfThere, unlinkIfThere } from "./atomic-write.ts";
import { findDashedDigest } from "./layout.ts";

const asideEnding = ".aside";

/** The name, among the temporary files, of a blob's file that was taken aside; `number` tells it from others of the same blob. */
export function asideName(digest: Digest, number: string): string {
  return `${digest.replace(":", "-")}~${number}${asideEnding}`;
}

/** The blob whose file has this name; undefined when it is another kind of file. */
export function findAsideDigest(name: string): Digest | undefined {
  return name.endsWith(asideEnding) ? findDashedDigest(name.slice(0, name.lastIndexOf("~"))) : undefined;
}

/** Gives the file at `aside` its name again, unless another has it by now, or somebody else was quicker. Throws the system's error. */
export async function giveBack(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path);
    await syncFolderIfThere(dirname(path));
  } catch (error) {
    if (!isErrno(error, "EEXIST", "ENOENT")) throw error;
  }
  await unlinkIfThere(aside);
}
