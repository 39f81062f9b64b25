/**
 * Repository records: what the small files of a repository say: what a tag means, that a manifest is held, that a digest may be shown.
 * Each is whole or counts as absent.
 */
import { findDigest, type Digest } from "../oci/digest.ts";
import { bareMediaType } from "../oci/manifest.ts";
import { parseRecord } from "./record.ts";

/** What a tag meant when the upstream was last asked. */
export interface TagRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** When the upstream last confirmed it, in milliseconds since 1970. */
  readonly checkedAtMs: number;
}

/** That a repository holds a manifest. */
export interface ManifestRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly subject?: Digest;
  /** When the repository first held it, in milliseconds since 1970; absent where somebody else wrote the record. */
  readonly fetchedAtMs?: number;
}

/** A tag's file; undefined when it is torn, or not ours. Never throws. */
export function parseTagRecord(bytes: Buffer, file: { readonly mtimeMs: number }): TagRecord | undefined {
  const json = parseRecord(bytes);
  const named = json && findNamed(json);
  return named && { ...named, checkedAtMs: file.mtimeMs };
}

/** The same of a manifest's record. */
export function parseManifestRecord(bytes: Buffer): ManifestRecord | undefined {
  const json = parseRecord(bytes);
  const named = json && findNamed(json);
  const subject = typeof json?.["subject"] === "string" ? findDigest(json["subject"]) : undefined;
  const fetchedAtMs = typeof json?.["fetchedAt"] === "string" ? Date.parse(json["fetchedAt"]) : Number.NaN;
  return named && { ...named, ...(subject ? { subject } : {}), ...(Number.isNaN(fetchedAtMs) ? {} : { fetchedAtMs }) };
}

/** The same of a link. */
export function parseLink(bytes: Buffer): { sizeBytes: number } | undefined {
  const sizeBytes = parseRecord(bytes)?.["size"];
  return isSize(sizeBytes) ? { sizeBytes } : undefined;
}

function findNamed(json: Record<string, unknown>): { digest: Digest; mediaType: string; sizeBytes: number } | undefined {
  const { digest: raw, mediaType, size } = json;
  const digest = typeof raw === "string" ? findDigest(raw) : undefined;
  if (!digest || typeof mediaType !== "string" || bareMediaType(mediaType) === undefined || !isSize(size)) return undefined;
  return { digest, mediaType, sizeBytes: size };
}

function isSize(size: unknown): size is number {
  return typeof size === "number" && Number.isSafeInteger(size) && size >= 0;
}
