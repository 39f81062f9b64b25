/** docs/config.md against the schema, the flags and the variables: each says what the other says. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { globalFlags, serveFlags } from "../../src/cli/flag-table.ts";
import { variableOf } from "../../src/config/environment.ts";
import { flagOf } from "../../src/config/flags.ts";
import { isNotYet } from "../../src/config/not-yet.ts";
import { Vocabulary } from "../../src/config/vocabulary.ts";
import { loadText } from "./load-text.ts";

const vocabulary = new Vocabulary();
/** Mirrors and credentials by repository have the `auth` and `tls` of registries: the page describes them once; so it does what zot has under `http`, and providers. */
const describedElsewhere =
  /^registries\[\]\.(endpoints|credentials)\[\]\.(auth|tls)\.|^http\.(auth|accessControl)\.|^auth\.openid\.providers\.(google|gitlab|github)\./;
const keys = vocabulary.keys().filter(({ name }) => !describedElsewhere.test(name));
let page = "";

beforeAll(async () => {
  page = await readFile(join(import.meta.dirname, "..", "..", "docs", "config.md"), "utf8");
});

describe("docs/config.md", () => {
  test("has a row for every key, and none for anything else", () => {
    expect(
      rows(page, "key")
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(keys.map(({ name }) => name).toSorted());
  });

  test("gives every key's default", () => {
    const defaults = Object.fromEntries(rows(page, "key").map(({ name, cells }) => [name, cells[2]]));
    expect(defaults).toEqual(Object.fromEntries(keys.map(({ name, schema }) => [name, written(schema.default)])));
  });

  test("puts the keys that are not supported yet, and no others, where it says so", () => {
    const section = page.slice(page.indexOf("\n## Not supported yet"), page.indexOf("\n## Environment"));
    expect(
      rows(section, "key")
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(
      keys
        .map(({ name }) => name)
        .filter(isNotYet)
        .toSorted(),
    );
  });

  test("has a row for every flag, and none for anything else", () => {
    const flags = [...globalFlags, ...serveFlags].map(({ key, value }) => (value === undefined ? flagOf(key) : `${flagOf(key)} ${value}`));
    expect(
      rows(page, "flag")
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(flags.toSorted());
  });

  test("names variables as they are spelt", () => {
    const spelt = vocabulary.scalarKeys().map(variableOf);
    for (const { name } of rows(page, "variable")) expect(spelt).toContain(name);
  });

  test("every example of a configuration in it is one", async () => {
    const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text ?? "");
    expect(examples).toHaveLength(4);
    for (const text of examples) await loadText(text);
  });
});

/** The rows of tables whose first column is headed `heading`. */
function rows(text: string, heading: string): readonly { readonly name: string; readonly cells: readonly string[] }[] {
  let isInside = false;
  return text.split("\n").flatMap((line) => {
    const cells = line.startsWith("|")
      ? line
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim())
      : undefined;
    if (!cells) isInside = false;
    else if (cells[0] === heading) isInside = true;
    else if (isInside && cells[0]?.startsWith("`")) return [{ name: cells[0].replaceAll("`", ""), cells }];
    return [];
  });
}

function written(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" || (typeof value === "string" && value !== "") ? `\`${value}\`` : "";
}
