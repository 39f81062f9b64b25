/** stepBack: lets the thread that calls it run behind those that serve. */
import { getPriority, setPriority } from "node:os";

/** Added to the nice value that the process has. */
const niceness = 10;
const nicenessMax = 19;

/** Linux knows niceness by thread; elsewhere it would slow all of us, and nothing is done. */
export function stepBack(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(Math.min(getPriority() + niceness, nicenessMax));
  } catch {
    // A sandbox may forbid it: the work is done all the same.
  }
}
