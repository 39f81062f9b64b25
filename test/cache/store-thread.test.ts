import { execFile } from "node:child_process";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { DiskSilent, StoreThread } from "../../src/cache/store-thread.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const run = promisify(execFile);
/** Opens what it is told to, which for a pipe that nobody writes to takes for ever. */
const script = `
import { closeSync, openSync } from "node:fs";
import { parentPort } from "node:worker_threads";
parentPort.on("message", ({ path, begun }) => {
  Atomics.add(begun, 0, 1);
  closeSync(openSync(path, "r"));
  parentPort.postMessage({ kind: "opened" });
});
`;

interface Order {
  readonly path: string;
  /** How often something was begun. */
  readonly begun: Int32Array;
}

test.runIf(requirePrograms("mkfifo"))(
  "a disk that hangs is waited for by two threads and no more; everybody else is told at once, and when it answers it is read again",
  async () => {
    await using folder = await temporaryFolder();
    const [module, pipe, file] = ["thread.mjs", "pipe", "file"].map((name) => join(folder.path, name));
    await writeFile(module ?? "", script);
    await writeFile(file ?? "", "");
    await run("mkfifo", [pipe ?? ""]);
    const clock = new TestClock();
    const begun = new Int32Array(new SharedArrayBuffer(4));
    const thread = new StoreThread<Order, { readonly kind: "opened" }>({ script: pathToFileURL(module ?? ""), name: "test", clock, reportMsMax: 10_000 });
    const ask = (path: string | undefined) => thread.ask({ path: path ?? "", begun }, undefined);
    expect(await ask(file)).toEqual({ kind: "opened" });
    for (let hanging = 1; hanging <= 2; hanging++) {
      const asking = [ask(pipe), ask(file)].map((work) => work.catch((error: unknown) => error));
      await expect.poll(() => Atomics.load(begun, 0), { interval: 5, timeout: 10_000 }).toBe(1 + hanging);
      await clock.advance(10_000);
      // Who asked behind it was not answered either.
      for (const error of await Promise.all(asking)) expect(error).toBeInstanceOf(DiskSilent);
    }
    await expect(ask(file)).rejects.toThrow(/2 threads wait for it/);
    // Both have what they were waiting for.
    await (await open(pipe ?? "", "w")).close();
    await expect.poll(() => ask(file).catch(() => undefined), { timeout: 10_000 }).toEqual({ kind: "opened" });
    await clock.advance(10_000);
  },
);
