import { describe, expect, test } from "vitest";
import { cronProblem, isTimezone } from "../../src/config/schedules.ts";

describe("cron expressions", () => {
  test.each(["0 4 * * 0", "*/5 * * * *", "0 0 1 jan *", "0 30 4 * * 1-5", "@daily"])("%j is one", (expression) => {
    expect(cronProblem(expression)).toBeUndefined();
  });

  test.each([
    ["61 * * * *", /minute/],
    ["soon", /./],
    ["* * *", /./],
  ])("%j is none, and its problem is said", (expression, problem) => {
    expect(cronProblem(expression)).toMatch(problem);
  });
});

test.each([
  ["UTC", true],
  ["Europe/Berlin", true],
  ["Middle/Earth", false],
  ["", false],
])("%j as a time zone: %j", (word, isOne) => {
  expect(isTimezone(word)).toBe(isOne);
});
