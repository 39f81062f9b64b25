/** Durations as people write them: `90s`, `1h30m`, `1.5h`, `7d`, `0`, and `-1` for never. */

export interface DurationOptions {
  /** What a number without a unit counts. */
  readonly bareUnit?: "s" | "ms";
}

const durationLengthMax = 64;
const durationMsMax = 1_000 * 365 * 86_400_000;
const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const satisfies Record<string, number>;
const bareNumber = /^\d+(?:\.\d+)?$/;
const wholeDuration = /^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/;
const durationPart = /(\d+(?:\.\d+)?)(ms|[smhd])/g;

/** Milliseconds, rounded; Infinity for `-1`; undefined when `text` is no duration, or one of more than 1,000 years. Never throws. */
export function findDurationMs(text: string, { bareUnit = "s" }: DurationOptions = {}): number | undefined {
  if (text.length > durationLengthMax) return undefined;
  if (text === "-1") return Infinity;
  if (bareNumber.test(text)) return inRange(Number(text) * unitsMs[bareUnit]);
  if (!wholeDuration.test(text)) return undefined;
  let totalMs = 0;
  for (const [, count, unit] of text.matchAll(durationPart)) totalMs += Number(count) * unitMs(unit);
  return inRange(totalMs);
}

function unitMs(unit: string | undefined): number {
  return Object.entries(unitsMs).find(([name]) => name === unit)?.[1] ?? 0;
}

function inRange(durationMs: number): number | undefined {
  return durationMs <= durationMsMax ? Math.round(durationMs) : undefined;
}
