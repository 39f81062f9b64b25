import { execFile, execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { OciError } from "../../src/oci/errors.ts";
import { createLogging } from "../../src/operations/logging.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

async function linesOf(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("an event is one line of JSON with a time, a level in words and its fields", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "log");
  const { log, flush } = createLogging({ level: "info", file });
  log.info({ repository: "docker.io/library/alpine", bytes: 12 }, "blob stored");
  log.warn({ error: new OciError("UPSTREAM_TIMEOUT", "no answer\nin time", { cause: new Error("ETIMEDOUT") }) }, "fill failed");
  await flush();
  const [stored, failed, ...rest] = await linesOf(file);
  expect(Object.keys(stored ?? {})).toEqual(["level", "time", "repository", "bytes", "msg"]);
  expect(stored).toMatchObject({ level: "info", repository: "docker.io/library/alpine", bytes: 12, msg: "blob stored" });
  expect(stored?.["time"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(failed).toMatchObject({ level: "warn", error: { code: "UPSTREAM_TIMEOUT", message: expect.stringContaining("no answer") as string } });
  expect(rest).toEqual([]);
});

test("what is milder than the level is not written, also after it changed", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "log");
  const { log, setLevel, flush } = createLogging({ level: "warn", file });
  log.info({}, "one");
  log.warn({}, "two");
  setLevel("debug");
  log.debug({}, "three");
  await flush();
  expect((await linesOf(file)).map(({ msg }) => msg)).toEqual(["two", "three"]);
});

test("a file that was moved away is opened anew, and no line is lost", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "log");
  const { log, reopen, flush } = createLogging({ level: "info", file });
  for (let line = 0; line < 100; line++) log.info({ line }, "before");
  await rename(file, `${file}.1`);
  reopen();
  log.info({}, "after");
  await flush();
  await expect.poll(async () => (await linesOf(`${file}.1`)).length).toBe(100);
  expect((await linesOf(file)).map(({ msg }) => msg)).toEqual(["after"]);
});

test("a file that cannot be opened is an error at once", () => {
  expect(() => createLogging({ level: "info", file: "/nonexistent/folder/log" })).toThrow(/ENOENT/);
});

test("text is for people", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "log");
  const { log, flush } = createLogging({ level: "info", file, format: "text" });
  log.info({ port: 8080 }, "listening");
  await flush();
  const text = await readFile(file, "utf8");
  expect(text).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d listening port=8080\n$/);
});

test("without a terminal, stderr gets JSON, flushed by the end of the process", async () => {
  const script = `
    import { createLogging } from ${JSON.stringify(join(import.meta.dirname, "../../src/operations/logging.ts"))};
    const { log, flush } = createLogging({ level: "info" });
    for (let line = 0; line < 1000; line++) log.info({ line }, "event");
    await flush();
    process.exit(0);
  `;
  const { stderr, stdout } = await promisify(execFile)(process.execPath, ["--input-type=module-typescript", "--eval", script]);
  const lines = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.map(({ line }) => line)).toEqual(Array.from({ length: 1000 }, (_, line) => line));
  expect(stdout).toBe("");
});

test("a line that comes while a slow reader holds up the one before does not wait for a third", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "pipe");
  execFileSync("mkfifo", [file]);
  const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const { log } = createLogging({ level: "info", file, format: "json" });
  // More than a pipe holds: its write ends when somebody reads.
  log.info({ long: "x".repeat(100_000) }, "first");
  const piece = Buffer.alloc(64 * 1024);
  let text = "";
  const more = (): string => {
    try {
      text += piece.toString("utf8", 0, readSync(reader, piece));
    } catch {
      // Nothing there just now.
    }
    return text;
  };
  log.info({}, "second");
  // Longer than lines collect: the flush that would have taken it along has been passed over by then.
  await new Promise((resolve) => setTimeout(resolve, 200));
  await expect.poll(more, { interval: 1, timeout: 5_000 }).toContain('"msg":"second"');
  closeSync(reader);
});
