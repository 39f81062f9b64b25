/** ContentRange: what part of the whole an answer carries. RFC 9110 14.4. */

export interface ContentRange {
  /** Absent in a 416. */
  readonly range: { readonly startBytes: number; readonly endBytes: number } | undefined;
  /** Undefined for `*`: the answerer does not know. */
  readonly sizeBytes: number | undefined;
}

const pattern = /^bytes (?:([0-9]{1,16})-([0-9]{1,16})|\*)\/(?:([0-9]{1,16})|\*)$/i;

/** Parses `bytes a-b/size`, with `*` for what is not known; undefined for what is malformed, reversed or beyond its own size. */
export function parseContentRange(value: string): ContentRange | undefined {
  const match = pattern.exec(value.slice(0, 128).trim());
  if (!match) return undefined;
  const [startBytes, endBytes, sizeBytes] = [match[1], match[2], match[3]].map((digits) => (digits === undefined ? undefined : Number(digits)));
  if (![startBytes, endBytes, sizeBytes].every((number) => number === undefined || Number.isSafeInteger(number))) return undefined;
  if (startBytes === undefined || endBytes === undefined) return { range: undefined, sizeBytes };
  if (endBytes < startBytes || (sizeBytes !== undefined && endBytes >= sizeBytes)) return undefined;
  return { range: { startBytes, endBytes }, sizeBytes };
}
