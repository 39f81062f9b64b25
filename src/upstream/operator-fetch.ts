/**
 * OperatorFetch: `fetch` towards addresses that the operator wrote down (an issuer, a key set), for those who have no connections of
 * their own. Such an address may be anywhere; what its answers point to may be public, or share its kind of network. Short answers only.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { AddressPolicy, ListedAddresses } from "./address-policy.ts";
import { HttpClient } from "./http-client.ts";
import { NameLookup } from "./name-lookup.ts";
import { Proxies } from "./proxies.ts";
import { defaultDeadlines, type ProxyOptions } from "./upstream-options.ts";

export interface OperatorFetchOptions {
  /** PEM; trusted beside the system's authorities. */
  readonly ca?: string | undefined;
  readonly proxy: ProxyOptions | undefined;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly background: Background;
}

export interface OperatorRequest {
  readonly url: string;
  /** The address that the operator wrote, when `url` stood in an answer of it; undefined: the operator wrote `url`. */
  readonly namedBy: string | undefined;
  /** Default: GET. */
  readonly method?: "GET" | "POST" | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal: AbortSignal;
}

/** What of an answer's head is passed on. */
const headersPassed = ["content-type", "www-authenticate", "link"];

const answerBytesMax = 1 << 20;

export class OperatorFetch {
  readonly #options: OperatorFetchOptions;
  readonly #names: NameLookup;
  readonly #proxies: Proxies;
  /** By the address that the operator wrote: as many as the configuration names. */
  readonly #clients = new Map<string, HttpClient>();

  /** Throws a TypeError for a proxy that is no URL. */
  constructor(options: OperatorFetchOptions) {
    const { clock, background, proxy } = options;
    this.#options = options;
    this.#names = new NameLookup({ clock, background, lookupMs: defaultDeadlines.lookupMs });
    this.#proxies = new Proxies(proxy);
  }

  /** Follows no redirect. Rejects with `OciError`, a TypeError for what is no URL, or the signal's reason. */
  readonly fetch = async ({ url, namedBy, method = "GET", headers, body, signal }: OperatorRequest): Promise<Response> => {
    const client = this.#clientFor(new URL(namedBy ?? url));
    const answer = await client.send({
      url: new URL(url),
      method,
      headers: { "user-agent": this.#options.userAgent, ...headers, "accept-encoding": "identity" },
      ...(body === undefined ? {} : { body }),
      lane: "metadata",
      signal,
    });
    const { status } = answer;
    const bytes = await answer.body.readAll(answerBytesMax, signal);
    const passed = headersPassed.flatMap((name) => {
      const value = answer.header(name);
      return value === undefined ? [] : [[name, value] as [string, string]];
    });
    return new Response(status === 204 || status === 304 ? null : new Uint8Array(bytes), { status, headers: passed });
  };

  /** Ends every connection. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
  }

  #clientFor(own: URL): HttpClient {
    const known = this.#clients.get(own.origin);
    if (known) return known;
    const { ca, clock, background } = this.#options;
    const listed = new ListedAddresses();
    listed.addUrl(own);
    const client = new HttpClient({
      policy: new AddressPolicy({ listed: () => listed, own: new URL(own.origin), isListed: true }),
      names: this.#names,
      proxies: this.#proxies,
      tls: ca === undefined ? undefined : { ca, insecureSkipVerify: false },
      clock,
      background,
      deadlines: defaultDeadlines,
    });
    this.#clients.set(own.origin, client);
    return client;
  }
}
