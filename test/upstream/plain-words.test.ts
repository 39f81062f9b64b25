import { expect, test } from "vitest";
import { plainWords } from "../../src/upstream/plain-words.ts";

test.each([
  ["  Invalid\r\n\tclient.  ", "Invalid client"],
  ["a\u0000b\u001b[31mc\u202ed", "a b [31mc d"],
  ["x".repeat(300), `${"x".repeat(200)}...`],
  ["the token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln is over", "the token *** is over"],
  ["ya29.a0Af_b-c.d is over", "*** is over"],
  ["not a key: -----BEGIN PRIVATE KEY-----\nMIIE", "not a key: ***"],
])("%j is told as %j", (text, told) => {
  expect(plainWords(text)).toBe(told);
});

test.each([undefined, null, 7, {}, "", " \n", "x".repeat(300_000)])("there is nothing to tell of some answers", (text) => {
  expect(plainWords(text)).toBeUndefined();
});

test("a secret is not told, as it is or as a URL has it, wherever it stands", () => {
  const secret = "p@ss word&+";
  expect(plainWords(`${secret} p%40ss%20word%26%2B p%40ss+word%26%2B`, [secret, ""])).toBe("*** *** ***");
  expect(plainWords(`${" ".repeat(20_000)}${secret}${"y".repeat(20_000)}`, [secret])).not.toContain("p@ss");
});
