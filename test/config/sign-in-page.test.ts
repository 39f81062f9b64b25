/** docs/sign-in.md: every configuration in it is one, and nothing is to be said about it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadText } from "./load-text.ts";

const page = await readFile(join(import.meta.dirname, "..", "..", "docs", "sign-in.md"), "utf8");
const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);

test("there are some", () => expect(examples.length).toBeGreaterThanOrEqual(2));

test.each(examples)("an example is one: %#", async (text) => {
  const environment = Object.fromEntries([...text.matchAll(/\$\{(\w+)\}/g)].map(([, name = ""]) => [name, "x"]));
  const { config, notices } = await loadText(text, { environment });
  expect(config.auth).toBeDefined();
  expect(notices).toEqual([]);
});
