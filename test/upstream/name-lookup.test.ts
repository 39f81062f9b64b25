import { describe, expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import type { Resolve } from "../../src/upstream/upstream-options.ts";
import { NameLookup } from "../../src/upstream/name-lookup.ts";
import { TestClock } from "../support/test-clock.ts";
import { failureOf } from "./asking.ts";

const good = [{ address: "192.0.2.7", family: 4 }];

function setUp(resolve: Resolve) {
  const clock = new TestClock();
  const asked: string[] = [];
  const names = new NameLookup({
    clock,
    background: new Background(silentLog),
    lookupMs: 4_000,
    resolve: (name) => {
      asked.push(name);
      return resolve(name);
    },
  });
  return { clock, names, asked };
}

describe("a name", () => {
  test("is looked up once for all who wait, and not again for a while", async () => {
    const { clock, names, asked } = setUp(() => Promise.resolve(good));
    await Promise.all([names.addressesOf("a"), names.addressesOf("a")]);
    await names.addressesOf("a");
    expect(asked).toEqual(["a"]);
    await clock.advance(5_000);
    await names.addressesOf("a");
    expect(asked).toEqual(["a", "a"]);
  });

  test("that is in doubt is looked up again, and keeps its last good address where that fails", async () => {
    let isDown = false;
    const { names, asked } = setUp(() => (isDown ? Promise.reject(new Error("EAI_AGAIN")) : Promise.resolve(good)));
    await names.addressesOf("a");
    names.doubt("a");
    await names.addressesOf("a");
    expect(asked).toEqual(["a", "a"]);
    isDown = true;
    names.doubt("a");
    expect(await names.addressesOf("a")).toEqual(good);
    expect(asked).toEqual(["a", "a", "a"]);
  });

  test("keeps its last good address while the resolver fails", async () => {
    let isDown = false;
    const { clock, names } = setUp(() => (isDown ? Promise.reject(new Error("EAI_AGAIN")) : Promise.resolve(good)));
    await names.addressesOf("a");
    isDown = true;
    await clock.advance(3_600_000);
    expect(await names.addressesOf("a")).toEqual(good);
    await expect(names.addressesOf("never-known")).rejects.toThrow("EAI_AGAIN");
  });

  test("keeps its last good address while the resolver hangs, after a fifth of a second", async () => {
    let isDown = false;
    const { clock, names } = setUp(() => (isDown ? new Promise(() => {}) : Promise.resolve(good)));
    await names.addressesOf("a");
    isDown = true;
    await clock.advance(10_000);
    const answer = names.addressesOf("a");
    await clock.advance(200);
    expect(await answer).toEqual(good);
  });

  test("that the resolver never answers times out", async () => {
    const { clock, names } = setUp(() => new Promise(() => {}));
    const answer = failureOf(names.addressesOf("a"), "UPSTREAM_TIMEOUT");
    await clock.advance(4_000);
    await answer;
  });

  test("whose look-ups never end leaves places for other names", async () => {
    let isDown = true;
    const { clock, names, asked } = setUp(() => (isDown ? new Promise(() => {}) : Promise.resolve(good)));
    for (let tries = 0; tries < 10; tries++) {
      const answer = failureOf(names.addressesOf("a"), "UPSTREAM_TIMEOUT");
      await clock.advance(4_000);
      await answer;
    }
    expect(asked.length).toBeLessThanOrEqual(4);
    isDown = false;
    expect(await names.addressesOf("b")).toEqual(good);
  });

  test("whose first look-up was lost is found by the next after its time", async () => {
    let isDown = true;
    const { clock, names } = setUp(() => (isDown ? new Promise(() => {}) : Promise.resolve(good)));
    const answer = failureOf(names.addressesOf("a"), "UPSTREAM_TIMEOUT");
    await clock.advance(4_000);
    await answer;
    isDown = false;
    expect(await names.addressesOf("a")).toEqual(good);
  });

  test("with no address is an error", async () => {
    const { names } = setUp(() => Promise.resolve([]));
    await expect(names.addressesOf("a")).rejects.toThrow("no address");
  });

  test("waits for its turn: few are looked up at once", async () => {
    const pending = new Map<string, () => void>();
    const { names, asked } = setUp((name) => new Promise((resolve) => pending.set(name, () => resolve(good))));
    const answers = Array.from({ length: 10 }, (_, number) => names.addressesOf(`n${number}`));
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toHaveLength(6);
    while (pending.size > 0) {
      for (const [name, done] of pending) {
        pending.delete(name);
        done();
      }
      await new Promise((resolve) => setImmediate(resolve));
      expect(asked.length - 10 + pending.size).toBeLessThanOrEqual(6);
    }
    await Promise.all(answers);
    expect(asked).toHaveLength(10);
  });
});
