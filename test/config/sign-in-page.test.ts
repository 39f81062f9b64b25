/** docs/sign-in.md: every configuration in it is one, about which nothing is to be said but what the page says itself. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadText } from "./load-text.ts";

const page = await readFile(join(import.meta.dirname, "..", "..", "docs", "sign-in.md"), "utf8");
const environment = { REDIS_PASSWORD: "x" };
const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);

test("there is one for each provider", async () => {
  const named = await Promise.all(examples.map(async (text) => (await loadText(text, { environment })).config.auth?.openid?.providers ?? []));
  expect(new Set(named.flat().map(({ name }) => name))).toEqual(new Set(["oidc", "google", "gitlab", "github"]));
});

test.each(examples)("is a configuration: %#", async (text) => {
  const { config, notices } = await loadText(text, { environment });
  expect(config.auth).toBeDefined();
  expect(notices.filter((line) => !line.includes("does not call verified"))).toEqual([]);
});

test("RomM's variables are what they say", async () => {
  const [, block = ""] = /```sh\n([\s\S]*?)```/.exec(page) ?? [];
  const variables = Object.fromEntries(
    block
      .trim()
      .split("\n")
      .map((line) => line.split("=", 2)),
  );
  const { config } = await loadText("{}", { environment: variables });
  expect(config.auth?.openid?.providers).toMatchObject([{ name: "oidc", title: "authentik" }]);
});
