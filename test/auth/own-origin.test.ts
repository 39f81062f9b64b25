import { describe, expect, test } from "vitest";
import { OwnOrigin } from "../../src/auth/own-origin.ts";

const typed = { origin: "http://registry.example.com:8080", pageOrigin: undefined, fetchSite: undefined };
const unnamed = new OwnOrigin({ externalUrl: undefined, secureSession: false, callbackAllowOrigins: ["https://ui.example.com"] });
const named = new OwnOrigin({ externalUrl: "https://registry.example.com", secureSession: false, callbackAllowOrigins: [] });

describe("whose page made a browser ask", () => {
  test.each([
    ["nobody's, when it says nothing", {}, "none"],
    ["nobody's, when somebody typed it", { fetchSite: "none" }, "none"],
    ["ours, by its origin", { pageOrigin: "http://registry.example.com:8080" }, "ours"],
    ["ours, by the browser's word", { fetchSite: "same-origin" }, "ours"],
    [
      "ours, by the browser's word, though a proxy has made another origin of ours",
      { fetchSite: "same-origin", pageOrigin: "https://elsewhere.example" },
      "ours",
    ],
    ["a foreign one", { pageOrigin: "https://evil.example" }, "foreign"],
    ["another port's", { pageOrigin: "http://registry.example.com" }, "foreign"],
    ["another scheme's", { pageOrigin: "https://registry.example.com:8080" }, "foreign"],
    ["one that hides where it comes from", { pageOrigin: "null" }, "foreign"],
    ["a foreign one that claims to be ours, by the browser's word", { fetchSite: "cross-site", pageOrigin: "http://registry.example.com:8080" }, "foreign"],
    ["a sibling's", { fetchSite: "same-site" }, "foreign"],
    ["what no browser says", { fetchSite: "" }, "foreign"],
  ] as const)("%s", (_, said, page) => {
    expect(unnamed.pageBehind({ ...typed, ...said })).toBe(page);
  });

  test("is ours by the name that the operator gave us, too", () => {
    expect(named.pageBehind({ ...typed, pageOrigin: "https://registry.example.com" })).toBe("ours");
    expect(named.pageBehind({ ...typed, pageOrigin: "https://registry.example.com.evil.example" })).toBe("foreign");
  });
});

describe("what browsers call us", () => {
  test("is what the operator says, else what they asked for", () => {
    expect([named.urlFor(typed), unnamed.urlFor(typed)]).toEqual(["https://registry.example.com", typed.origin]);
  });

  test("decides whether cookies are for TLS alone", () => {
    const told = new OwnOrigin({ externalUrl: undefined, secureSession: true, callbackAllowOrigins: [] });
    expect([named, unnamed, told].map((own) => own.isSecure(typed))).toEqual([true, false, true]);
    expect(unnamed.isSecure({ ...typed, origin: "https://registry.example.com" })).toBe(true);
  });

  test("is where they may be sent on to, beside whom the operator named", () => {
    const sent = (written: string | null, own = unnamed): string => own.callbackAddress(written, typed);
    expect([sent(null), sent("/home"), sent("http://registry.example.com:8080/home")]).toEqual(["", "/home", "http://registry.example.com:8080/home"]);
    expect([sent("https://ui.example.com/x"), sent("https://ui.example.com/x", named), sent("https://registry.example.com/x")]).toEqual([
      "https://ui.example.com/x",
      "/",
      "/",
    ]);
  });
});
