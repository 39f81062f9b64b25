/** The thread in which passwords are hashed: it is given one at a time, and answers whether it was right. Started by `HashingQueue`. */
import { parentPort } from "node:worker_threads";
import { compareSync } from "bcryptjs";
import { stepBack } from "../oci/step-back.ts";
import type { PasswordHash } from "./htpasswd-file.ts";
import { matchesShaCrypt, parseShaCrypt } from "./sha-crypt.ts";

export interface HashingTask {
  readonly password: string;
  readonly hash: PasswordHash;
}

// Guesses beyond number must not take the processor from those who are served.
stepBack();

parentPort?.on("message", (task: HashingTask) => parentPort?.postMessage(isRight(task)));

function isRight({ password, hash: { kind, text } }: HashingTask): boolean {
  if (kind === "bcrypt") return compareSync(password, text);
  const hash = parseShaCrypt(text);
  return hash !== undefined && matchesShaCrypt(password, hash);
}
