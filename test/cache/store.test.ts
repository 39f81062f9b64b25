import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { nameOfThisProcess } from "../../src/cache/process-name.ts";
import { openTestStore } from "../support/test-store.ts";

describe("opening a store", () => {
  test("succeeds though a process was killed while it wrote the version, and takes away what that left", async () => {
    await using folder = await temporaryFolder();
    const root = join(folder.path, "store");
    const { boot, namespace } = await nameOfThisProcess();
    const left = join(root, "tmp", `${boot}-${namespace}-999999999-1-abcdef`);
    await mkdir(left, { recursive: true });
    await writeFile(join(left, "1.tmp"), "");
    const store = await openTestStore({ root });
    expect(await readFile(store.layout.version(), "utf8")).toBe("1\n");
    await store.instance.sweep();
    await store[Symbol.asyncDispose]();
    expect(await readdir(join(root, "tmp"))).toEqual([]);
  });

  test("by ten processes at once leaves one version and nothing else", async () => {
    await using folder = await temporaryFolder();
    const root = join(folder.path, "store");
    const stores = await Promise.all(Array.from({ length: 10 }, () => openTestStore({ root })));
    for (const store of stores) await store[Symbol.asyncDispose]();
    expect((await readdir(root, { recursive: true })).sort()).toEqual(["VERSION", "tmp"]);
  });

  test("ends where no folder can be made, and says that nothing is kept", { timeout: 5_000 }, async () => {
    await using store = await openTestStore({ root: "/proc/none" });
    expect(store.status()).toMatchObject({ writable: false });
  });

  test("refuses a newer layout in words, and takes an empty version for one that was torn", async () => {
    await using folder = await temporaryFolder();
    const version = join(folder.path, "VERSION");
    await writeFile(version, "2\n");
    await expect(openTestStore({ root: folder.path })).rejects.toThrow("layout 2");
    await writeFile(version, "");
    await using store = await openTestStore({ root: folder.path });
    expect([store.status(), await readFile(version, "utf8")]).toEqual([{ writable: true }, "1\n"]);
  });
});
