/** The layout of a `multipart/byteranges` body: one part for each range, in the order asked. RFC 9110 14.6. */
import { randomBytes } from "node:crypto";
import { lengthOf, type ByteRange } from "../oci/ranges.ts";

/** A stretch of a body: bytes of our own, or a stretch of the blob. */
export type BodySegment =
  | { readonly kind: "text"; readonly bytes: Uint8Array }
  /** `sizeBytes` undefined: to the end of the blob, which is not known yet. */
  | { readonly kind: "blob"; readonly startBytes: number; readonly sizeBytes: number | undefined };

export interface MultipartLayout {
  readonly contentType: string;
  readonly contentLength: number;
  readonly segments: readonly BodySegment[];
}

/** Lays out `ranges` of content of `sizeBytes` (undefined: unknown). The boundary is plain hexadecimal: it needs no quotes. */
export function multipartLayout(ranges: readonly ByteRange[], sizeBytes: number | undefined, boundary = randomBytes(16).toString("hex")): MultipartLayout {
  const segments = ranges.flatMap((range, index): BodySegment[] => {
    const start = index === 0 ? "" : "\r\n";
    const header = `${start}--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: ${contentRange(range, sizeBytes)}\r\n\r\n`;
    return [text(header), { kind: "blob", startBytes: range.startBytes, sizeBytes: lengthOf(range) }];
  });
  segments.push(text(`\r\n--${boundary}--\r\n`));
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    contentLength: segments.reduce((sum, segment) => sum + (segment.kind === "text" ? segment.bytes.byteLength : (segment.sizeBytes ?? 0)), 0),
    segments,
  };
}

/** The value of `Content-Range` for one range. */
export function contentRange(range: ByteRange, sizeBytes: number | undefined): string {
  return `bytes ${range.startBytes}-${range.endBytes}/${sizeBytes ?? "*"}`;
}

function text(written: string): BodySegment {
  return { kind: "text", bytes: Buffer.from(written, "latin1") };
}
