/** The list of threats stands on tests and on code that are there; `make prove threats` shows that each test fails without its defence. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { threats } from "./threats.ts";

const root = join(import.meta.dirname, "..", "..");

test("there are forty, each once, and those that do not concern us say why", () => {
  expect(threats.map(({ number }) => number)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  for (const { number, shown, because } of threats) expect([number, shown.length > 0], `threat ${number}`).toEqual([number, because === undefined]);
});

describe.each(threats.filter(({ shown }) => shown.length > 0))("threat $number: $what", ({ shown }) => {
  test.each(shown)("is shown by $file: $test (without $without)", async ({ file, test: name, row = "", edits }) => {
    const text = await readFile(join(root, "test", file), "utf8");
    expect(text).toContain(name);
    expect(text).toContain(row);
    expect(edits.length).toBeGreaterThan(0);
    for (const edit of edits) {
      const source = await readFile(join(root, "src", edit.file), "utf8");
      expect([edit.text, source.split(edit.text).length - 1]).toEqual([edit.text, 1]);
      expect(edit.replacement).not.toBe(edit.text);
    }
  });
});
