/** Small words of pages: times, shares, addresses. */
import { describe, expect, test } from "vitest";
import { parseReference } from "../../src/oci/reference.ts";
import { imageHref, parseName, repositoryHref, withQuery } from "../../src/web/addresses.ts";
import { ago, distance, html, percent, plainText, writtenTime } from "../../src/web/markup.ts";
import { repositoryNamed } from "../support/deposited-images.ts";

const minuteMs = 60_000;

test("times are told by their largest step, and their direction", () => {
  const told = [0, 59_999, minuteMs, 90 * minuteMs, 49 * 60 * minuteMs, 400 * 24 * 60 * minuteMs, -5, -2 * minuteMs].map((ms) => distance(ms));
  expect(told).toEqual(["just now", "just now", "1 minute ago", "1 hour ago", "2 days ago", "1 year ago", "in a moment", "in 2 minutes"]);
});

test("a time that no calendar knows, or that is none, is shown all the same", () => {
  expect(ago(Number.MAX_SAFE_INTEGER, 0).toString()).toContain("+275760-09-13");
  expect(ago(undefined, 0).toString()).toContain("never");
  expect(writtenTime("<yesterday>", 0).toString()).toContain("&lt;yesterday&gt;");
  expect(writtenTime("1970-01-01T00:00:00Z", Date.now()).toString()).toContain("1970-01-01T00:00:00Z");
});

test("a share is neither all nor nothing unless it is", () => {
  expect([percent(0, 0), percent(0, 10), percent(1, 1_000), percent(5, 10), percent(999, 1_000), percent(10, 10)]).toEqual([
    "–",
    "0%",
    "<1%",
    "50%",
    ">99%",
    "100%",
  ]);
});

test("what is put into markup is text, also inside an attribute and a list", () => {
  const text = `<b>"it's" & more</b>`;
  expect(html`<i title="${text}">${[text, html`<u>${text}</u>`]}</i>`.toString()).toBe(
    `<i title="${escaped(text)}">${escaped(text)}<u>${escaped(text)}</u></i>`,
  );
});

test("what would show as nothing is written out, and what shows is left", () => {
  for (const unseen of ["\u202E", "\u200B", "\u3164", "\u115F", "\uFFA0", "\u034F", "\uFE0F", "\u2800", "\u{E0100}"])
    expect(plainText(`a${unseen}b`)).toBe(`a\\u{${unseen.codePointAt(0)?.toString(16)}}b`);
  for (const shown of ["Alice's laptop", "é é 한국 שלום 🐳", "a…b – c"]) expect(plainText(shown)).toBe(shown);
});

describe("an address", () => {
  test.each([
    ["docker.io/library/alpine", undefined],
    ["localhost:5000/a/b", undefined],
    ["[::1]:5000/a", undefined],
    ["docker.io/library/alpine", "3.20"],
    ["docker.io/library/alpine", `sha256:${"a".repeat(64)}`],
  ])("of %s %s is read as it was written", (name, written) => {
    const repository = repositoryNamed(name);
    const reference = written === undefined ? undefined : parseReference(written);
    const href = reference ? imageHref(repository, reference) : repositoryHref(repository);
    expect(parseName(decodeURIComponent(new URL(href, "http://localhost").pathname).replace("/home/repositories/", ""))).toEqual({ repository, reference });
  });

  test.each(["", "/", "alpine", "docker.io", "Docker.io/a", "index.docker.io/library/alpine", "a.example/A", "a.example/x:.", "a.example/x@tag"])(
    "%s is none",
    (name) => {
      expect(() => parseName(name)).toThrow(/not|tag/);
    },
  );

  test("carries what is set, and nothing else", () => {
    expect(withQuery("/home", { a: "", b: undefined, c: "x y", d: 0 })).toBe("/home?c=x+y&d=0");
    expect(withQuery("/home", {})).toBe("/home");
  });
});

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}
