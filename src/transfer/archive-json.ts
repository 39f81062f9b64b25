/** The JSON in an archive: whatever somebody wrote there, until it has been looked at. */
import type { StagedBlob } from "../cache/staged-blob.ts";
import { quoted } from "./archive-entries.ts";
import { ArchiveRefused } from "./archive-refused.ts";

/** Reads a file of at most `bytesMax`. Throws `ArchiveRefused` naming the entry: too large, or not JSON. */
export async function readArchiveJson(file: StagedBlob, { path, bytesMax }: { path: string; bytesMax: number }): Promise<unknown> {
  const bytes = await file.read(bytesMax);
  if (!bytes) throw new ArchiveRefused(`entry ${quoted(path)} has ${file.sizeBytes} bytes: at most ${bytesMax}`);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new ArchiveRefused(`entry ${quoted(path)} is damaged: it is not JSON`, { cause: error });
  }
}

export function isObject(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** The strings of an array; undefined for anything else. */
export function findStrings(json: unknown): readonly string[] | undefined {
  return Array.isArray(json) && json.every((entry) => typeof entry === "string") ? json : undefined;
}
