/**
 * Origins: the servers that one endpoint leads us to (itself, its token realms, its CDNs), each with a breaker of its own: a CDN
 * that is away does not silence the registry before it, nor the other way round.
 */
import { LRUCache } from "lru-cache";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import { Breaker, type BreakerStatus, type Passage } from "./breaker.ts";
import { AddressRefused, throttled } from "./errors.ts";
import type { HttpRequest, HttpResponse } from "./exchange.ts";
import type { HttpClient } from "./http-client.ts";
import { startBudget } from "../oci/waiting.ts";

const originsMax = 64;
const probeMs = 2_500;

/** An answer whose use decides whether its origin is well: report it to `passage`, unless the status alone told already. */
export interface Reply extends HttpResponse {
  readonly passage: Passage;
}

export interface OriginFailure {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly reason: string;
}

export interface OriginsOptions {
  readonly client: HttpClient;
  /** The endpoint's own origin. */
  readonly own: URL;
  readonly clock: Clock;
  readonly background: Background;
  readonly log: Log;
  readonly userAgent: string;
}

export class Origins {
  readonly #options: OriginsOptions;
  #lastFailure: OriginFailure | undefined;
  readonly #breakers = new LRUCache<string, Breaker>({ max: originsMax, dispose: (breaker) => breaker.close() });

  constructor(options: OriginsOptions) {
    this.#options = options;
  }

  /** Sends, unless the origin's breaker is open. Rejects with `OciError`, or with the signal's reason. */
  async send(request: HttpRequest): Promise<Reply> {
    const passage = this.#breaker(request.url).enter();
    try {
      const response = await this.#options.client.send(request);
      judge(response, passage, this.#options.clock);
      return { ...response, passage };
    } catch (error) {
      if (error instanceof OciError && error.source === "upstream" && !(error instanceof AddressRefused)) passage.failed(error);
      else passage.abstained();
      throw error;
    }
  }

  /** The worst of them. */
  status(): BreakerStatus {
    const all = [...this.#breakers.values()].map((breaker) => breaker.status());
    return all.find(({ state }) => state === "failing") ?? all.find(({ state }) => state === "throttled") ?? { state: "ready" };
  }

  /** When one of them last stopped answering; undefined: none has. */
  get lastFailure(): OriginFailure | undefined {
    return this.#lastFailure;
  }

  /** Stops probing. */
  close(): void {
    this.#breakers.clear();
  }

  #breaker(url: URL): Breaker {
    const known = this.#breakers.get(url.origin);
    if (known) return known;
    const { clock, background, log } = this.#options;
    const origin = new URL(url.origin);
    const breaker = new Breaker({
      clock,
      background,
      probe: () => this.#probe(origin),
      onChange: (change) => {
        if (change.kind === "closed") return log.info({ upstream: origin.host }, "upstream answers again");
        const reason = change.error.message;
        this.#lastFailure = { atMs: clock.now(), reason };
        log.warn({ upstream: origin.host, state: change.kind, reason }, "upstream does not answer");
      },
    });
    this.#breakers.set(url.origin, breaker);
    return breaker;
  }

  /** Any answer will do that is not itself a sign of illness. */
  async #probe(origin: URL): Promise<"well" | "ill"> {
    const { client, own, clock, userAgent } = this.#options;
    const isOwn = origin.origin === own.origin;
    const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `no answer from ${origin.host} within ${probeMs} ms`, { source: "upstream" });
    using budget = startBudget({ clock, limitMs: probeMs, signal: new AbortController().signal, late });
    // Whoever is ill may have moved: a connection that is kept would lead to where it was.
    client.renew(origin);
    const response = await client.send({
      url: new URL(isOwn ? "/v2/" : "/", origin),
      method: isOwn ? "GET" : "HEAD",
      headers: { "user-agent": userAgent, "accept-encoding": "identity" },
      lane: "metadata",
      signal: budget.signal,
    });
    response.body.discard();
    if (response.status === 429) throw throttled(response, clock);
    return isOwn && response.status >= 500 ? "ill" : "well";
  }
}

function judge(response: HttpResponse, passage: Passage, clock: Clock): void {
  const { status } = response;
  if (status === 429) passage.failed(throttled(response, clock));
  else if (status >= 500) passage.failed(ill(response));
  else if (status === 401) passage.abstained();
  else if (status >= 300) passage.succeeded();
}

function ill({ url, status }: HttpResponse): OciError {
  return new OciError("UPSTREAM_UNAVAILABLE", `${url.host} answered ${status}`, { source: "upstream" });
}
