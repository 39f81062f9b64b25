import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Most of a test is waiting for other programs: on two cores two workers leave a third of the machine idle.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    // What is looked for until it is so may take its time on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
