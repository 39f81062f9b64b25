/** The server and `auth check`, a few hundred times; `make prove access` asks 10,000 times. */
import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { requirePrograms } from "../support/programs.ts";
import { runAgreement } from "./agreement.ts";

test.runIf(requirePrograms("htpasswd"))("a server that runs decides as auth check says, and as the second implementation does", async () => {
  const seed = randomInt(2 ** 31);
  const { questions, allowed, denied, listings, disagreements } = await runAgreement({ seed, policies: 12, questionsEach: 40 });
  expect(disagreements).toEqual([]);
  expect([questions, allowed + denied, listings]).toEqual([480, 480, 48]);
  expect(Math.min(allowed, denied)).toBeGreaterThan(40);
});
