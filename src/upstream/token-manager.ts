/**
 * TokenManager: one credential that ends, kept fresh. It is fetched before anybody asks, renewed well before its end, and fetched
 * once however many wait for it. While renewing fails the one that is held serves on, up to its real end and never beyond.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import { credentialLife, forcedEveryMs, retryDelayMs, type CredentialLife } from "./credential-life.ts";
import { identified, type Credential, type CredentialProvider, type CredentialSource, type CredentialStatus } from "./credentials.ts";
import { startBudget, untilAborted } from "../oci/waiting.ts";

export interface TokenManagerOptions {
  readonly provider: CredentialProvider;
  /** A credential is renewed after so long, however long it would live; undefined: its own life decides. */
  readonly expiryMs?: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  /** How long one fetch may take. */
  readonly fetchMs?: number;
  /** Between 0 and 1, so that many of us do not renew in step. */
  readonly random?: () => number;
}

/** Who is silent after a failure may be silent for long: so long in each try somebody waits for it, to be in time where it is back. */
const retryPatienceMs = 1_000;

interface Held extends CredentialLife {
  /** Undefined: the provider says that there is none, and that is good for a while too. */
  readonly credential: Credential | undefined;
}

type State =
  | { readonly kind: "none" }
  | { readonly kind: "fetching"; readonly fetch: Promise<Held> }
  | { readonly kind: "held"; readonly held: Held }
  | { readonly kind: "refreshing"; readonly held: Held; readonly fetch: Promise<Held> }
  | { readonly kind: "failing"; readonly held: Held | undefined; readonly error: OciError; readonly retryAtMs: number };

export class TokenManager implements CredentialSource {
  readonly #options: TokenManagerOptions;
  readonly #lifetime = new AbortController();
  #state: State = { kind: "none" };
  #failures = 0;
  /** Of the last fetch; undefined when that brought something. */
  #lastError: OciError | undefined;
  #beganAtMs = -Infinity;
  #forcedAtMs = -Infinity;
  #cancelTimer: () => void = () => {};

  constructor(options: TokenManagerOptions) {
    this.#options = options;
  }

  /** Fetches the first one in the background. */
  start(): void {
    if (this.#state.kind === "none") void this.#refresh();
  }

  /** The credential that holds now; waits for one only where none is held. Rejects as the provider's last fetch did, or with the signal's reason. */
  async current(_name: string, signal: AbortSignal): Promise<Credential | undefined> {
    const held = this.#usable();
    if (held) {
      if (this.#options.clock.now() >= held.refreshAtMs) this.#refreshIfDue();
      return held.credential;
    }
    this.#refuseIfTooSoon();
    return (await this.#patiently(this.#underWay() ?? this.#refresh(), signal)).credential;
  }

  async renew(credential: Credential, _name: string, signal: AbortSignal): Promise<boolean> {
    const isAnother = (): boolean => {
      const held = this.#usable();
      return held?.credential !== undefined && held.credential.id !== credential.id;
    };
    if (isAnother()) return true;
    const { clock } = this.#options;
    const mayForce = clock.elapsed() - this.#forcedAtMs >= forcedEveryMs;
    const fetch = this.#underWay() ?? (mayForce ? this.#refresh() : undefined);
    if (!fetch) return false;
    if (mayForce) this.#forcedAtMs = clock.elapsed();
    // Its failure has been told; who asked hears that there is nothing newer.
    await untilAborted(
      fetch.catch(() => undefined),
      signal,
    );
    return isAnother();
  }

  status(): CredentialStatus {
    const state = this.#state;
    const held = "held" in state ? state.held : undefined;
    return {
      description: this.#options.provider.description,
      state: state.kind,
      expiresAtMs: held && this.#usable() ? held.expiresAtMs : undefined,
      reason: state.kind === "failing" ? state.error.message : undefined,
    };
  }

  /** Fetches no more. What is under way is given up. */
  close(): void {
    const { provider, background } = this.#options;
    this.#cancelTimer();
    if (provider.close) background.run("closing a credential's connections", provider.close());
    this.#lifetime.abort(new OciError("OVERLOADED", "the server is shutting down, or was told of another credential", { retryAfterMs: 1_000 }));
  }

  #usable(): Held | undefined {
    const held = "held" in this.#state ? this.#state.held : undefined;
    return held && this.#options.clock.now() < held.usableUntilMs ? held : undefined;
  }

  #underWay(): Promise<Held> | undefined {
    return "fetch" in this.#state ? this.#state.fetch : undefined;
  }

  /** Waits for a fetch; where the one before it failed, for its beginning only, and then rejects as that did. */
  async #patiently(fetch: Promise<Held>, signal: AbortSignal): Promise<Held> {
    const { clock } = this.#options;
    const error = this.#lastError;
    if (!error) return untilAborted(fetch, signal);
    const limitMs = this.#beganAtMs + retryPatienceMs - clock.elapsed();
    if (limitMs <= 0) throw error;
    using budget = startBudget({ clock, limitMs, signal, late: () => error });
    return await untilAborted(fetch, budget.signal);
  }

