/**
 * BearerTokens: the tokens bought for one endpoint, each fetched once however many wait for it, renewed while still good, and
 * forgotten when the registry refuses it. Docker's token authentication; RFC 6749 for the names of the fields.
 */
import { LRUCache } from "lru-cache";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { isOutage, OciError } from "../oci/errors.ts";
import type { Credential } from "./credentials.ts";
import { startBudget, untilAborted } from "../oci/waiting.ts";

const tokensMax = 10_000;
const pendingMax = 1_000;
const lifeMsDefault = 60_000;
const lifeMsMax = 12 * 3_600_000;
const clockSkewMsMax = 300_000;
/** A token is renewed behind the scenes once so much of its life is over. */
const renewalFraction = 0.8;

/** What a token is for. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  /** Scopes, separated by spaces; undefined when the challenge and we know none. */
  readonly scope: string | undefined;
  readonly credential: Credential | undefined;
}

/** As a token service said it. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresInSeconds: number | undefined;
  readonly issuedAtMs: number | undefined;
}

export interface BearerToken {
  readonly value: string;
  /** Bought with a credential: what it opens may not be everybody's. */
  readonly isPrivileged: boolean;
  readonly usableUntilMs: number;
  readonly renewAtMs: number;
}

export interface BearerTokensOptions {
  readonly clock: Clock;
  readonly background: Background;
  readonly tokenMs: number;
  /** Buys one. Rejects with `OciError`. */
  readonly fetch: (request: TokenRequest, signal: AbortSignal) => Promise<IssuedToken>;
}

export class BearerTokens {
  readonly #options: BearerTokensOptions;
  // Of that size, and not `max`, which takes the room for all at once: most registries have a handful.
  readonly #tokens = new LRUCache<string, BearerToken>({ maxSize: tokensMax, sizeCalculation: () => 1 });
  readonly #pending = new Map<string, Promise<BearerToken>>();

  constructor(options: BearerTokensOptions) {
    this.#options = options;
  }

  /** A token that is good for a while: a held one (`isHeld`), or a new one. Rejects as `fetch`, or with the signal's reason. */
  async get(request: TokenRequest, signal: AbortSignal): Promise<{ readonly token: BearerToken; readonly isHeld: boolean }> {
    const key = keyOf(request);
    const held = this.#tokens.get(key);
    const nowMs = this.#options.clock.elapsed();
    if (held && nowMs < held.usableUntilMs) {
      if (nowMs >= held.renewAtMs && !this.#pending.has(key)) this.#renew(key, request);
      return { token: held, isHeld: true };
    }
    return { token: await untilAborted(this.#pending.get(key) ?? this.#buy(key, request), signal), isHeld: false };
  }

  /** The registry refused `token`: nobody shall be given it again. */
  drop(request: TokenRequest, token: BearerToken): void {
    const key = keyOf(request);
    if (this.#tokens.get(key)?.value === token.value) this.#tokens.delete(key);
  }

  /** Ahead of time: while it fails, the held token does; when that has run out, whoever needs another hears why there is none. */
  #renew(key: string, request: TokenRequest): void {
    const renewed = this.#buy(key, request).catch((error: unknown) => {
      if (!isOutage(error)) throw error;
    });
    this.#options.background.run("renewing a token", renewed);
  }

  #buy(key: string, request: TokenRequest): Promise<BearerToken> {
    if (this.#pending.size >= pendingMax)
      return Promise.reject(new OciError("OVERLOADED", `too many tokens are being fetched from ${request.realm.host}`, { retryAfterMs: 1_000 }));
    const pending = this.#fetch(key, request).finally(() => this.#pending.delete(key));
    this.#pending.set(key, pending);
    // Those who wait hear of a failure themselves; when all have left, nobody needs to.
    this.#options.background.run(
      "fetching a token",
      pending.catch(() => {}),
    );
    return pending;
  }

  async #fetch(key: string, request: TokenRequest): Promise<BearerToken> {
    const { clock, tokenMs, fetch } = this.#options;
    const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `no token from ${request.realm.host} within ${tokenMs} ms`, { source: "upstream" });
    using budget = startBudget({ clock, limitMs: tokenMs, signal: new AbortController().signal, late });
    const issued = await fetch(request, budget.signal);
    const token = tokenOf(issued, request.credential !== undefined, clock);
    this.#tokens.set(key, token);
    return token;
  }
}

function tokenOf({ token, expiresInSeconds, issuedAtMs }: IssuedToken, isPrivileged: boolean, clock: Clock): BearerToken {
  const lifeMs = Math.min(lifeMsMax, Math.max(lifeMsDefault, (expiresInSeconds ?? 0) * 1_000));
  const sinceMs = issuedAtMs === undefined ? 0 : clock.now() - issuedAtMs;
  // A clock that differs by minutes is wrong, theirs or ours: then the time counts at which the token came.
  const ageMs = sinceMs > 0 && sinceMs <= clockSkewMsMax ? Math.min(sinceMs, lifeMs) : 0;
  const expiresAtMs = clock.elapsed() - ageMs + lifeMs;
  return {
    value: token,
    isPrivileged,
    usableUntilMs: expiresAtMs - Math.max(10_000, lifeMs * 0.1),
    renewAtMs: expiresAtMs - lifeMs * (1 - renewalFraction),
  };
}

function keyOf({ realm, service, scope, credential }: TokenRequest): string {
  const scopes = (scope ?? "").split(" ").toSorted().join(" ");
  return JSON.stringify([realm.href, service ?? null, scopes, credential?.id ?? null]);
}
