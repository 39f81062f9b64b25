/** Sizes as people write them: `200GiB`, `1.5MiB`, or a number of bytes. */

const sizeLengthMax = 32;
const unitsBytes: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["KiB", 2 ** 10],
  ["MiB", 2 ** 20],
  ["GiB", 2 ** 30],
  ["TiB", 2 ** 40],
]);
const sizePattern = /^(\d+(?:\.\d+)?)([KMGT]iB)?$/;

/** Whole bytes, rounded; undefined when `text` is no size, or one too large to count exactly. Never throws. */
export function findSizeBytes(text: string): number | undefined {
  if (text.length > sizeLengthMax) return undefined;
  const match = sizePattern.exec(text);
  const unitBytes = unitsBytes.get(match?.[2] ?? "");
  if (!match || unitBytes === undefined) return undefined;
  const sizeBytes = Math.round(Number(match[1]) * unitBytes);
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined;
}
