/** stepBack: lets the thread that calls it run behind those that serve. */
import { getPriority, setPriority } from "node:os";

/** A tenth of the processor where somebody else wants all of it. */
const niceness = 10;
const nicenessMax = 19;

/**
 * Behind whoever started the thread, but no further back if that one has stepped back itself: at 19 the start alone takes ten seconds on a
 * machine that is busy. Linux knows niceness by thread; elsewhere it would slow all of us, and nothing is done.
 */
export function stepBack(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(Math.min(Math.max(niceness, getPriority() + 1), nicenessMax));
  } catch {
    // A sandbox may forbid it: the work is done all the same.
  }
}
