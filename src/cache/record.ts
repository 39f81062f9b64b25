/**
 * Record: one small JSON object in a file, on one line, with a checksum of its own. `jq` reads it; a torn or flipped one counts
 * as absent. One without a checksum, written by somebody's hand, is taken at its word.
 */
import { crc32 } from "node:zlib";

/** The file's content. */
export function formatRecord(fields: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify({ ...fields, crc32: sumOf(fields) })}\n`;
}

/** The record's fields, or undefined when the file does not hold a whole one. */
export function parseRecord(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
    const { crc32: sum, ...fields } = json as Record<string, unknown>;
    return sum === undefined || sum === sumOf(fields) ? fields : undefined;
  } catch {
    // Torn by a power cut or a careless hand: as good as absent.
    return undefined;
  }
}

function sumOf(fields: Readonly<Record<string, unknown>>): string {
  return crc32(JSON.stringify(fields)).toString(16).padStart(8, "0");
}
