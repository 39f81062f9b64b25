/** Outages by the clock: those that take long to tell from a slow upstream are left to `make prove outages`. */
import { expect, test } from "vitest";
import { createTestAuthority } from "../support/certificates.ts";
import { startFakeDns } from "../support/fake-dns.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { nameWays, networkWays, type Ways } from "./outage-ways.ts";
import { runOutages, type OutagesResult } from "./outages-in-time.ts";

const quick = ["refuses connections", "answers no SYN", "answers 429", "shows an expired certificate", "lost its token service", "lost its CDN"];

test("what is held goes out within two seconds and then at once, what is not fails as soon as can be told, and a recovery is found within five", async () => {
  await using folder = await temporaryFolder();
  const all = networkWays(await createTestAuthority(folder.path));
  const ways: Ways = Object.fromEntries(Object.entries(all).filter(([name]) => quick.includes(name)));
  const result = await runOutages({ ways, neighbourPulls: 50 });
  expect(result.outages.map(({ name }) => name)).toEqual(quick);
  expectInTime(result);
}, 60_000);

test.runIf(requirePrograms("unshare") && requireRoot())(
  "so it is with name servers that are silent, broken, know nothing or lie, after a start that knows no address",
  async () => {
    await using dns = await startFakeDns();
    expectInTime(await runOutages({ ways: nameWays(dns), nameServer: dns.address, restarts: true, neighbourPulls: 50 }));
  },
  60_000,
);

function expectInTime({ outages }: OutagesResult): void {
  for (const { name, heldAnswers, absentAnswers, absentStatus, isNoticed, isEveryBodyRight, recoveredMs } of outages) {
    expect([name, heldAnswers.map(({ status }) => status)]).toEqual([name, heldAnswers.map(() => 200)]);
    expect([name, heldAnswers.filter(({ warning }) => warning === null).length]).toEqual([name, isNoticed ? 0 : heldAnswers.length]);
    expect([name, absentAnswers.map(({ status }) => status)]).toEqual([name, absentAnswers.map(() => absentStatus)]);
    expect([name, isEveryBodyRight]).toEqual([name, true]);
    expect(Math.max(...heldAnswers.map(({ ms }) => ms)), name).toBeLessThan(2_000);
    expect(Math.max(...absentAnswers.map(({ ms }) => ms)), name).toBeLessThan(20_000);
    expect(recoveredMs, name).toBeLessThan(5_000);
  }
}