  /** Its timer should have done this: the machine slept. */
  #refreshIfDue(): void {
    const state = this.#state;
    if (state.kind === "held" || (state.kind === "failing" && this.#options.clock.elapsed() >= state.retryAtMs)) void this.#refresh();
  }

  /** Throws what the last fetch failed with, until the next is due. */
  #refuseIfTooSoon(): void {
    const state = this.#state;
    if (state.kind === "failing" && this.#options.clock.elapsed() < state.retryAtMs) throw state.error;
  }

  /** Begins a fetch; its failure is told here, and given to those who wait. */
  #refresh(): Promise<Held> {
    this.#cancelTimer();
    const held = "held" in this.#state ? this.#state.held : undefined;
    this.#beganAtMs = this.#options.clock.elapsed();
    const fetch = this.#fetch(held);
    this.#state = held ? { kind: "refreshing", held, fetch } : { kind: "fetching", fetch };
    this.#options.background.run(
      "fetching a credential",
      fetch.catch(() => {}),
    );
    return fetch;
  }

  async #fetch(before: Held | undefined): Promise<Held> {
    const { clock, log, provider } = this.#options;
    try {
      const held = await this.#fetchOnce();
      this.#state = { kind: "held", held };
      const isNews = this.#failures > 0 || !before || (before.credential === undefined) !== (held.credential === undefined);
      if (isNews)
        log.info({ credential: provider.description, expiresAt: instant(held.expiresAtMs) }, held.credential ? "credential fetched" : "no credential there");
      this.#failures = 0;
      this.#lastError = undefined;
      this.#wakeIn(held.refreshAtMs - clock.now());
      return held;
    } catch (caught) {
      const error =
        caught instanceof OciError ? caught : new OciError("UPSTREAM_UNAVAILABLE", `${provider.description}: it failed unexpectedly`, { cause: caught });
      this.#failed(error, before);
      throw error;
    }
  }

  async #fetchOnce(): Promise<Held> {
    const { clock, provider, expiryMs, fetchMs = 10_000, random = Math.random } = this.#options;
    const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `${provider.description}: no credential within ${fetchMs} ms`);
    using budget = startBudget({ clock, limitMs: fetchMs, signal: this.#lifetime.signal, late });
    const { content, expiresAtMs } = await untilAborted(provider.fetch(budget.signal), budget.signal);
    const nowMs = clock.now();
    const life = credentialLife({ nowMs, expiresAtMs, expiryMs, random });
    if (life.expiresAtMs !== undefined && life.expiresAtMs <= nowMs) {
      throw new OciError(
        "UPSTREAM_UNAVAILABLE",
        `${provider.description}: what came ended at ${instant(life.expiresAtMs)}, and it is ${instant(nowMs)} here: check this machine's clock`,
      );
    }
    return { ...life, credential: content && identified(content) };
  }

  #failed(error: OciError, held: Held | undefined): void {
    const { clock, log, provider, random = Math.random } = this.#options;
    const delayMs = retryDelayMs(this.#failures, random);
    this.#failures += 1;
    this.#lastError = error;
    this.#state = { kind: "failing", held, error, retryAtMs: clock.elapsed() + delayMs };
    if (this.#lifetime.signal.aborted) return;
    log.warn(
      { credential: provider.description, problem: error.message, expiresAt: instant(held?.expiresAtMs), retryInMs: Math.round(delayMs) },
      "credential not fetched",
    );
    this.#wakeIn(delayMs);
  }

  #wakeIn(delayMs: number): void {
    this.#cancelTimer();
    if (!this.#lifetime.signal.aborted) this.#cancelTimer = this.#options.clock.after(Math.max(0, delayMs), () => this.#refresh());
  }
}

function instant(atMs: number | undefined): string | undefined {
  return atMs === undefined ? undefined : new Date(atMs).toISOString();
}
