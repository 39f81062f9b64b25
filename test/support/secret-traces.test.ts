import { expect, test } from "vitest";
import { isIn } from "./secret-traces.ts";

const secret = "p/ss+w?rd>of~us";

test.each([
  ["as it is", secret],
  ["in a URL", encodeURIComponent(secret)],
  ["in JSON", JSON.stringify({ secret })],
  ...["", "u", "us", "use", "user:"].flatMap((before) =>
    ["", "!", "!!"].flatMap((after): [string, string][] => {
      const base64 = Buffer.from(before + secret + after).toString("base64");
      const name = `between "${before}" and "${after}" in base64`;
      return [
        [name, base64],
        [`${name}, in a URL`, encodeURIComponent(base64)],
        [`${name}, for URLs`, Buffer.from(before + secret + after).toString("base64url")],
      ];
    }),
  ),
])("a secret is seen %s", (_how, text) => {
  expect(isIn(`before ${text} after`, secret)).toBe(true);
  expect(isIn(`before ${text} after`, "another thing")).toBe(false);
});
