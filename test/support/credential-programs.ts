/** Credential programs of a test's own: shell scripts that note each run, then do as they are told. */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { lookUntil } from "./looking.ts";

export interface CredentialProgram {
  readonly path: string;
  /** What each run was asked, in order: its arguments, a space, and what it read. */
  runs(): Promise<readonly string[]>;
  /** Resolves when that many have begun; rejects when they do not. */
  ran(times: number): Promise<void>;
}

/** Writes a program into `folder`. `script` goes on where the question stands in `$question`; it can count on coreutils. */
export async function writeCredentialProgram(folder: string, name: string, script: string): Promise<CredentialProgram> {
  const path = join(folder, name);
  const notes = join(folder, `${name}.runs`);
  await writeFile(path, `#!/bin/sh\nquestion=$(cat)\necho "$* $question" >>'${notes}'\n${script}\n`);
  await chmod(path, 0o755);
  const runs = async (): Promise<readonly string[]> => (await textOf(notes)).split("\n").filter((line) => line !== "");
  return {
    path,
    runs,
    async ran(times) {
      const seen = await lookUntil(runs, ({ length }) => length >= times, { waitMs: 10_000, everyMs: 20 });
      if (seen.length < times) throw new Error(`${name} ran ${seen.length} times, not ${times}`);
    },
  };
}

/** The process ids that a script has written into `file`, once there are `count`. */
export async function pidsIn(file: string, count: number): Promise<readonly number[]> {
  const read = async (): Promise<readonly number[]> => (await textOf(file)).split(/\s+/).filter(Boolean).map(Number);
  const pids = await lookUntil(read, ({ length }) => length >= count, { waitMs: 10_000, everyMs: 20 });
  if (pids.length < count) throw new Error(`${file} names ${pids.length} processes, not ${count}`);
  return pids;
}

/** Those of `pids` that are still running after a while; a process whose end nobody has noticed yet counts as ended. */
export async function survivors(pids: readonly number[]): Promise<readonly number[]> {
  const look = async (): Promise<readonly number[]> => {
    const states = await Promise.all(pids.map((pid) => textOf(`/proc/${pid}/stat`)));
    return pids.filter((_, at) => /\) [^ZX]/.test(states[at] ?? ""));
  };
  return lookUntil(look, ({ length }) => length === 0, { waitMs: 5_000, everyMs: 20 });
}

async function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => ""); // Not there yet, or no more.
}
