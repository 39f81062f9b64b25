import { expect, test } from "vitest";
import { budgetAddress, LoginBudgets, type Attempt } from "../../src/auth/login-budgets.ts";
import { TestClock } from "../support/test-clock.ts";

const address = "192.0.2.1";

class Arranged {
  readonly clock = new TestClock();
  readonly #budgets: LoginBudgets;

  constructor({ perUser = 30, perAddress = 600 } = {}) {
    this.#budgets = new LoginBudgets({ perUser, perAddress, clock: this.clock });
  }

  /** Undefined: nobody looks at the password. */
  enter(user: string, password: string, client = address): Attempt | undefined {
    const entered = this.#budgets.enter({ client, user, digest: `${user}:${password}` });
    return "retryAfterMs" in entered ? undefined : entered;
  }

  /** Whether a wrong password was looked at. */
  guess(user: string, password: string, client = address): boolean {
    const attempt = this.enter(user, password, client);
    attempt?.wrong();
    return attempt !== undefined;
  }

  /** How many of so many wrong passwords were looked at. */
  guesses(count: number, user: (index: number) => string, client = address): number {
    return range(count).filter((index) => this.guess(user(index), `guess${index}`, client)).length;
  }

  retryAfterMs(user: string): number | undefined {
    const entered = this.#budgets.enter({ client: address, user, digest: "x" });
    return "retryAfterMs" in entered ? entered.retryAfterMs : undefined;
  }
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}

test("30 wrong passwords a minute for one name from one address are looked at, and no more until the minute is over", async () => {
  const budgets = new Arranged();
  expect(budgets.guesses(100, () => "alice")).toBe(30);
  await budgets.clock.advance(59_999);
  expect(budgets.guess("alice", "x")).toBe(false);
  await budgets.clock.advance(1);
  expect(budgets.guesses(100, () => "alice")).toBe(30);
});

test("another name and another address have budgets of their own", () => {
  const budgets = new Arranged();
  budgets.guesses(30, () => "alice");
  expect(budgets.enter("alice", "x")).toBeUndefined();
  expect(budgets.enter("bob", "x")).toBeDefined();
  expect(budgets.enter("alice", "x", "192.0.2.2")).toBeDefined();
});

test("600 wrong passwords a minute from one address are looked at, whatever the names", async () => {
  const budgets = new Arranged();
  expect(budgets.guesses(1_000, (index) => `user${index}`)).toBe(600);
  expect(budgets.enter("somebody else", "x")).toBeUndefined();
  await budgets.clock.advance(60_000);
  expect(budgets.enter("somebody else", "x")).toBeDefined();
});

test("only wrong passwords count: not right ones, nor those that nobody could judge", () => {
  const budgets = new Arranged();
  for (const index of range(1_000)) {
    budgets.enter("alice", `right${index}`)?.right();
    budgets.enter("alice", `unjudged${index}`)?.abstained();
  }
  expect(budgets.enter("alice", "x")).toBeDefined();
});

test("passwords that are shown all at once count before they are judged", () => {
  const budgets = new Arranged();
  const entered = range(100).map((index) => budgets.enter("alice", `guess${index}`));
  const attempts = entered.filter((attempt) => attempt !== undefined);
  expect(attempts.length).toBe(30);
  for (const attempt of attempts) attempt.abstained();
  expect(budgets.enter("alice", "x")).toBeDefined();
});

test("what was right within a day is looked at whatever the budgets say, and what is right once more stays so", async () => {
  const budgets = new Arranged();
  budgets.enter("alice", "right")?.right();
  budgets.guesses(1_000, (index) => `user${index}`);
  budgets.guesses(1_000, () => "alice");
  expect(budgets.enter("alice", "right")).toBeDefined();
  expect(budgets.enter("alice", "other")).toBeUndefined();
  await budgets.clock.advance(23 * 3_600_000);
  budgets.enter("alice", "right")?.right();
  await budgets.clock.advance(23 * 3_600_000);
  budgets.guesses(1_000, () => "alice");
  expect(budgets.enter("alice", "right")).toBeDefined();
  await budgets.clock.advance(3_600_000);
  budgets.guesses(1_000, () => "alice");
  expect(budgets.enter("alice", "right")).toBeUndefined();
});

test("what was right and is wrong now counts, and is no longer known", () => {
  const budgets = new Arranged({ perUser: 2 });
  budgets.enter("alice", "old")?.right();
  expect(range(5).map(() => budgets.guess("alice", "old"))).toEqual([true, true, false, false, false]);
});

test("0 is no budget", () => {
  const budgets = new Arranged({ perUser: 0, perAddress: 0 });
  expect(budgets.guesses(2_000, () => "alice")).toBe(2_000);
});

test("whoever is over the budget hears when it is worth coming back", async () => {
  const budgets = new Arranged();
  budgets.guesses(30, () => "alice");
  await budgets.clock.advance(20_000);
  expect(budgets.retryAfterMs("alice")).toBe(40_000);
  expect(budgets.retryAfterMs("bob")).toBeUndefined();
});

test("who has failed more waits longer, those who are known wait for nobody", () => {
  const budgets = new Arranged();
  budgets.enter("known", "right")?.right();
  budgets.guesses(10, () => "alice");
  const ranks = [budgets.enter("known", "right"), budgets.enter("bob", "x", "192.0.2.9"), budgets.enter("carol", "x"), budgets.enter("alice", "x")];
  const numbers = ranks.map((attempt) => attempt?.rank ?? NaN);
  expect(numbers).toEqual(numbers.toSorted((one, other) => one - other));
  expect(numbers[0]).toBe(-1);
});

test.for([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::ffff:c000:201", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0DB8:0001:0002::1", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["no address", "no address"],
] as const)("%s counts as %s", ([client, counted]) => {
  expect(budgetAddress(client)).toBe(counted);
});

test("an IPv6 user has one budget however many addresses of the /64 are used, and the next one another", () => {
  const budgets = new Arranged();
  expect(range(100).filter((index) => budgets.guess("alice", `guess${index}`, `2001:db8:1:2::${index.toString(16)}`)).length).toBe(30);
  expect(budgets.enter("alice", "x", "2001:db8:1:3::1")).toBeDefined();
});
