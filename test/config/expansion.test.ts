import { describe, expect, test } from "vitest";
import { expandVariables } from "../../src/config/expansion.ts";

const environment = { USER: "ann", EMPTY: "", NESTED: "${USER}" };

describe("variables in texts", () => {
  test.each([
    ["${USER}", "ann"],
    ["a ${USER} b ${USER}", "a ann b ann"],
    ["${USER:-bob}", "ann"],
    ["${NOBODY:-bob}", "bob"],
    ["${EMPTY:-bob}", "bob"],
    ["${EMPTY}", ""],
    ["${NOBODY:-}", ""],
    ["${NOBODY:-a:-b}", "a:-b"],
    ["$${USER}", "${USER}"],
    ["$USER $ {USER} $2y$10$abc", "$USER $ {USER} $2y$10$abc"],
    ["${NESTED}", "${USER}"],
  ])("%s becomes %s", (text, expected) => {
    expect(expandVariables(text, environment)).toEqual({ kind: "expanded", text: expected });
  });

  test("a variable that is not there and has no default is a problem that names it", () => {
    expect(expandVariables("x${NOBODY}", environment)).toMatchObject({ kind: "failed", problem: expect.stringContaining("no NOBODY") });
  });

  test.each(["${", "${USER", "${}", "${1}", "${a-b}", "${USER:b}"])("%s is a problem that says how to write the characters", (text) => {
    expect(expandVariables(text, environment)).toMatchObject({ kind: "failed", problem: expect.stringContaining("$${") });
  });
});
