/** docs/security.md: every configuration in it is one, and its table names every key of zot's that we read. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadText } from "./load-text.ts";

const page = await readFile(join(import.meta.dirname, "..", "..", "docs", "security.md"), "utf8");
const examples = [...page.matchAll(/### (.+)\n[^#]*?```yaml\n([\s\S]*?)```/g)].map(([, title = "", text = ""]) => ({ title, text }));

test("there is one for each method", () => {
  expect(examples.map(({ title }) => title)).toEqual([
    "A file of users",
    "A directory",
    "Client certificates",
    "Tokens of a token service",
    "Tokens of workloads",
    "Tokens of our own",
    "API keys",
  ]);
});

test.each(examples)("$title", async ({ text }) => {
  const { config, notices } = await loadText(text);
  expect(config.auth).toBeDefined();
  expect(notices).toEqual([]);
});

test.each(["htpasswd", "ldap", "mtls", "failDelay", "bearer.realm", "bearer.oidc", "openid", "apikey", "accessControl", "tokenService", "failBudget"])(
  "the table of zot's keys tells of %s",
  (key) => {
    const rows = page.slice(page.indexOf("### zot's keys")).split("\n## ", 1)[0] ?? "";
    expect(rows).toContain(key.split(".").at(-1));
  },
);
