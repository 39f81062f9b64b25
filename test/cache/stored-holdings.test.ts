import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StoredHoldings } from "../../src/cache/stored-holdings.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import { repositoryAt } from "../support/test-cache.ts";
import { openTestStore } from "../support/test-store.ts";

const record = { digest: digestOf(Buffer.from("m")), mediaType: "application/vnd.oci.image.manifest.v1+json", sizeBytes: 1 };

test("repositories with a manifest are listed in the order of their names, page by page, whatever else lies there", async () => {
  await using store = await openTestStore();
  const names = ["a.test/x", "a.test/x-y", "a.test/x/y", "a.test:5000/x", "[::1]:5000/x/y/z"];
  for (const name of names) {
    const at = name.indexOf("/");
    await store.repositories.putManifest(repositoryAt(name.slice(0, at), name.slice(at + 1)), record);
  }
  await mkdir(join(store.layout.upstreams(), "Not A Host", "x", "_manifests"), { recursive: true });
  await mkdir(join(store.layout.host(repositoryAt("a.test", "x").host), "UPPER", "_manifests"), { recursive: true });
  const holdings = new StoredHoldings({ store, clock: store.clock });
  const pages: string[][] = [];
  for (let last: string | undefined; ;) {
    const { repositories, next } = await holdings.listRepositories({ limit: 2, ...(last === undefined ? {} : { last }) });
    pages.push(repositories.map(repositoryName));
    if (next === undefined) break;
    last = next;
  }
  expect(pages.map((page) => page.length)).toEqual([2, 2, 1]);
  expect(pages.flat()).toEqual(names.toSorted());
});

test("what was written meanwhile is listed a second later", async () => {
  await using store = await openTestStore();
  const holdings = new StoredHoldings({ store, clock: store.clock });
  expect((await holdings.listRepositories({ limit: 9 })).repositories).toEqual([]);
  await store.repositories.putManifest(repositoryAt("a.test", "x"), record);
  await store.clock.advance(1_000);
  expect((await holdings.listRepositories({ limit: 9 })).repositories).toHaveLength(1);
});
