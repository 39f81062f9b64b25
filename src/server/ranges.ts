/** The Range header, and the answers that it leads to. RFC 9110 14. */
import { OciError } from "../oci/errors.ts";
import type { RangeSpec } from "../oci/ranges.ts";

/** containers/image and lazy snapshotters ask for a handful of parts; more is an attack or a mistake. */
export const rangesMax = 16;

/**
 * The ranges that `header` asks for, in its order; undefined when there are none to honour: no header, another unit, malformed.
 * A reversed range is kept: it is unsatisfiable, not malformed. Linear in the header. Throws `REQUEST_INVALID` for more than `rangesMax`.
 */
export function parseRange(header: string | undefined): readonly RangeSpec[] | undefined {
  if (header === undefined) return undefined;
  const equalsAt = header.indexOf("=");
  if (equalsAt === -1 || header.slice(0, equalsAt).trim().toLowerCase() !== "bytes") return undefined;
  const specs: RangeSpec[] = [];
  for (const part of header.slice(equalsAt + 1).split(",")) {
    const written = part.trim();
    if (written === "") continue;
    const spec = findSpec(written);
    if (!spec) return undefined;
    specs.push(spec);
  }
  if (specs.length > rangesMax) throw new OciError("REQUEST_INVALID", `${specs.length} ranges in one request: at most ${rangesMax}`);
  return specs.length === 0 ? undefined : specs;
}

const specPattern = /^(?:([0-9]+)-([0-9]*)|-([0-9]+))$/;

function findSpec(written: string): RangeSpec | undefined {
  const match = specPattern.exec(written);
  if (!match) return undefined;
  const [, start, end, suffix] = match;
  if (start === undefined) return { suffixBytes: position(suffix ?? "") };
  return end === "" || end === undefined ? { startBytes: position(start) } : { startBytes: position(start), endBytes: position(end) };
}

/** Beyond 2^53 every position is beyond every end. */
function position(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}
