import { expect, test } from "vitest";
import { killImports } from "./killed-imports.ts";

test("an import that is killed leaves every image whole, as it was or new, and the next one finishes", { timeout: 120_000 }, async () => {
  let number = 0;
  const result = await killImports({ rounds: 3, images: 6, layerBytes: 50_000, random: () => [0.3, 0.6, 0.85][number++ % 3] ?? 0.5 });
  expect(result).toMatchObject({ halves: [], lost: [], finished: 3 });
  expect(result.killed).toBeGreaterThan(0);
});
