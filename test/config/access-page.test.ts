/** docs/access-control.md says nothing that is not so. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { inquire, readAccess } from "../../src/access.ts";
import { parseGlob } from "../../src/oci/glob.ts";
import { readConfig } from "../../src/config/load.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/access-control.md"), "utf8");
const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = ""]) => text);

function configOf(text: string) {
  return readConfig(text, { configFile: "config.yaml", environment: {} }).config;
}

test.each(examples)("an example is good, and nothing is to be said about it: %#", async (text) => {
  const config = configOf(text);
  const access = await readAccess(config, new RegistryNames({ defaultNs: config.defaultNs, registries: config.registries }));
  expect(access?.notices).toEqual([]);
});

test("what auth check prints is what it says", async () => {
  const asked = [...page.matchAll(/^\$ ociregistry auth check .* --user (\S+) --repository (\S+)\n(.*)$/gm)];
  expect(asked).toHaveLength(2);
  for (const [, user, repository = "", said] of asked) {
    const inquiry = { user, groups: [], action: "read", repository, reference: undefined, client: undefined };
    const { isAllowed, rule } = await inquire(configOf(examples[0] ?? ""), inquiry, { environment: {}, nowMs: 0 });
    expect(`${user} may ${isAllowed ? "" : "not "}read ${repository}: ${rule}`).toBe(said);
  }
});

describe("the table of patterns", () => {
  const rows = [...page.matchAll(/^\| `([^`]+)` \| (`.*`) \| (`.*`) \|$/gm)].map(([, pattern = "", matching = "", others = ""]) => ({
    pattern,
    matching,
    others,
  }));
  const namesIn = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);

  test("is there", () => expect(rows.length).toBeGreaterThan(10));

  test.each(rows)("$pattern", ({ pattern, matching, others }) => {
    const glob = parseGlob(pattern);
    expect(namesIn(matching).filter((name) => !glob.matches(name))).toEqual([]);
    expect(namesIn(others).filter((name) => glob.matches(name))).toEqual([]);
  });
});
