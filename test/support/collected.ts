/** What nobody holds any more: for tests that nothing is kept for ever. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Whether what `made` resolves to is collected once the test holds it no more. */
export async function isCollected(made: () => Promise<object>): Promise<boolean> {
  const kept = new WeakRef(await made());
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("this Node cannot be asked to collect");
  for (let round = 0; round < 10 && kept.deref(); round++) {
    await new Promise((resolve) => setImmediate(resolve)); // A WeakRef holds until the turn is over.
    collect();
  }
  return kept.deref() === undefined;
}
