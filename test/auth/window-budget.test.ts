/** How often something may be done: by one, by all, and from when on again. */
import { expect, test } from "vitest";
import { PollingPace } from "../../src/auth/polling-pace.ts";
import { WindowBudget } from "../../src/auth/window-budget.ts";
import { TestClock } from "../support/test-clock.ts";

test("one has so many times in a window that begins with the first, and is told how long to wait", async () => {
  const clock = new TestClock();
  const budget = new WindowBudget({ perOne: 2, inAll: 100, windowMs: 1_000, clock });
  await clock.advance(5_000);
  expect([budget.spend("a"), budget.spend("b")]).toEqual([undefined, undefined]);
  await clock.advance(400);
  expect([budget.spend("a"), budget.spend("a")]).toEqual([undefined, { waitMs: 600 }]);
  await clock.advance(599);
  expect(budget.spend("a")).toEqual({ waitMs: 1 });
  await clock.advance(1);
  expect([budget.spend("a"), budget.spend("a"), budget.spend("a")]).toEqual([undefined, undefined, { waitMs: 1_000 }]);
});

test("all together have so many, whoever they are, and what is refused counts for nobody", async () => {
  const clock = new TestClock();
  const budget = new WindowBudget({ perOne: 2, inAll: 3, windowMs: 1_000, clock });
  expect(["a", "b", "c"].map((who) => budget.spend(who))).toEqual([undefined, undefined, undefined]);
  for (let refused = 0; refused < 5; refused++) expect(budget.spend("d")).toEqual({ waitMs: 1_000 });
  budget.giveBack("a");
  expect([budget.spend("d"), budget.spend("d")]).toEqual([undefined, { waitMs: 1_000 }]);
});

test("what is given back may be spent again, and never makes more of it", () => {
  const budget = new WindowBudget({ perOne: 1, inAll: 1, windowMs: 1_000, clock: new TestClock() });
  for (let times = 0; times < 3; times++) budget.giveBack("a");
  expect([budget.spend("a"), budget.spend("a")]).toEqual([undefined, { waitMs: 1_000 }]);
});

test("who comes too soon is to come less often each time, a minute apart at most; a second too early is the network's doing", async () => {
  const clock = new TestClock();
  const pace = new PollingPace({ intervalMs: 5_000, clock });
  expect(pace.isTooSoon("a")).toBe(false);
  await clock.advance(4_000);
  expect(pace.isTooSoon("a")).toBe(false);
  await clock.advance(3_999);
  expect([pace.isTooSoon("a"), pace.isTooSoon("b")]).toEqual([true, false]);
  await clock.advance(8_999);
  expect(pace.isTooSoon("a")).toBe(true);
  for (let hasty = 0; hasty < 20; hasty++) expect(pace.isTooSoon("a")).toBe(true);
  await clock.advance(60_000);
  expect(pace.isTooSoon("a")).toBe(false);
});
