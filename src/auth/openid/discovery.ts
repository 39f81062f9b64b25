/**
 * Discovery: what an OpenID provider says of itself (OpenID Connect Discovery 1.0): asked for when it is first needed, kept for a while,
 * and for as long as the provider is away.
 */
import type { Background } from "../../oci/background.ts";
import type { Clock } from "../../oci/clock.ts";
import type { Log } from "../../oci/log.ts";
import { fetchJson, StatusError, type JsonFetchOptions, type OutboundFetch } from "../json-fetch.ts";
import { textOf } from "../json-object.ts";
import { tokenAlgorithms } from "../token-key.ts";
import { ProviderUnavailable } from "./provider.ts";

/** A document this old is asked for anew behind the answers that it still gives. */
const freshMs = 3_600_000;
/** After a failure: longer each time. */
const retryFirstMs = 1_000;
const retryMsMax = 60_000;

export interface DiscoveryOptions {
  readonly name: string;
  /** Undefined: whatever the document at `metadataUrl` says. */
  readonly issuer: string | undefined;
  /** Undefined: where the issuer keeps it. */
  readonly metadataUrl: string | undefined;
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
  readonly background: Background;
  readonly log: Log;
}

export interface ProviderDocument {
  readonly issuer: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  #held: { readonly document: ProviderDocument; readonly atMs: number } | undefined;
  #pending: Promise<void> | undefined;
  #failure: { readonly error: ProviderUnavailable; readonly untilMs: number; readonly waitMs: number } | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** Who the provider is, as far as it is known without asking. */
  get issuer(): string | undefined {
    return this.#held?.document.issuer ?? this.#options.issuer;
  }

  /** The address that the operator wrote. */
  get source(): string {
    return this.#options.metadataUrl ?? this.#options.issuer ?? "";
  }

  /** The same object until the provider says something else. Throws `ProviderUnavailable`. */
  async read(): Promise<ProviderDocument> {
    const { clock, background } = this.#options;
    if (!this.#held) await this.#fetchOnce();
    else if (clock.elapsed() - this.#held.atMs > freshMs) background.run("what an openid provider says of itself", this.#fetchOnce());
    if (this.#held) return this.#held.document;
    throw this.#failure?.error ?? new ProviderUnavailable(this.#options.name, "it has said nothing of itself yet");
  }

  /** An address that the document names; undefined where it names none. Throws `ProviderUnavailable` for one that is not to be trusted. */
  async endpoint(key: string): Promise<string | undefined> {
    const { metadata } = await this.read();
    if (metadata[key] === undefined) return undefined;
    try {
      return trustedUrl(metadata, key, this.source);
    } catch (error) {
      throw new ProviderUnavailable(this.#options.name, messageOf(error), { cause: error });
    }
  }

  /** The key set, wherever the provider keeps it now. Throws an Error. */
  async loadKeys(): Promise<Readonly<Record<string, unknown>>> {
    const { fetch, clock } = this.#options;
    const { metadata } = await this.read();
    return await fetchJson(trustedUrl(metadata, "jwks_uri", this.source), { fetch, clock, namedBy: this.source });
  }

  /** Never rejects: a failure is noted. */
  #fetchOnce(): Promise<void> {
    const { clock } = this.#options;
    if (this.#failure && clock.elapsed() < this.#failure.untilMs) return Promise.resolve();
    this.#pending ??= this.#fetch().finally(() => (this.#pending = undefined));
    return this.#pending;
  }

  async #fetch(): Promise<void> {
    const { name, issuer, metadataUrl, fetch, clock, log } = this.#options;
    try {
      const document = await discover({ issuer, metadataUrl, skipIssuerVerification: false }, { fetch, clock });
      checkAlgorithms(document.metadata);
      this.#held = { document, atMs: clock.elapsed() };
      this.#failure = undefined;
    } catch (error) {
      const waitMs = Math.min((this.#failure?.waitMs ?? retryFirstMs / 2) * 2, retryMsMax);
      this.#failure = { error: new ProviderUnavailable(name, messageOf(error), { cause: error }), untilMs: clock.elapsed() + waitMs, waitMs };
      log.warn({ provider: name, error: messageOf(error), isHeld: this.#held !== undefined }, "openid provider cannot be used: its discovery failed");
    }
  }
}

export interface WhatToDiscover {
  readonly issuer: string | undefined;
  readonly metadataUrl: string | undefined;
  /** The provider may call itself otherwise than its address. */
  readonly skipIssuerVerification: boolean;
}

/** What the provider says of itself now. Throws an Error that says what is wrong, and, of an issuer that is nearly right, what is right. */
export async function discover({ issuer, metadataUrl, skipIssuerVerification }: WhatToDiscover, options: JsonFetchOptions): Promise<ProviderDocument> {
  const url = metadataUrl ?? `${issuer?.replace(/\/$/, "") ?? ""}/.well-known/openid-configuration`;
  const metadata = await fetchJson(url, options).catch((error: unknown) => {
    throw error instanceof StatusError && error.status === 404 ? new Error(`${error.message}: ${notFoundHint(issuer)}`, { cause: error }) : error;
  });
  const said = textOf(metadata["issuer"]);
  if (issuer !== undefined && said !== issuer && !skipIssuerVerification)
    throw new Error(`the provider at ${issuer} calls itself ${said === undefined ? "nothing" : `"${said}"`}${slashHint(issuer, said)}`);
  if (said === undefined && issuer === undefined) throw new Error(`${url} does not say who the issuer is`);
  return { issuer: said ?? issuer ?? "", metadata };
}

/** An address in a provider's document: over https, unless the operator himself wrote http. Throws an Error. */
export function trustedUrl(metadata: Readonly<Record<string, unknown>>, key: string, source: string): string {
  const url = URL.parse(textOf(metadata[key]) ?? "");
  if (!url) throw new Error(`the provider at ${source} does not say where that is: ${key}`);
  const isAllowed = url.protocol === "https:" || (url.protocol === "http:" && source.startsWith("http://"));
  if (!isAllowed || url.username !== "" || url.password !== "") throw new Error(`the provider at ${source} names an address that is not to be trusted: ${key}`);
  return url.href;
}

/** Tokens that are signed with a secret could be made by whoever can check them. */
function checkAlgorithms({ id_token_signing_alg_values_supported: algorithms }: Readonly<Record<string, unknown>>): void {
  if (!Array.isArray(algorithms) || algorithms.some((algorithm) => tokenAlgorithms.some((known) => known === algorithm))) return;
  throw new Error(
    `it signs tokens with ${algorithms
      .filter((algorithm) => typeof algorithm === "string")
      .join(", ")
      .slice(0, 100)} only, which is refused: ` + "choose an RSA or EC signing key for it (Authentik: Providers, Edit, Signing Key)",
  );
}

function notFoundHint(issuer: string | undefined): string {
  const example = "Authentik's issuer is https://HOST/application/o/SLUG/, Keycloak's https://HOST/realms/REALM";
  return issuer === undefined ? "the address of its document is another" : `auth.openid issuer is probably another: ${example}`;
}

function slashHint(issuer: string, said: string | undefined): string {
  return said !== undefined && said.replace(/\/$/, "") === issuer.replace(/\/$/, "") ? `: write the issuer exactly so, slash and all` : "";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
