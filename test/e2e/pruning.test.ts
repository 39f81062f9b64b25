/** A server that prunes by itself: rehearsed, then in earnest after a reload, beside the one who brings images. */
import { readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { depositImage, heldNames, missingParts } from "../support/deposited-images.ts";
import { buildImage } from "../support/images.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer } from "../support/our-server.ts";
import { openTestStore } from "../support/test-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("pruneConfig is rehearsed, taken over by a reload, and then done; budgets are on the page of metrics", async () => {
  await using folder = await temporaryFolder();
  const pruneConfig = { enabled: true, type: "pattern", expr: "/gone/", frequency: "1s", dryRun: true };
  await using server = await startOurServer({ folder: folder.path, config: { airGapped: true, pruneConfig } });
  await using store = await openTestStore({ root: server.imagePath, systemClock: true });
  await depositImage(store, systemClock, "quay.io/gone/app:1", buildImage());
  await depositImage(store, systemClock, "quay.io/stays/app:1", buildImage({ layers: [{ "etc/hello": "hello\n" }, { other: "one" }] }));
  await server.process.waitForOutput(/an image would be pruned/, { waitMs: 60_000 });
  expect(await heldNames(store, systemClock)).toEqual(["quay.io/gone/app:1", "quay.io/stays/app:1"]);

  const text = await readFile(server.configFile, "utf8");
  await writeFile(server.configFile, text.replace('"dryRun":true', '"dryRun":false,"maxSize":"1GiB"'));
  await server.process.waitForOutput(/an image was pruned/, { waitMs: 60_000 });
  expect(await heldNames(store, systemClock)).toEqual(["quay.io/stays/app:1"]);
  expect(await missingParts(store, systemClock)).toEqual([]);
  expect((await fetch(`${server.url}/v2/quay.io/gone/app/manifests/1`)).status).toBe(404);
  const metrics = await lookUntil(
    async () => await (await fetch(`${server.url}/metrics`)).text(),
    (page) => page.includes("ociregistry_budget_bytes{"),
    {
      waitMs: 30_000,
    },
  );
  expect(metrics).toMatch(/^ociregistry_budget_limit_bytes\{budget="total"\} 1073741824$/m);
  expect(Number(/^ociregistry_budget_bytes\{budget="total"\} (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
}, 180_000);
