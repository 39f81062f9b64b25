import { describe, expect, test } from "vitest";
import { parseContentRange } from "../../src/upstream/content-range.ts";
import { parseRetryAfter } from "../../src/upstream/errors.ts";
import { findNextLink } from "../../src/upstream/link-header.ts";
import { TestClock } from "../support/test-clock.ts";

const base = new URL("https://registry.example/v2/a/tags/list");

describe("Link", () => {
  test.each([
    ['</v2/a/tags/list?last=b&n=2>; rel="next"', "https://registry.example/v2/a/tags/list?last=b&n=2"],
    ["<?next_page=x,y>;rel=next", "https://registry.example/v2/a/tags/list?next_page=x,y"],
    ['</one>; rel="prev", </two>; title="a"; rel="last next"', "https://registry.example/two"],
    ['</one>; rel="nextish"', undefined],
    ['</one>; rel="prev"', undefined],
    ["/one; rel=next", undefined],
    ["<https://[>; rel=next", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("%s", (header, expected) => {
    expect(findNextLink(header, base)?.href).toBe(expected);
  });
});

describe("Content-Range", () => {
  test.each([
    ["bytes 0-9/10", { range: { startBytes: 0, endBytes: 9 }, sizeBytes: 10 }],
    ["bytes 5-5/*", { range: { startBytes: 5, endBytes: 5 }, sizeBytes: undefined }],
    ["bytes */10", { range: undefined, sizeBytes: 10 }],
    ["BYTES 1-2/3", { range: { startBytes: 1, endBytes: 2 }, sizeBytes: 3 }],
    ["bytes 5-4/10", undefined],
    ["bytes 0-10/10", undefined],
    ["bytes 0-9999999999999999/*", undefined],
    ["bytes=0-9/10", undefined],
    ["items 0-9/10", undefined],
    ["", undefined],
  ])("%s", (header, expected) => {
    expect(parseContentRange(header)).toEqual(expected);
  });
});

describe("Retry-After", () => {
  const clock = new TestClock({ startMs: Date.UTC(2026, 0, 1, 12) });
  test.each([
    ["0", 0],
    ["120", 120_000],
    ["21600", 21_600_000],
    ["999999999", 86_400_000],
    ["Thu, 01 Jan 2026 12:00:30 GMT", 30_000],
    ["Thu, 01 Jan 2026 11:00:00 GMT", 0],
    ["-1", undefined],
    ["1.5", undefined],
    ["soon", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("%s", (value, expected) => {
    expect(parseRetryAfter(value, clock)).toBe(expected);
  });
});
