import { inspect } from "node:util";
import { expect, test } from "vitest";
import { Secret } from "../../src/oci/secret.ts";

test("a secret shows itself only when it is asked to", () => {
  const secret = new Secret("hunter2");
  const printed = [
    String(secret),
    ["", secret].join(""),
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    Object.values(secret).join(),
  ];
  for (const text of printed) expect(text).not.toContain("hunter2");
  expect(JSON.stringify({ secret })).toBe('{"secret":"***"}');
  expect(secret.reveal()).toBe("hunter2");
});
