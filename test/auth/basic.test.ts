import { expect, test } from "vitest";
import { basicHeader, readBasic, showsSomething } from "../../src/auth/basic.ts";
import { KeyedDigest } from "../../src/auth/keyed-digest.ts";

const encode = (text: string): string => Buffer.from(text).toString("base64");

test.for([
  ["alice", "one"],
  ["alice", ""],
  ["alice", "a:b::c"],
  ["Ünal", "paß\u0000wort\n"],
] as const)("%s with %j is read as it was meant", ([user, password]) => {
  expect(readBasic([basicHeader({ user, password })])).toEqual({ kind: "login", login: { user, password } });
});

test("the scheme's case and further blanks do not matter", () => {
  expect(readBasic([`bAsIc   ${encode("a:b")}`])).toEqual({ kind: "login", login: { user: "a", password: "b" } });
});

test.for([[[]], [[""]], [["Basic Og=="]], [["basic og=="]]] as const)("%j shows nothing", ([authorization]) => {
  expect(readBasic(authorization)).toEqual({ kind: "none" });
  expect(showsSomething(authorization)).toBe(false);
});

test.for([
  ["%%%", "Basic %%%", "no base64"],
  ["nothing", "Basic", "no base64"],
  ["two words", `Basic ${encode("a:b")} x`, "no base64"],
  ["base64 without its padding", "Basic YTpiYw", "no base64"],
  ["base64 with another spelling of the same bytes", "Basic YTpiYx==", "no base64"],
  ["base64url", `Basic ${Buffer.from("a:\u00ff?>").toString("base64url")}`, "no base64"],
  ["no colon", `Basic ${encode("alice")}`, "no colon"],
  ["bytes that are no UTF-8", `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString("base64")}`, "not UTF-8"],
  ["an empty user name", `Basic ${encode(":pw")}`, "no user name"],
  ["a user name of blanks", `Basic ${encode(" \t:pw")}`, "no user name"],
  ["a user name without end", `Basic ${encode(`${"a".repeat(513)}:pw`)}`, "a user name of more than 512 bytes"],
  ["another scheme", "Bearer abc", "not Basic"],
  ["a token without a scheme", "abc", "not Basic"],
] as const)("%s is a wrong password, not an absent one", ([, header, reason]) => {
  expect(readBasic([header])).toEqual({ kind: "unreadable", reason });
  expect(showsSomething([header])).toBe(true);
});

test("auth confusion: of two headers none is taken, whatever they hold", () => {
  const [good, empty] = [basicHeader({ user: "a", password: "b" }), ""];
  for (const authorization of [
    [good, good],
    [good, empty],
    [empty, empty],
    ["Bearer x", good],
  ]) {
    expect(readBasic(authorization)).toEqual({ kind: "unreadable", reason: "more than one Authorization header" });
    expect(showsSomething(authorization)).toBe(true);
  }
});

test("a keyed digest is the same for the same text, and for nothing and nobody else", () => {
  const digest = new KeyedDigest();
  const texts = ["", "Basic YTpi", "Basic YTpi ", "ü".repeat(10_000)];
  const digests = texts.map((text) => digest.of(text));
  expect(texts.map((text) => digest.of(text))).toEqual(digests);
  expect(new Set([...digests, ...texts.map((text) => new KeyedDigest().of(text))]).size).toBe(8);
  for (const written of digests) expect(written).toMatch(/^[A-Za-z0-9_-]{43}$/);
});
