import { expect, test } from "vitest";
import { requirePrograms } from "../support/programs.ts";
import { killRecords } from "./killed-records.ts";

test.runIf(requirePrograms("htpasswd"))(
  "a server that is killed while it writes sessions and keys keeps what somebody was told, whole, and leaves nothing that is not swept",
  async () => {
    let number = 0;
    const result = await killRecords({ rounds: 4, random: () => [0.9, 0.2, 0.5, 0.7][number++ % 4] ?? 0.5 });
    expect(result).toMatchObject({ broken: [], torn: [], unswept: [] });
    expect(result.told).toBeGreaterThan(8);
    expect(result.amid).toBeGreaterThan(0);
  },
  120_000,
);
