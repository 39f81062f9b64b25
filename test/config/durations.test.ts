import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findDurationMs } from "../../src/config/durations.ts";

describe("durations", () => {
  test.each([
    ["0", 0],
    ["90s", 90_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["7d", 604_800_000],
    ["250ms", 250],
    ["1m500ms", 60_500],
    ["60", 60_000],
    ["0.5", 500],
    ["-1", Infinity],
  ])("%s is %d ms", (text, expected) => {
    expect(findDurationMs(text)).toBe(expected);
  });

  test.each(["", " ", "s", "-2", "-1s", "1w", "1h 30m", "1,5h", "1e3", ".5h", "1.h", "Infinity", "NaN", "1S", "0x10", `${"9".repeat(40)}d`, "1s".repeat(40)])(
    "%j is none",
    (text) => {
      expect(findDurationMs(text)).toBeUndefined();
    },
  );

  test("a bare number is milliseconds where that is asked for, a unit still counts", () => {
    expect(findDurationMs("60000", { bareUnit: "ms" })).toBe(60_000);
    expect(findDurationMs("60s", { bareUnit: "ms" })).toBe(60_000);
  });

  test("joined parts add up, in any order", () => {
    const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    const part = fc.record({ count: fc.nat(999), unit: fc.constantFrom("ms", "s", "m", "h", "d") });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
        const total = parts.reduce((sum, { count, unit }) => sum + count * units[unit], 0);
        expect(findDurationMs(parts.map(({ count, unit }) => `${count}${unit}`).join(""))).toBe(total);
      }),
    );
  });

  test("no text throws, and what comes out is none, never, or a whole number from 0", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.smhd-]{0,40}$/)), (text) => {
        const durationMs = findDurationMs(text);
        expect(durationMs === undefined || durationMs === Infinity || (Number.isSafeInteger(durationMs) && durationMs >= 0)).toBe(true);
      }),
    );
  });
});
