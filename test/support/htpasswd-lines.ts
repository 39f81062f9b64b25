/** Lines of password files, by the programs that people write them with. */
import { spawnSync } from "node:child_process";

/** By Apache's htpasswd, `$2y$`. */
export function htpasswdLine(user: string, password: string, { cost = 5 }: { cost?: number } = {}): string {
  return run("htpasswd", ["-inBC", String(cost), user], password);
}

/** By openssl: `-5` is SHA-256, `-6` SHA-512. */
export function shaCryptLine(user: string, password: string, kind: "-5" | "-6", { salt }: { salt?: string } = {}): string {
  return `${user}:${run("openssl", ["passwd", kind, ...(salt === undefined ? [] : ["-salt", salt]), "-stdin"], `${password}\n`)}`;
}

function run(program: string, args: readonly string[], input: string): string {
  const { stdout, stderr, status } = spawnSync(program, args, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program}: ${stderr}`);
  return stdout.trim();
}
