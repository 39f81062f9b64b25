/** inOrder: works on several items at once and gives the results in the order of the items. */

export interface InOrderOptions<Item, Result> {
  readonly atOnce: number;
  readonly run: (item: Item) => Promise<Result>;
}

/** Throws the first rejection in that order. Whoever stops listening leaves no work without an owner: what runs is waited for. */
export async function* inOrder<Item, Result>(
  items: readonly Item[],
  { atOnce, run }: InOrderOptions<Item, Result>,
): AsyncGenerator<{ readonly item: Item; readonly result: Result }> {
  const running: { readonly item: Item; readonly settled: Promise<PromiseSettledResult<Result>> }[] = [];
  const waiting = items.values();
  const startNext = (): void => {
    const { value: item, done } = waiting.next();
    if (done !== true) running.push({ item, settled: Promise.allSettled([run(item)]).then(([only]) => only) });
  };
  for (let count = 0; count < atOnce; count++) startNext();
  try {
    for (let first = running.shift(); first; first = running.shift()) {
      const settled = await first.settled;
      if (settled.status === "rejected") throw settled.reason;
      startNext();
      yield { item: first.item, result: settled.value };
    }
  } finally {
    await Promise.all(running.map(({ settled }) => settled));
  }
}
