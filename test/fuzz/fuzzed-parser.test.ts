import fc from "fast-check";
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { fuzzed, type ParserOptions } from "./fuzzed-parser.ts";

class OwnError extends Error {}

const run = (options: Partial<ParserOptions<string, number>>, inputs = 200) =>
  fuzzed({ name: "number", inputs: fc.string(), parse: Number, ...options }).fuzz({ inputs, seed: 7 });

describe("a parser under test", () => {
  test("that keeps its promises is told by how many inputs it took", () => {
    const parse = (text: string): number => {
      if (text.length % 2 === 1) throw new OwnError();
      return text.length;
    };
    const result = run({ parse, isOwnError: (error) => error instanceof OwnError, check: (length, text) => assert.equal(length, text.length) });
    expect(result).toMatchObject({ inputs: 200, failure: undefined });
    expect(result.taken).toBeGreaterThan(20);
    expect(result.taken).toBeLessThan(180);
  });

  test("that throws somebody else's error fails, and the input and the seed are told", () => {
    const parse = (text: string): number => {
      if (text.includes("a")) throw new TypeError("surprise");
      return 0;
    };
    const { failure } = run({ parse, isOwnError: (error) => error instanceof OwnError }, 2_000);
    expect(failure).toContain('Counterexample: ["a"]');
    expect(failure).toContain("seed: 7");
    expect(failure).toContain("surprise");
  });

  test("that breaks a promise fails", () => {
    expect(run({ check: (_, text) => assert.ok(text.length < 5) }).failure).toContain('Counterexample: ["     "]');
  });

  test("that takes long for one input fails, but not one that only seemed to", () => {
    // By the processor's time, as it is measured: on a busy machine a while is not work.
    const busyMs = (ms: number): number => {
      const before = process.threadCpuUsage();
      for (;;) {
        const { user, system } = process.threadCpuUsage(before);
        if (user + system >= ms * 1_000) return 0;
      }
    };
    expect(run({ parse: (text) => busyMs(text === "" ? 3 : 0), limitMs: 1 }, 100).failure).toMatch(/takes \d\.\d ms: at most 1/);
    let calls = 0;
    expect(run({ parse: () => busyMs(++calls === 1 ? 3 : 0), limitMs: 1 }, 100)).toMatchObject({ failure: undefined, inputs: 100 });
  });

  test("that is slow by nature gets its share", () => {
    expect(run({ share: 0.1 })).toMatchObject({ inputs: 20 });
  });
});
