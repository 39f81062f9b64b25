import { expect, test } from "vitest";
import { runKilledLoads } from "./killed-loads.ts";

test("a load that is killed at four moments shows no half image, loses none, and the next one finishes the job", async () => {
  const moments = [0.1, 0.35, 0.6, 0.9].values();
  const { killed, lastCode, whole, images, ...rest } = await runKilledLoads({ kills: 4, random: () => moments.next().value ?? 0.5 });
  expect(killed).toBeGreaterThan(0);
  expect({ ...rest, lastCode, whole }).toEqual({ halves: 0, lost: 0, lastCode: 0, whole: images });
});
