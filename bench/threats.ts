/**
 * Whether the tests that stand for the threats would notice: each is run in a copy of the project as it is, where it must pass, and
 * once more with its defence taken away, where it must fail. The checkout itself is never touched.
 */
import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { runProcess } from "../test/support/processes.ts";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import { threats, type Edit, type Showing } from "../test/threats/threats.ts";

/** One test, with and without its defence. */
export interface TriedDefence {
  readonly number: number;
  readonly what: string;
  readonly without: string;
  /** In words: how many tests passed with the defence, and how many failed without it. */
  readonly measured: string;
  readonly holds: boolean;
}

interface Tally {
  readonly passed: number;
  readonly failed: number;
}

const root = join(import.meta.dirname, "..");
/** Nothing of these is needed to run a test, but for what is linked. */
const leftOut: ReadonlySet<string> = new Set(["node_modules", ".git", "cache"]);
const runMs = 180_000;

/** Tries every defence, one after the other; `numbers` empty: of all threats. Each is told of as soon as it is known. */
export async function* tryDefences(numbers: readonly number[]): AsyncGenerator<TriedDefence> {
  await using folder = await temporaryFolder();
  const copy = join(folder.path, "copy");
  await cp(root, copy, { recursive: true, filter: (source) => source === root || join(source, "..") !== root || !leftOut.has(basename(source)) });
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
  for (const { number, what, shown } of threats) {
    if (numbers.length > 0 && !numbers.includes(number)) continue;
    for (const showing of shown) {
      const before = await runTest(copy, showing);
      const undo = await apply(copy, showing.edits);
      const after = await runTest(copy, showing);
      await undo();
      const holds = before.passed > 0 && before.failed === 0 && after.failed > 0;
      const measured = `${before.passed} passed${before.failed > 0 ? ` and ${before.failed} failed` : ""}, ${after.failed} failed without`;
      yield { number, what, without: showing.without, measured, holds };
    }
  }
}

/** Edits files of the copy; the result puts them back. Rejects when a text is not there exactly once. */
async function apply(copy: string, edits: readonly Edit[]): Promise<() => Promise<void>> {
  const originals = new Map<string, string>();
  for (const { file, text, replacement } of edits) {
    const path = join(copy, "src", file);
    const source = await readFile(path, "utf8");
    if (!originals.has(path)) originals.set(path, source);
    const parts = source.split(text);
    if (parts.length !== 2) throw new Error(`src/${file} holds ${JSON.stringify(text)} ${parts.length - 1} times, not once`);
    await writeFile(path, parts.join(replacement));
  }
  return async () => {
    for (const [path, source] of originals) await writeFile(path, source);
  };
}

/** A test that never ran, because its file or its server did not start, has neither passed nor failed. */
async function runTest(copy: string, { file, test, row }: Showing): Promise<Tally> {
  const report = join(copy, "report.json");
  await writeFile(report, "{}");
  const bin = join(copy, "node_modules", ".bin");
  const args = ["run", join("test", file), "--testNamePattern", patternOf(test, row), "--reporter=json", `--outputFile=${report}`];
  await runProcess(join(bin, "vitest"), args, { cwd: copy, env: { PATH: `${bin}:${process.env["PATH"] ?? ""}` }, deadlineMs: runMs });
  const { numPassedTests = 0, numFailedTests = 0 } = JSON.parse(await readFile(report, "utf8")) as { numPassedTests?: number; numFailedTests?: number };
  return { passed: numPassedTests, failed: numFailedTests };
}

/** vitest takes a regular expression, and has filled in what the table says. */
function patternOf(test: string, row: string | undefined): string {
  return test
    .split("%s")
    .map((part) => escaped(part))
    .join(row === undefined ? ".*" : escaped(row));
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
