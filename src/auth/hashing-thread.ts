/** The thread in which passwords are hashed: it is given one at a time, and answers whether it was right. Started by `HashingQueue`. */
import { getPriority, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";
import type { PasswordHash } from "./htpasswd-file.ts";
import { matchesShaCrypt, parseShaCrypt } from "./sha-crypt.ts";

export interface HashingTask {
  readonly password: string;
  readonly hash: PasswordHash;
}

/** Added to the nice value that the process has: a tenth of the processor where both want all of it. */
const niceness = 10;
const nicenessMax = 19;

// Guesses beyond number must not take the processor from those who are served. Linux knows it by thread; elsewhere it would slow all of us.
if (process.platform === "linux") stepBack();

parentPort?.on("message", (task: HashingTask) => parentPort?.postMessage(isRight(task)));

function isRight({ password, hash: { kind, text } }: HashingTask): boolean {
  if (kind === "bcrypt") return compareSync(password, text);
  const hash = parseShaCrypt(text);
  return hash !== undefined && matchesShaCrypt(password, hash);
}

function stepBack(): void {
  try {
    setPriority(Math.min(getPriority() + niceness, nicenessMax));
  } catch {
    // A sandbox may forbid it: passwords are hashed all the same.
  }
}
