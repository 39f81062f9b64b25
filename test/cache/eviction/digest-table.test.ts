/** Numbers for digests: the same for the same, few bytes each. */
import { expect, test } from "vitest";
import { Column, DigestTable } from "../../../src/cache/eviction/digest-table.ts";
import { digestOf } from "../../../src/oci/digest.ts";

test("a digest keeps its number while thousands come after it, of both algorithms", () => {
  const table = new DigestTable();
  const digests = Array.from({ length: 5_000 }, (_, index) => digestOf(Buffer.from(String(index)), index % 50 === 0 ? "sha512" : "sha256"));
  const ids = digests.map((digest) => table.put(digest));
  expect(new Set(ids).size).toBe(5_000);
  expect(digests.map((digest) => table.put(digest))).toEqual(ids);
  expect(digests.map((digest) => table.find(digest))).toEqual(ids);
  expect(ids.map((id) => table.digestOf(id))).toEqual(digests);
  expect(table.count).toBe(5_000);
  expect(table.find(digestOf(Buffer.from("unknown")))).toBeUndefined();
});

test("a column holds 0 for what was never set, and a copy does not follow it", () => {
  const column = new Column();
  column.set(3, 7);
  const copy = column.copy();
  expect(column.add(100_000, 2)).toBe(2);
  expect([column.get(3), column.get(4), copy.get(3), copy.get(100_000)]).toEqual([7, 0, 7, 0]);
});
