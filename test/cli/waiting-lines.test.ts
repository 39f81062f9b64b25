import { expect, test } from "vitest";
import { WaitingLines } from "../../src/cli/waiting-lines.ts";
import { TestClock } from "../support/test-clock.ts";
import { CapturedIo } from "./captured-io.ts";

test("who waits is told every few seconds, and no more when it is over", async () => {
  const [io, clock] = [new CapturedIo(), new TestClock()];
  const waiting = new WaitingLines({ io, clock, text: "looking" });
  waiting.tell("looking: 3 images so far");
  await clock.advance(5_000);
  waiting.tell("another process prunes", { isNews: true });
  waiting[Symbol.dispose]();
  await clock.advance(60_000);
  expect(io.errors).toBe("looking\nlooking: 3 images so far\nanother process prunes\n");
});

test("who waits for a moment only is told nothing", async () => {
  const [io, clock] = [new CapturedIo(), new TestClock()];
  const waiting = new WaitingLines({ io, clock, text: "looking", afterMs: 1_000 });
  await clock.advance(999);
  expect(io.errors).toBe("");
  await clock.advance(1);
  expect(io.errors).toBe("looking\n");
  waiting.end();
  await clock.advance(60_000);
  expect(io.errors).toBe("looking\n");
});
