import { expect, test } from "vitest";
import { OciError } from "../../src/oci/errors.ts";
import { parseRange } from "../../src/server/ranges.ts";

test.each([
  ["bytes=0-99", [{ startBytes: 0, endBytes: 99 }]],
  ["bytes=500-", [{ startBytes: 500 }]],
  ["bytes=-500", [{ suffixBytes: 500 }]],
  ["Bytes=1-2", [{ startBytes: 1, endBytes: 2 }]],
  ["bytes=9-9, -1 ,0-0", [{ startBytes: 9, endBytes: 9 }, { suffixBytes: 1 }, { startBytes: 0, endBytes: 0 }]],
  [
    "bytes=0-1,,2-3",
    [
      { startBytes: 0, endBytes: 1 },
      { startBytes: 2, endBytes: 3 },
    ],
  ],
  ["bytes=500-0", [{ startBytes: 500, endBytes: 0 }]],
  ["bytes=99999999999999999999-", [{ startBytes: Number.MAX_SAFE_INTEGER }]],
])("%s", (header, specs) => {
  expect(parseRange(header)).toEqual(specs);
});

test.each([
  undefined,
  "",
  "bytes",
  "bytes=",
  "bytes=,",
  "bytes=-",
  "bytes=a-b",
  "bytes=1-2,x",
  "bytes=1",
  "bytes= 1 - 2",
  "items=0-5",
  "bytes=--5",
  "bytes=1-2-3",
  "bytes=0x1-2",
  "bytes=１-2",
])("%s is no range", (header) => {
  expect(parseRange(header)).toBeUndefined();
});

test("sixteen ranges are the most", () => {
  const ranges = (count: number): string => `bytes=${Array.from({ length: count }, (_, index) => `${index}-${index}`).join(",")}`;
  expect(parseRange(ranges(16))).toHaveLength(16);
  expect(() => parseRange(ranges(17))).toThrow(OciError);
});
