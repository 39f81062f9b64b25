/** docs/upstreams.md: what it shows works as it stands. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { providerNames } from "../../src/config/provider-options.ts";
import { problemsOf } from "./load-text.ts";

const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "upstreams.md"), "utf8");
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({ title: text.split("\n", 1)[0] ?? "", text }));
/** Whole configurations; what is only a piece of one is indented. */
const examples = sections.flatMap(({ title, text }) => [...text.matchAll(/^```yaml\n(registries:[^]*?)^```/gm)].map(([, yaml = ""]) => ({ title, yaml })));
/** Variables that the examples name. */
const environment = Object.fromEntries([...page.matchAll(/FromEnv: ([A-Z_]+)/g)].map(([, name = ""]) => [name, "value"]));

describe("docs/upstreams.md", () => {
  test.each(examples)("shows a configuration that loads, under $title", async ({ yaml }) => {
    expect(await problemsOf(yaml, { environment })).toEqual([]);
  });

  test("shows one for every provider", () => {
    const shown = new Set(examples.flatMap(({ yaml }) => [...yaml.matchAll(/provider: ([a-z0-9-]+)/g)].map(([, name]) => name)));
    expect(shown).toEqual(new Set(providerNames));
  });
});
