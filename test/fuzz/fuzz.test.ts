import { randomInt } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parsers } from "./parsers.ts";

const inputs = 2_000;

describe("whatever it is given, it throws nothing but its own error, is quick, and keeps its promises", () => {
  test.each(parsers)("$name", ({ fuzz }) => {
    const { failure, taken } = fuzz({ inputs, seed: randomInt(2 ** 31) });
    expect(failure).toBeUndefined();
    // A generator whose inputs are all refused would try nothing.
    expect(taken).toBeGreaterThan(0);
  });
});
