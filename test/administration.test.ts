/** What the administrative routes do to a real store, by what the configuration and the query say. */
import { expect, test } from "vitest";
import { Administration } from "../src/administration.ts";
import { systemClock } from "../src/oci/clock.ts";
import { silentLog } from "../src/oci/log.ts";
import { RegistryNames } from "../src/oci/registry-names.ts";
import type { AdminPruneQuery } from "../src/server/admin.ts";
import { loadText } from "./config/load-text.ts";
import { depositImage, heldNames, repositoryNamed } from "./support/deposited-images.ts";
import { buildImage } from "./support/images.ts";
import { openTestStore, type TestStore } from "./support/test-store.ts";

async function administer(store: TestStore, text = ""): Promise<Administration> {
  const { config } = await loadText(text);
  return new Administration({ rules: () => ({ config, names: new RegistryNames(config) }), store, clock: systemClock, log: silentLog, onStop() {} });
}

function byName(expression: string, dryRun?: boolean): AdminPruneQuery {
  return { type: "pattern", expression, duration: undefined, countMax: 50, dryRun, signal: AbortSignal.timeout(60_000) };
}

test("a query that says nothing of dryRun goes by the configuration, any other by itself", async () => {
  await using store = await openTestStore({ systemClock: true });
  await depositImage(store, systemClock, "quay.io/team/app:1", buildImage());
  const careful = await administer(store, "pruneConfig: { dryRun: true }");
  expect(await careful.prune(byName("app"))).toMatchObject({ dryRun: true, images: [{ name: "quay.io/team/app:1" }] });
  const bold = await administer(store);
  expect(await bold.prune(byName("app", true))).toMatchObject({ dryRun: true, images: [{ name: "quay.io/team/app:1" }] });
  expect(await heldNames(store, systemClock)).toEqual(["quay.io/team/app:1"]);
  expect(await careful.prune(byName("app", false))).toMatchObject({ dryRun: false, images: [{ name: "quay.io/team/app:1" }] });
  expect(await heldNames(store, systemClock)).toEqual([]);
});

test("an image that was brought and that nobody has pulled has no time of its last pull", async () => {
  await using store = await openTestStore({ systemClock: true });
  const digest = await depositImage(store, systemClock, "quay.io/team/app:1", buildImage());
  const pulledAtMs = async () =>
    (await (await administer(store)).listManifests({ withBlobs: false, countMax: 50, signal: AbortSignal.timeout(60_000) })).map(
      (manifest) => manifest.pulledAtMs,
    );
  expect(await pulledAtMs()).toEqual([undefined]);
  await store.repositories.putUsed(repositoryNamed("quay.io/team/app"), digest, Date.UTC(2099, 0, 1));
  expect(await pulledAtMs()).toEqual([Date.UTC(2099, 0, 1)]);
});
