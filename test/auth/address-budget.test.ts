/** How often strangers may ask, by address and by network: nobody's addresses are so many that others have none. */
import { expect, test } from "vitest";
import { AddressBudget } from "../../src/auth/address-budget.ts";
import { TestClock } from "../support/test-clock.ts";

function setup(perAddress = 2, perNetwork = 4, inAll = 10) {
  const clock = new TestClock();
  return { clock, budget: new AddressBudget({ perAddress, perNetwork, inAll, windowMs: 1_000, clock }) };
}

test("an address is one however it is written, and one of IPv6 is its /64", () => {
  const { budget } = setup();
  expect([budget.spend("10.0.0.1"), budget.spend("::ffff:10.0.0.1"), budget.spend("10.0.0.1")]).toEqual([undefined, undefined, { waitMs: 1_000 }]);
  expect([budget.spend("2001:db8::1"), budget.spend("2001:db8::2"), budget.spend("2001:db8::3")]).toEqual([undefined, undefined, { waitMs: 1_000 }]);
});

test("a network that asks from all its addresses uses up its own part, and nobody else's", async () => {
  const { clock, budget } = setup();
  const asked = Array.from({ length: 256 }, (_, net) => budget.spend(`2001:db8:0:${net.toString(16)}::1`));
  expect(asked.filter((spent) => spent === undefined)).toHaveLength(4);
  expect([budget.spend("2001:db8:1::1"), budget.spend("198.51.100.7")]).toEqual([undefined, undefined]);
  await clock.advance(1_000);
  expect(budget.spend("2001:db8:0:ff::1")).toBeUndefined();
});

test("what an address was refused does not count for its network", () => {
  const { budget } = setup();
  for (let asked = 0; asked < 10; asked++) budget.spend("2001:db8::1");
  expect([budget.spend("2001:db8:0:1::1"), budget.spend("2001:db8:0:1::1"), budget.spend("2001:db8:0:2::1")]).toEqual([
    undefined,
    undefined,
    { waitMs: 1_000 },
  ]);
});

test("addresses of IPv4 that look alike are no network", () => {
  const { budget } = setup();
  expect(Array.from({ length: 10 }, (_, last) => budget.spend(`10.0.0.${last}`)).filter(Boolean)).toEqual([]);
  expect(budget.spend("10.0.0.77")).toEqual({ waitMs: 1_000 });
});
