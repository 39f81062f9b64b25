import { expect, test } from "vitest";
import { textLine } from "../../src/operations/text-line.ts";

const time = "2026-11-22T08:07:17.587Z";
const at = new Date(time).toTimeString().slice(0, 8);

function text(event: object): string {
  return textLine(`${JSON.stringify(event)}\n`, { colorize: false });
}

test("a request is one short line", () => {
  const request = {
    level: "info",
    time,
    requestId: "r-1",
    method: "GET",
    repository: "docker.io/library/alpine",
    reference: "3.20",
    status: 200,
    bytes: 491,
    ms: 12.4,
    outcome: "hit",
    client: "10.0.0.7",
    msg: "request",
  };
  expect(text(request)).toBe(`${at} GET docker.io/library/alpine:3.20 200 491 B 12 ms hit from 10.0.0.7\n`);
  expect(text({ ...request, reference: "sha256:ab", bytes: 268_435_456, user: "ann" })).toBe(
    `${at} GET docker.io/library/alpine@sha256:ab 200 256 MiB 12 ms hit from ann@10.0.0.7\n`,
  );
});

test("a request that failed shows the id by which it can be found", () => {
  expect(text({ level: "info", time, requestId: "r-2", method: "GET", status: 502, bytes: 99, ms: 3, client: "::1", msg: "request" })).toBe(
    `${at} GET 502 99 B 3 ms from ::1 (r-2)\n`,
  );
});

test("anything else is its sentence and its fields; a milder level than warn is not named", () => {
  expect(text({ level: "info", time, host: "::", port: 8080, msg: "listening" })).toBe(`${at} listening host=:: port=8080\n`);
  expect(text({ level: "warn", time, because: "two words", msg: "something" })).toBe(`${at} WARN something because="two words"\n`);
});

test("an error shows where it came from", () => {
  expect(text({ level: "error", time, error: { message: "broken", stack: "Error: broken\n    at here" }, msg: "request failed" })).toBe(
    `${at} ERROR request failed\n  Error: broken\n      at here\n`,
  );
});

test("what a stranger wrote cannot steer the terminal", () => {
  const line = text({ level: "info", time, client: "\u001B[2Jx\u0007", msg: "m" });
  for (const control of ["\u001B", "\u0007"]) expect(line).not.toContain(control);
});

test("a line that is not ours stays as it came", () => {
  expect(textLine("plain\n", { colorize: true })).toBe("plain\n");
});
