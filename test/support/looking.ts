/**
 * Looking again and again, for what tells nobody that it has changed: /proc, a page of metrics, somebody else's folder. What can be
 * awaited (an output line, a request, a connection) is awaited instead.
 */
import { setTimeout as after } from "node:timers/promises";

export interface LookOptions {
  /** When to give up. */
  readonly waitMs: number;
  readonly everyMs?: number;
}

/** Looks until it is so. Resolves to what was seen last; at the deadline that is what is not so. */
export async function lookUntil<Seen>(look: () => Promise<Seen>, isSo: (seen: Seen) => boolean, { waitMs, everyMs = 50 }: LookOptions): Promise<Seen> {
  const untilMs = performance.now() + waitMs;
  let seen = await look();
  while (!isSo(seen) && performance.now() < untilMs) {
    await after(everyMs);
    seen = await look();
  }
  return seen;
}
