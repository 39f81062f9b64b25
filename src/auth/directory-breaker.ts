/** DirectoryBreaker: remembers that a directory is away, so that only one login in a while waits to be told again. */
import type { Clock } from "../oci/clock.ts";

/** How long nobody asks. */
const openMs = 5_000;

export interface DirectoryBreakerOptions {
  readonly clock: Clock;
  /** Told when it opens, with the reason, and when it closes again. */
  readonly onChange: (reason: string | undefined) => void;
}

type State =
  | { readonly kind: "closed" }
  | { readonly kind: "open"; readonly reason: string; readonly untilMs: number }
  /** One login is finding out. */
  | { readonly kind: "trial"; readonly reason: string };

export class DirectoryBreaker {
  readonly #options: DirectoryBreakerOptions;
  #state: State = { kind: "closed" };

  constructor(options: DirectoryBreakerOptions) {
    this.#options = options;
  }

  /** Undefined: go on, and say how it ended. Else why it is away. */
  enter(): string | undefined {
    const state = this.#state;
    if (state.kind === "closed") return undefined;
    if (state.kind === "trial" || this.#options.clock.elapsed() < state.untilMs) return state.reason;
    this.#state = { kind: "trial", reason: state.reason };
    return undefined;
  }

  answered(): void {
    const wasClosed = this.#state.kind === "closed";
    this.#state = { kind: "closed" };
    if (!wasClosed) this.#options.onChange(undefined);
  }

  failed(reason: string): void {
    const wasClosed = this.#state.kind === "closed";
    this.#state = { kind: "open", reason, untilMs: this.#options.clock.elapsed() + openMs };
    if (wasClosed) this.#options.onChange(reason);
  }
}
