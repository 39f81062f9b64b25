/** Userinfo: what a provider says of the person behind an access token just now (OpenID Connect Core 1.0, 5.3), asked as often as is wanted. */
import { LRUCache } from "lru-cache";
import { hash } from "node:crypto";
import type { Clock } from "../../oci/clock.ts";
import { fetchJson, StatusError, type OutboundFetch } from "../json-fetch.ts";
import type { Claims } from "../token-verifier.ts";
import type { Discovery } from "./discovery.ts";

/** How often: a number is milliseconds. */
export type UserinfoCheck = "never" | "always" | number;

export type UserinfoVerdict =
  /** `claims`: empty when nobody was asked. */
  | { readonly kind: "good"; readonly claims: Claims }
  | { readonly kind: "over"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

export interface UserinfoOptions {
  readonly check: UserinfoCheck;
  readonly discovery: Pick<Discovery, "endpoint" | "source">;
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
}

const rememberedMax = 10_000;
/** While the provider is away, what it last said of a token stands for so long. */
const staleMs = 300_000;

export class Userinfo {
  readonly #options: UserinfoOptions;
  readonly #remembered = new LRUCache<string, { readonly claims: Claims; readonly atMs: number }>({ max: rememberedMax });
  readonly #pending = new Map<string, Promise<UserinfoVerdict>>();

  constructor(options: UserinfoOptions) {
    this.#options = options;
  }

  /** What a look into memory tells; undefined: ask. */
  recall(token: string): Claims | undefined {
    const { check, clock } = this.#options;
    if (check === "never") return nothing;
    if (check === "always") return undefined;
    const known = this.#remembered.get(idOf(token));
    return known && clock.elapsed() - known.atMs < check ? known.claims : undefined;
  }

  /** Whether the provider still stands by the token of `subject`. Never rejects. */
  async check(token: string, subject: string): Promise<UserinfoVerdict> {
    const known = this.recall(token);
    if (known) return { kind: "good", claims: known };
    const id = idOf(token);
    const pending = this.#pending.get(id) ?? this.#ask(token, id, subject).finally(() => this.#pending.delete(id));
    this.#pending.set(id, pending);
    return await pending;
  }

  async #ask(token: string, id: string, subject: string): Promise<UserinfoVerdict> {
    const { discovery, fetch, clock, check } = this.#options;
    try {
      const url = await discovery.endpoint("userinfo_endpoint");
      if (url === undefined) return { kind: "over", reason: "the provider has no userinfo to ask: userinfoCheck cannot be used with it" };
      const claims = await fetchJson(url, { fetch, clock, namedBy: discovery.source }, { headers: { authorization: `Bearer ${token}` } });
      if (claims["sub"] !== subject) return this.#over(id, "userinfo is of another subject");
      if (check !== "always") this.#remembered.set(id, { claims, atMs: clock.elapsed() });
      return { kind: "good", claims };
    } catch (error) {
      if (error instanceof StatusError && (error.status === 401 || error.status === 403))
        return this.#over(id, `the provider takes the token no more (userinfo: ${error.status})`);
      const known = this.#remembered.get(id);
      if (known && typeof check === "number" && clock.elapsed() - known.atMs < Math.max(check, staleMs)) return { kind: "good", claims: known.claims };
      return { kind: "unavailable", reason: error instanceof Error ? error.message : String(error) };
    }
  }

  #over(id: string, reason: string): UserinfoVerdict {
    this.#remembered.delete(id);
    return { kind: "over", reason };
  }
}

const nothing: Claims = {};

function idOf(token: string): string {
  return hash("sha256", token, "base64");
}
