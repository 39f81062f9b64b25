/**
 * Runs every test, then says what could not run for want of a program, names what failed, and closes with `N passed, N failed`.
 * Arguments are passed on to vitest: `node test/support/run-tests.ts test/server`.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { missingProgramsVariable } from "./programs.ts";

interface TestResult {
  readonly status: string;
  readonly fullName: string;
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly testResults: readonly { readonly name: string; readonly status: string; readonly assertionResults: readonly TestResult[] }[];
}

const root = join(import.meta.dirname, "..", "..");
const folder = mkdtempSync(join(tmpdir(), "ociregistry-tests-"));
const reportFile = join(folder, "report.json");
const missingFile = join(folder, "missing-programs");

const code = await runVitest(process.argv.slice(2));
const missing = existsSync(missingFile) ? [...new Set(readFileSync(missingFile, "utf8").trim().split("\n"))].toSorted() : [];
if (missing.length > 0) console.log(`\nNot run, because this machine has no: ${missing.join(", ")}. Install them, or let .ci/run do it.`);
const { passed, failed } = countTests(code);
rmSync(folder, { recursive: true });
if (failed.length > 0) console.log(`\nFailed:\n${failed.map((name) => `  ${name}`).join("\n")}`);
console.log(`\n${passed} passed, ${failed.length} failed`);
process.exitCode = code === 0 && failed.length > 0 ? 1 : code;

function runVitest(args: readonly string[]): Promise<number> {
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const child = spawn(process.execPath, [vitest, "run", ...reporters, ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, [missingProgramsVariable]: missingFile },
  });
  return new Promise((resolve) => child.once("close", (exitCode) => resolve(exitCode ?? 1)));
}

/** Names of what failed. A file that could not even be loaded counts as one failed test, and so does a run that left no report. */
function countTests(exitCode: number): { readonly passed: number; readonly failed: readonly string[] } {
  if (!existsSync(reportFile)) return { passed: 0, failed: [`vitest ended with code ${exitCode} and left no report`] };
  const report = JSON.parse(readFileSync(reportFile, "utf8")) as VitestReport; // Vitest's own reporter wrote it a moment ago.
  const failed = report.testResults.flatMap(({ name, status, assertionResults }) => {
    const file = relative(root, name);
    const tests = assertionResults.filter((result) => result.status === "failed").map(({ fullName }) => `${file}: ${fullName}`);
    return status === "failed" && tests.length === 0 ? [`${file}: as a whole`] : tests;
  });
  return { passed: report.numPassedTests, failed };
}
