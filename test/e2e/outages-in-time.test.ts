/** Outages by the clock: those that take long to tell from a slow upstream are left to `make prove outages`. */
import { expect, test } from "vitest";
import { runOutages } from "./outages-in-time.ts";

test("what is held goes out within two seconds and then at once, what is not fails as soon as can be told, and a recovery is found within five", async () => {
  const names = ["refuses connections", "answers no SYN", "answers 429", "shows an expired certificate", "lost its token service", "lost its CDN"];
  const { outages } = await runOutages({ names, neighbourPulls: 50 });
  expect(outages.map(({ name }) => name)).toEqual(names);
  for (const { name, heldAnswers, absentAnswers, absentStatus, absentKind, recoveredMs } of outages) {
    expect([name, heldAnswers.map(({ status }) => status)]).toEqual([name, heldAnswers.map(() => 200)]);
    expect([name, heldAnswers.filter(({ warning }) => warning === null).length]).toEqual([name, absentKind === "blob" ? heldAnswers.length : 0]);
    expect([name, absentAnswers.map(({ status }) => status)]).toEqual([name, absentAnswers.map(() => absentStatus)]);
    expect(Math.max(...heldAnswers.map(({ ms }) => ms)), name).toBeLessThan(2_000);
    expect(Math.max(...absentAnswers.map(({ ms }) => ms)), name).toBeLessThan(20_000);
    expect(recoveredMs, name).toBeLessThan(5_000);
  }
}, 60_000);
