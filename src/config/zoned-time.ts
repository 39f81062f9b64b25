/** Dates as people write them on a command line, `2026-03-01T22:17:31`, in a time zone of their choice. */

const written = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})$/;

/**
 * Milliseconds since 1970, or undefined when `text` is no such date. Of an hour that a clock shows twice the first is meant; one that it
 * leaves out counts as the hour after. Throws a RangeError for a time zone that is none.
 */
export function findZonedTimeMs(text: string, timezone: string): number | undefined {
  const match = written.exec(text);
  const asUtcMs = Date.parse(`${text}Z`);
  // `2026-02-30` is a date to some parsers: what is printed back must be what was written.
  if (!match || Number.isNaN(asUtcMs) || new Date(asUtcMs).toISOString().slice(0, 19) !== text) return undefined;
  const format = new Intl.DateTimeFormat("en-US", { ...fields, timeZone: timezone });
  const dayMs = 86_400_000;
  // A zone has two offsets at most in so few days.
  const candidates = [offsetMs(format, asUtcMs - dayMs), offsetMs(format, asUtcMs + dayMs)].map((offset) => asUtcMs - offset);
  const right = candidates.filter((timeMs) => timeMs + offsetMs(format, timeMs) === asUtcMs);
  return right.length > 0 ? Math.min(...right) : Math.max(...candidates);
}

const fields = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric", hourCycle: "h23" } as const;

/** What a clock there shows beyond UTC. */
function offsetMs(format: Intl.DateTimeFormat, timeMs: number): number {
  const parts = new Map(format.formatToParts(timeMs).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  const shownMs = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
  return shownMs - Math.floor(timeMs / 1_000) * 1_000;
}
