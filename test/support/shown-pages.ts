/** Pages in front of a real store, with the clock and the overview of a test. */
import { StoredBrowsing } from "../../src/cache/stored-browsing.ts";
import { silentLog } from "../../src/oci/log.ts";
import type { Overview } from "../../src/oci/overview.ts";
import { loadAssets } from "../../src/web/assets.ts";
import type { PageVisit } from "../../src/web/page-visit.ts";
import { Pages, type PagesOptions } from "../../src/web/pages.ts";
import { depositImage } from "./deposited-images.ts";
import type { BuiltImage, BuiltIndex } from "./images.ts";
import { openTestStore, type TestStore } from "./test-store.ts";
import { TestClock } from "./test-clock.ts";

export interface ShownPages extends AsyncDisposable {
  readonly pages: Pages;
  readonly store: TestStore;
  readonly clock: TestClock;
  put(name: string, image: BuiltImage | BuiltIndex): Promise<string>;
  /** What somebody without a name sees who may see everything, unless it is said otherwise. */
  show(target: string, visit?: Partial<PageVisit>): Promise<{ readonly status: number; readonly html: string; readonly location?: string }>;
}

export const startMs = Date.UTC(2026, 5, 1);

export const quietOverview: Overview = {
  served: () => ({ sinceMs: startMs, heldPulls: 0, upstreamPulls: 0, heldBytes: 0, upstreamBytes: 0 }),
  downloads: () => [],
  upstreams: () => [],
  store: () => ({ writable: true }),
  totals: () => undefined,
  budgets: () => [],
  disk: async () => undefined,
};

export async function startShownPages(options: Partial<PagesOptions> = {}): Promise<ShownPages> {
  const clock = new TestClock({ startMs });
  const store = await openTestStore({ clock });
  const browsing = new StoredBrowsing({ store, clock, log: silentLog, background: store.background });
  const pages = new Pages({
    browsing,
    overview: quietOverview,
    assets: await loadAssets(),
    clock,
    version: "1.2.3",
    isAirGapped: false,
    externalUrl: () => undefined,
    ...options,
  });
  return {
    pages,
    store,
    clock,
    put: (name, image) => depositImage(store, clock, name, image),
    async show(target, visit = {}) {
      const { pathname: path, searchParams: query } = new URL(target, "http://localhost");
      const { signal } = new AbortController();
      const nobody = { form: undefined, comesFromOurs: true, user: undefined, account: undefined, sees: undefined, refusalOf: () => undefined };
      const shown = await pages.show({ ...nobody, path, query, origin: "http://localhost:8080", signal, ...visit });
      return shown.kind === "page" ? shown : { status: 303, html: "", location: shown.path };
    },
    async [Symbol.asyncDispose]() {
      browsing.close();
      await store[Symbol.asyncDispose]();
    },
  };
}
