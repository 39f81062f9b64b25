/**
 * Breaker: remembers that an origin is ill, so that nobody waits to be told again. It opens by itself, probes by itself, and lets
 * one request through on trial before it closes. A 429 pauses it until the time the origin asked for.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { opensAtOnce, retryAfterMsMax } from "./errors.ts";

/** Failures in a row, without a success, that open it when each by itself might pass. */
const failuresMax = 3;
/** With a probe's own deadline of 2.5 s, a recovery is noticed within 5 s. */
const probeDelaysMs = [1_000, 2_000] as const;
/** There are registries whose `/v2/` is always ill: now and then a real request finds out. */
const probesPerTrial = 8;
/** Nobody is probed whom nobody has asked for so long. */
const interestMs = 600_000;
/** A trial whose outcome nobody reported does not bar the way for ever. */
const trialMsMax = 30_000;

export interface BreakerOptions {
  readonly clock: Clock;
  readonly background: Background;
  /** Asks the origin for something cheap. "ill": it answers, with a 5xx. Rejects with `OciError` when it does not answer. */
  readonly probe: () => Promise<"well" | "ill">;
  /** Told when it opens and when it closes again. */
  readonly onChange?: (change: { readonly kind: "opened" | "throttled"; readonly error: OciError } | { readonly kind: "closed" }) => void;
}

type State =
  | { readonly kind: "closed"; readonly failures: number }
  | { readonly kind: "open"; readonly error: OciError; readonly probes: number; readonly nextAtMs: number }
  | { readonly kind: "trial"; readonly error: OciError; readonly probes: number; readonly busyUntilMs: number | undefined }
  | { readonly kind: "paused"; readonly error: OciError; readonly untilMs: number };

export type BreakerStatus = { readonly state: "ready" } | { readonly state: "failing" | "throttled"; readonly reason: string; readonly retryInMs: number };

/** One request's way through: exactly one of its methods is called when its outcome is known; calling a second does nothing. */
export interface Passage {
  succeeded(): void;
  failed(error: OciError): void;
  /** It told us nothing about the origin's health: a challenge, or the caller left. */
  abstained(): void;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #state: State = { kind: "closed", failures: 0 };
  #askedAtMs: number;
  #cancelProbe: () => void = () => {};
  #isClosed = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
    this.#askedAtMs = options.clock.elapsed();
  }

  /** Lets a request through, or throws at once the error that opened it, with the time until the next attempt. */
  enter(): Passage {
    const nowMs = this.#options.clock.elapsed();
    const wasForgotten = nowMs - this.#askedAtMs >= interestMs;
    this.#askedAtMs = nowMs;
    const state = this.#state;
    switch (state.kind) {
      case "closed":
        return this.#passage(false);
      case "paused":
        if (nowMs >= state.untilMs) {
          this.#close();
          return this.#passage(false);
        }
        throw again(state.error, state.untilMs - nowMs);
      case "open":
        if (!wasForgotten) throw again(state.error, Math.max(0, state.nextAtMs - nowMs));
        return this.#trial(state);
      case "trial":
        if (state.busyUntilMs !== undefined && nowMs < state.busyUntilMs) throw again(state.error, probeDelaysMs[0]);
        return this.#trial(state);
      default:
        return state satisfies never;
    }
  }

  status(): BreakerStatus {
    const nowMs = this.#options.clock.elapsed();
    const state = this.#state;
    switch (state.kind) {
      case "closed":
      case "trial":
        return { state: "ready" };
      case "open":
        return { state: "failing", reason: state.error.message, retryInMs: Math.max(0, state.nextAtMs - nowMs) };
      case "paused":
        if (nowMs >= state.untilMs) return { state: "ready" };
        return { state: "throttled", reason: state.error.message, retryInMs: state.untilMs - nowMs };
      default:
        return state satisfies never;
    }
  }

  /** Stops probing. */
  close(): void {
    this.#isClosed = true;
    this.#cancelProbe();
  }

  #trial({ error, probes }: { error: OciError; probes: number }): Passage {
    this.#cancelProbe();
    this.#state = { kind: "trial", error, probes, busyUntilMs: this.#options.clock.elapsed() + trialMsMax };
    return this.#passage(true);
  }

  #passage(isTrial: boolean): Passage {
    let isOver = false;
    const once = (report: () => void) => () => {
      if (isOver) return;
      isOver = true;
      report();
    };
    return {
      succeeded: once(() => this.#succeeded(isTrial)),
      failed: (error) => once(() => this.#failed(error, isTrial))(),
      abstained: once(() => {
        if (isTrial && this.#state.kind === "trial") this.#state = { ...this.#state, busyUntilMs: undefined };
      }),
    };
  }

  #succeeded(isTrial: boolean): void {
    if (this.#state.kind === "closed") this.#state = { kind: "closed", failures: 0 };
    else if (isTrial && this.#state.kind === "trial") this.#close();
  }

  #failed(error: OciError, isTrial: boolean): void {
    const state = this.#state;
    if (error.code === "UPSTREAM_THROTTLED") return this.#pause(error);
    if (state.kind === "trial" && isTrial) return this.#open(error, state.probes);
    if (state.kind !== "closed") return;
    const failures = state.failures + 1;
    if (opensAtOnce(error) || failures >= failuresMax) return this.#open(error, 0);
    this.#state = { kind: "closed", failures };
  }

  #open(error: OciError, probes: number): void {
    const { clock, background, onChange } = this.#options;
    const wasOpen = this.#state.kind !== "closed";
    const delayMs = probeDelaysMs[Math.min(probes, probeDelaysMs.length - 1)] ?? probeDelaysMs[0];
    this.#state = { kind: "open", error, probes: probes + 1, nextAtMs: clock.elapsed() + delayMs };
    this.#cancelProbe();
    if (!this.#isClosed) this.#cancelProbe = clock.after(delayMs, () => background.run("probing an upstream", this.#probe()));
    if (!wasOpen) onChange?.({ kind: "opened", error });
  }

  async #probe(): Promise<void> {
    const before = this.#state;
    if (before.kind !== "open" || this.#options.clock.elapsed() - this.#askedAtMs >= interestMs) return;
    let health: "well" | "ill";
    try {
      health = await this.#options.probe();
    } catch (error) {
      if (this.#state !== before) return;
      const failure = error instanceof OciError ? error : before.error;
      if (failure.code === "UPSTREAM_THROTTLED") return this.#pause(failure);
      return this.#open(failure, before.probes);
    }
    if (this.#state !== before) return;
    if (health === "ill" && before.probes % probesPerTrial !== 0) return this.#open(before.error, before.probes);
    this.#state = { kind: "trial", error: before.error, probes: before.probes, busyUntilMs: undefined };
  }

  #pause(error: OciError): void {
    const untilMs = this.#options.clock.elapsed() + (error.retryAfterMs ?? probeDelaysMs[0]);
    if (this.#state.kind === "paused" && this.#state.untilMs >= untilMs) return;
    const wasPaused = this.#state.kind === "paused";
    this.#cancelProbe();
    this.#state = { kind: "paused", error, untilMs };
    if (!wasPaused) this.#options.onChange?.({ kind: "throttled", error });
  }

  #close(): void {
    this.#cancelProbe();
    this.#state = { kind: "closed", failures: 0 };
    this.#options.onChange?.({ kind: "closed" });
  }
}

/** The same error, for someone who was not there. */
function again(error: OciError, inMs: number): OciError {
  const retryAfterMs = Math.min(retryAfterMsMax, Math.max(1_000, Math.ceil(inMs)));
  return new OciError(error.code, error.message, { source: error.source, cause: error, retryAfterMs });
}
