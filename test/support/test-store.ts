/** A store in a temporary folder, with a clock of the test's. */
import { Store } from "../../src/cache/store.ts";
import { Background } from "../../src/oci/background.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { TestClock } from "./test-clock.ts";

export type TestStore = Store & { readonly clock: TestClock; readonly background: Background } & AsyncDisposable;

export interface TestStoreOptions {
  /** An existing folder: opened, and left when the test is done. */
  readonly root?: string;
  readonly clock?: TestClock;
  /** Go by the machine's clock instead. */
  readonly systemClock?: boolean;
}

/** Opens it; disposing closes it and removes what it made. */
export async function openTestStore({ root, clock = new TestClock(), systemClock: isSystem = false }: TestStoreOptions = {}): Promise<TestStore> {
  const folder = root === undefined ? await temporaryFolder() : undefined;
  const background = new Background(silentLog);
  const store = await Store.open({ root: root ?? `${folder?.path}/store`, clock: isSystem ? systemClock : clock, log: silentLog, background });
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
