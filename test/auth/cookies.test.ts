import { expect, test } from "vitest";
import { cookieNames, endCookie, findCookie, writeCookie } from "../../src/auth/cookies.ts";

const [plain, secure] = [{ isSecure: false }, { isSecure: true }];

test("over TLS a cookie is bound to this very host and to TLS", () => {
  expect(writeCookie({ name: "session", value: "x.y", lifeMs: 7_200_000, ...secure })).toBe(
    "__Host-session=x.y; Path=/; Max-Age=7200; HttpOnly; SameSite=Lax; Secure",
  );
});

test("without TLS it is hidden from scripts and from other sites' forms all the same", () => {
  expect(writeCookie({ name: "session", value: "x.y", lifeMs: 7_200_000, ...plain })).toBe("session=x.y; Path=/; Max-Age=7200; HttpOnly; SameSite=Lax");
  expect(endCookie("session", plain)).toBe("session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
});

test("a cookie is found by its whole name", () => {
  expect(findCookie("a=b; session=x.y;c=d", "session", plain)).toBe("x.y");
  expect(findCookie("__Host-session=x.y", "session", secure)).toBe("x.y");
  expect(findCookie("session=a=b", "session", plain)).toBe("a=b");
  for (const header of [undefined, "", "session", "session=", "Session=x", "mysession=x", "session.x=y"])
    expect(findCookie(header, "session", plain)).toBeUndefined();
});

test("one that was set without TLS is none with TLS, nor the other way round", () => {
  expect(findCookie("session=planted", "session", secure)).toBeUndefined();
  expect(findCookie("__Host-session=x", "session", plain)).toBeUndefined();
});

test("of two of one name none counts: a sibling host may have planted one", () => {
  expect(findCookie("session=planted; session=mine", "session", plain)).toBeUndefined();
});

test("a header of thousands of cookies is not read to its end", () => {
  expect(findCookie(`${"a=b; ".repeat(5_000)}session=x`, "session", plain)).toBeUndefined();
});

test("cookies are listed by how they begin", () => {
  expect(cookieNames("login-a=1; other=2; login-b=3", "login-", plain)).toEqual(["login-a", "login-b"]);
  expect(cookieNames("__Host-login-a=1; login-b=3", "login-", secure)).toEqual(["login-a"]);
});
