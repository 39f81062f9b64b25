/** A store in a temporary folder, with a clock of the test's. */
import { Store } from "../../src/cache/store.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { TestClock } from "./test-clock.ts";

export type TestStore = Store & { readonly clock: TestClock; readonly background: Background } & AsyncDisposable;

/** Opens it; disposing closes it and removes what it made. With `root` an existing folder is opened, and left. */
export async function openTestStore({ root, clock = new TestClock() }: { root?: string; clock?: TestClock } = {}): Promise<TestStore> {
  const folder = root === undefined ? await temporaryFolder() : undefined;
  const background = new Background(silentLog);
  const store = await Store.open({ root: root ?? `${folder?.path}/store`, clock, log: silentLog, background });
  return Object.assign(store, {
    clock,
    background,
    async [Symbol.asyncDispose]() {
      await store.close();
      await clock.advance(2_000);
      await background.settled();
      await folder?.[Symbol.asyncDispose]();
    },
  });
}
