import { describe, expect, test } from "vitest";
import { callbackAddress } from "../../src/auth/callback-address.ts";

/** The operator's own, and one that is allowed. */
const origins = ["https://registry.example.com", "https://example.com:443", "http://zot.example.com:8080"];

describe("a browser is sent on", () => {
  test.each([
    "/v2/",
    "/",
    "/home?x=1",
    "/home#tags",
    "https://registry.example.com/home",
    "https://example.com/home",
    "http://zot.example.com:8080/home",
    "/home?next=https://evil.com/",
  ])("to %s", (written) => {
    expect(callbackAddress(written, origins)).toBe(written);
  });

  test.each([
    ["HTTPS://EXAMPLE.COM/home", "https://example.com/home"],
    ["https://example.com:443/home", "https://example.com/home"],
  ])("whatever the case, and however the default port is written: %s", (written, address) => {
    expect(callbackAddress(written, origins)).toBe(address);
  });

  test("nowhere, when nobody said where", () => expect(callbackAddress("", origins)).toBe(""));
});

describe("a browser is not sent on", () => {
  test.each([
    ["to a host that nobody allowed", "https://evil.com/home"],
    ["to another port", "https://example.com:8443/home"],
    ["to another scheme", "http://example.com/home"],
    ["without the scheme", "//evil.com"],
    ["without a slash", "v2/"],
    ["to a script", "javascript:alert(1)"],
    ["to data", "data:text/html,x"],
    ["without a host", "http:///path"],
    ["with three slashes", "https:///evil.com/"],
    ["with one slash", "https:/evil.com"],
    ["with no slash", "https:evil.com"],
    ["with a line break", "/home\r\nSet-Cookie: a=b"],
    ["with a line feed", "/ho\nme"],
    ["with a carriage return", "/ho\rme"],
    ["by a tab that browsers drop", "/\t/evil.com"],
    ["by a tab in the scheme", "java\tscript:alert(1)"],
    ["with a blank before it", " //evil.com"],
    ["with a NUL", "/\0/evil.com"],
    ["by a backslash", "/\\evil.com"],
    ["by two backslashes", "\\\\evil.com"],
    ["by a backslash further on", "/v2\\evil.com"],
    ["by an encoded backslash", "/%5Cevil.com"],
    ["by an encoded backslash in lower case", "/%5cevil.com"],
    ["by a user name that looks like us", "https://example.com@evil.com/"],
    ["with a user name", "https://user@example.com/"],
    ["with a password", "https://user:password@example.com/"],
    ["to a host that ends like ours", "https://evil-example.com/"],
    ["to a host that begins like ours", "https://example.com.evil.com/"],
    ["to a host in letters that only look so", "https://еxample.com/"],
    ["to what is no address", "https://exa mple.com/"],
    ["to an address without end", `/${"a".repeat(2_048)}`],
  ])("%s", (_, written) => {
    expect(callbackAddress(written, origins)).toBe("/");
  });

  test("anywhere but to a path, where no origin is allowed", () => {
    expect(callbackAddress("https://example.com/home", [])).toBe("/");
    expect(callbackAddress("/home", [])).toBe("/home");
  });
});
