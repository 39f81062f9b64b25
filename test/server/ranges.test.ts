import fc from "fast-check";
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

test("whatever is written comes back as it was", () => {
  const spec = fc.oneof(
    fc.tuple(fc.nat(), fc.nat()).map(([startBytes, endBytes]) => ({ startBytes, endBytes })),
    fc.nat().map((startBytes) => ({ startBytes })),
    fc.nat().map((suffixBytes) => ({ suffixBytes })),
  );
  fc.assert(
    fc.property(fc.array(spec, { minLength: 1, maxLength: 16 }), (specs) => {
      const written = specs.map((each) => ("suffixBytes" in each ? `-${each.suffixBytes}` : `${each.startBytes}-${"endBytes" in each ? each.endBytes : ""}`));
      expect(parseRange(`bytes=${written.join(", ")}`)).toEqual(specs);
    }),
  );
});

test("any header is read in no time, or refused by name", () => {
  const piece = fc.oneof(fc.constantFrom("bytes", "=", "-", ",", " ", "0", "99"), fc.string({ maxLength: 6 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      try {
        parseRange(`bytes=${pieces.join("")}`);
      } catch (error) {
        expect(error).toBeInstanceOf(OciError);
      }
    }),
    { numRuns: 2_000 },
  );
  const startedMs = performance.now();
  parseRange(`bytes=${"0-0,".repeat(6_000)}x`);
  parseRange(`bytes=${"9".repeat(24_000)}-`);
  parseRange(`bytes=${" ".repeat(24_000)}`);
  expect(performance.now() - startedMs).toBeLessThan(50);
});
