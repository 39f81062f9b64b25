/**
 * What programs this machine has. A test that needs one it lacks is skipped and named at the end of the run; where CI is set
 * that is a failure.
 */
import { appendFileSync, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Where the run's names of missing programs gather; the reporter reads it. */
export const missingProgramsVariable = "TEST_MISSING_PROGRAMS";

/**
 * True when all of `programs` are installed: `test.runIf(requirePrograms("skopeo"))`. Throws instead of false when CI is set.
 */
export function requirePrograms(...programs: readonly string[]): boolean {
  const missing = programs.filter((program) => !findProgram(program));
  if (missing.length === 0) return true;
  if (process.env["CI"]) throw new Error(`not installed here, and CI has to have them all: ${missing.join(", ")}`);
  const file = process.env[missingProgramsVariable];
  if (file) appendFileSync(file, missing.map((program) => `${program}\n`).join(""));
  return false;
}

/** True for the one who may start container runtimes: they need root. */
export function requireRoot(): boolean {
  if (process.getuid?.() === 0) return true;
  if (process.env["CI"]) throw new Error("container runtimes need root, and CI has to run them");
  const file = process.env[missingProgramsVariable];
  if (file) appendFileSync(file, "root\n");
  return false;
}

/** The program's full path, or undefined. Looks where root's programs are too. */
export function findProgram(program: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}
