import { expect, test } from "vitest";
import { seal, unseal } from "../../src/auth/sealed-text.ts";

const by = { secret: "s".repeat(43), pepper: "", use: "tests" };

test("who has the secret reads it", () => {
  expect(unseal(seal("a refresh token, ü", by), by)).toBe("a refresh token, ü");
  expect(unseal(seal("", by), by)).toBe("");
});

test.each([
  ["another secret", { ...by, secret: "t".repeat(43) }],
  ["another key of the operator's", { ...by, pepper: "p" }],
  ["another use", { ...by, use: "something else" }],
])("%s does not open it", (_, other) => {
  expect(unseal(seal("a refresh token", by), other)).toBeUndefined();
});

test("what was changed, cut or made up is not opened", () => {
  const sealed = seal("a refresh token", by);
  const bytes = Buffer.from(sealed, "base64url");
  for (let at = 0; at < bytes.byteLength; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(unseal(changed.toString("base64url"), by)).toBeUndefined();
  }
  for (const cut of ["", sealed.slice(0, 20), sealed.slice(0, -4), "not base64 ..."]) expect(unseal(cut, by)).toBeUndefined();
});

test("the same text is never sealed alike, and shows nothing of itself", () => {
  const [one, other] = [seal("a refresh token", by), seal("a refresh token", by)];
  expect(one).not.toBe(other);
  expect(Buffer.from(one, "base64url").includes("refresh")).toBe(false);
});
