/** Names in memory: a search through very many of them lets others have their turn, and knows when to stop. */
import { expect, test } from "vitest";
import { RepositoryTable, repositoriesMax } from "../../src/cache/repository-table.ts";
import type { RepositoriesQuery } from "../../src/oci/browsing.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { parseRegistryHost, parseRepositoryPath } from "../../src/oci/repository.ts";

const host = parseRegistryHost("a.example");

function tableOf(count: number): RepositoryTable {
  const table = new RepositoryTable();
  const names = Array.from({ length: count }, (_, number) => `team/app-${String(number).padStart(6, "0")}`);
  table.add(names.map((name, number) => ({ repository: { host, path: parseRepositoryPath(name) }, tagCount: 1, manifestCount: 1, usedAtMs: number * 1_000 })));
  return table;
}

function query(more: Partial<RepositoriesQuery> = {}): RepositoriesQuery {
  return { words: [], registry: undefined, sort: "name", after: undefined, limit: 2, sees: undefined, signal: new AbortController().signal, ...more };
}

test("others have their turn while a search looks at everything", async () => {
  const table = tableOf(20_000);
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  const deadlineMs = performance.now() + 100;
  const slow = (): boolean => {
    while (performance.now() < deadlineMs && performance.now() % 0.05 > 0.01);
    return false;
  };
  const found = await table.find(query({ sees: slow }), systemClock);
  clearInterval(timer);
  expect(found.repositories).toEqual([]);
  expect(turns).toBeGreaterThan(3);
});

test("a search whose asker has left ends", async () => {
  const leaving = new AbortController();
  const searching = tableOf(1_000).find(
    query({
      signal: leaving.signal,
      sees: () => {
        const untilMs = performance.now() + 1;
        while (performance.now() < untilMs);
        leaving.abort(new Error("left"));
        return false;
      },
    }),
    systemClock,
  );
  await expect(searching).rejects.toThrow("left");
});

test("matches are not counted for ever: what was found is shown without a number", async () => {
  let elapsedMs = 0;
  const clock = { ...systemClock, elapsed: () => (elapsedMs += 1) };
  const found = await tableOf(100_000).find(query({ sees: () => ((elapsedMs += 0.1), true) }), clock);
  expect(found).toMatchObject({
    repositories: [{ name: "a.example/team/app-000000" }, { name: "a.example/team/app-000001" }],
    hasMore: true,
    total: undefined,
  });
});

test("the latest use comes first among very many", async () => {
  const { repositories } = await tableOf(100_000).find(query({ sort: "used" }), systemClock);
  expect(repositories.map(({ name }) => name)).toEqual(["a.example/team/app-099999", "a.example/team/app-099998"]);
});

test("there is room for so many, and it is told when there are more", () => {
  const table = tableOf(repositoriesMax + 1);
  expect([table.size, table.isCut]).toEqual([repositoriesMax, true]);
});
