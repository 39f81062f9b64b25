/** Prunes that are killed. The proof has more of them: `node bench/prove.ts killed-prunes`. */
import { expect, test } from "vitest";
import { killPrunes } from "./killed-prunes.ts";

test("a prune that is killed leaves whole images, and the next one finishes it, beside a server that serves the rest", async () => {
  const fractions = [0, 0.3, 0.6];
  const result = await killPrunes({ rounds: fractions.length, random: () => fractions.shift() ?? 0 });
  expect(result).toMatchObject({ halves: [], brokenLooks: [], left: [], leftovers: [] });
  expect(result.killed).toBeGreaterThanOrEqual(2);
  expect(result.wholeLooks).toBeGreaterThan(0);
}, 180_000);
