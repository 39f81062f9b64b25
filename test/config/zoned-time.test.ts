/** Dates by a clock of somewhere. */
import { expect, test } from "vitest";
import { findZonedTimeMs } from "../../src/config/zoned-time.ts";

test.each([
  ["2026-03-01T22:17:31", "UTC", "2026-03-01T22:17:31.000Z"],
  ["2026-03-01T22:17:31", "Asia/Kolkata", "2026-03-01T16:47:31.000Z"],
  ["2026-07-01T00:00:00", "Europe/Berlin", "2026-06-30T22:00:00.000Z"],
  // Shown twice: the first time.
  ["2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00.000Z"],
  // Never shown: half an hour after what was.
  ["2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00.000Z"],
  ["2026-01-01T00:00:00", "Pacific/Kiritimati", "2025-12-31T10:00:00.000Z"],
])("%s in %s is %s", (text, timezone, expected) => {
  expect(new Date(findZonedTimeMs(text, timezone) ?? 0).toISOString()).toBe(expected);
});

test.each([
  "",
  "2026-03-01",
  "2026-03-01T22:17",
  "2026-03-01 22:17:31",
  "2026-13-01T00:00:00",
  "2026-02-29T00:00:00",
  "2026-03-01T24:00:00",
  "2026-03-01T22:17:31Z",
])('"%s" is none', (text) => {
  expect(findZonedTimeMs(text, "UTC")).toBeUndefined();
});
