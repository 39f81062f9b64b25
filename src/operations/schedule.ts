/**
 * Schedule: work that comes again, by a cron expression or by an interval. Never twice at once: what falls due while the last run is
 * still busy is left out. A machine that slept runs once, late, not as often as it missed.
 */
import { createTask } from "node-cron";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";

export type Rhythm =
  /** Five fields (minute, hour, day, month, weekday); six begin with the second. */
  | { readonly kind: "cron"; readonly expression: string; readonly timezone: string }
  /** The first time after one whole interval; Infinity: never. */
  | { readonly kind: "every"; readonly everyMs: number };

export interface ScheduleOptions {
  /** For the log: "verify", "prune". */
  readonly name: string;
  readonly rhythm: Rhythm;
  /** One run. What it throws is logged, and the next run comes all the same. `signal` aborts when the schedule is closed. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

/** Tells when to look next, and whether something fell due meanwhile. */
interface Ticks {
  untilNextMs(): number;
  isDue(): boolean;
}

const minuteMs = 60_000;
const secondMs = 1_000;
/** After a longer sleep only the last hour is looked through for what fell due. */
const lookBackMs = 3_600_000;

export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #ticks: Ticks;
  readonly #lifetime = new AbortController();
  #cancel: (() => void) | undefined;
  #running: Promise<void> | undefined;

  /** Begins to wait. Throws an Error for an expression or a time zone that is none: the configuration has checked both. */
  constructor(options: ScheduleOptions) {
    const { rhythm, clock } = options;
    this.#options = options;
    this.#ticks = rhythm.kind === "every" ? intervalTicks(rhythm.everyMs, clock) : cronTicks(rhythm, clock);
    this.#wait();
  }

  /** No further run; the one that is busy is told to end, and waited for. */
  async close(): Promise<void> {
    this.#cancel?.();
    this.#lifetime.abort(new Error(`${this.#options.name} was stopped`));
    await this.#running;
  }

  #wait(): void {
    this.#cancel = this.#options.clock.after(this.#ticks.untilNextMs(), () => {
      if (this.#ticks.isDue()) this.#run();
      this.#wait();
    });
  }

  #run(): void {
    const { name, work, log, background } = this.#options;
    if (this.#running) return log.info({ work: name }, "scheduled work left out: the last run is still busy");
    const running = work(this.#lifetime.signal)
      .catch((error: unknown) => {
        if (!this.#lifetime.signal.aborted) log.warn({ work: name, error }, "scheduled work failed");
      })
      .finally(() => (this.#running = undefined));
    this.#running = running;
    background.run(name, running);
  }
}

/** By the time that only ever grows: setting the machine's clock moves nothing. */
function intervalTicks(everyMs: number, clock: Clock): Ticks {
  let dueAtMs = clock.elapsed() + everyMs;
  return {
    untilNextMs: () => dueAtMs - clock.elapsed(),
    isDue() {
      // A clock wakes early from waits of many weeks.
      if (clock.elapsed() < dueAtMs) return false;
      dueAtMs = clock.elapsed() + everyMs;
      return true;
    },
  };
}

/** The expression is asked at every whole minute: the library's own timers would go by the machine's clock, not by ours. */
function cronTicks({ expression, timezone }: Extract<Rhythm, { kind: "cron" }>, clock: Clock): Ticks {
  const task = createTask(expression, () => {}, { timezone });
  void task.destroy(); // Takes it out of the library's list of all tasks, where it would stay for good.
  const stepMs = expression.trim().split(/\s+/).length > 5 ? secondMs : minuteMs;
  let lookedAtMs = clock.now();
  return {
    untilNextMs: () => stepMs - (clock.now() % stepMs),
    isDue() {
      const untilMs = clock.now();
      const fromMs = Math.max(lookedAtMs, untilMs - lookBackMs);
      lookedAtMs = untilMs;
      for (let atMs = Math.floor(fromMs / stepMs) * stepMs + stepMs; atMs <= untilMs; atMs += stepMs) if (task.match(new Date(atMs))) return true;
      return false;
    },
  };
}
