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
});
