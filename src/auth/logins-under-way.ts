/**
 * LoginsUnderWay: people who were sent to a provider and are to come back. Each login has a state that nobody can guess, is good for ten
 * minutes, for one return, from that provider, and for the browser that began it, which alone has the cookie. What is kept opens nothing.
 */
import { hash, randomBytes } from "node:crypto";
import type { Clock } from "../oci/clock.ts";
import { findObject, textOf } from "./json-object.ts";
import { budgetAddress } from "./login-budgets.ts";
import { drawBrowserNonce } from "./openid/browser-nonce.ts";
import type { LoginUnderWay } from "./openid/provider.ts";
import type { Records } from "./records.ts";
import { seal, unseal, type SealSecret } from "./sealed-text.ts";
import { WindowBudget } from "./window-budget.ts";

/** How long somebody may take at the provider. */
export const loginLifeMs = 600_000;
/** What the names of these cookies begin with; each login has its own, since people open several windows. */
export const loginCookiePrefix = "login-";
/** Logins that one address may have begun within their life, and all together: each is kept until somebody comes back, or that is over. */
const begunMax = 1_000;
const begunInAllMax = 20_000;

export interface LoginsUnderWayOptions {
  readonly records: Records;
  readonly clock: Clock;
  /** Of all addresses together. Default: 20,000. */
  readonly inAllMax?: number;
}

/** What is to be known when somebody comes back. */
export interface BegunLogin {
  /** The provider's name. */
  readonly provider: string;
  readonly redirectUri: string;
  /** Where the browser goes after that; checked already. */
  readonly callback: string;
}

export interface LoginStart {
  readonly login: LoginUnderWay;
  readonly cookie: { readonly name: string; readonly value: string };
}

export type ReturnedLogin =
  | { readonly kind: "returned"; readonly login: LoginUnderWay; readonly callback: string }
  /** The reason is for the log. */
  | { readonly kind: "refused"; readonly reason: string };

export class LoginsUnderWay {
  readonly #options: LoginsUnderWayOptions;
  readonly #begun: WindowBudget;

  constructor(options: LoginsUnderWayOptions) {
    this.#options = options;
    this.#begun = new WindowBudget({ perOne: begunMax, inAll: options.inAllMax ?? begunInAllMax, windowMs: loginLifeMs, clock: options.clock });
  }

  /** Begins one; undefined when `client`, an address, or everybody together, has begun too many. Throws `RecordsUnavailable`. */
  async begin(begun: BegunLogin, client: string): Promise<LoginStart | undefined> {
    if (this.#begun.spend(budgetAddress(client))) return undefined;
    const { provider, redirectUri, callback } = begun;
    const [state, codeVerifier, browser] = [randomText(), randomText(), randomText()];
    const nonce = drawBrowserNonce();
    const held = JSON.stringify({ provider, redirectUri, callback, nonce, codeVerifier, browser: hash("sha256", browser, "hex") });
    await this.#options.records.write(["logins-under-way", idOf(state)], seal(held, sealBy(state)), { lifeMs: loginLifeMs });
    return { login: { redirectUri, state, nonce, codeVerifier }, cookie: { name: cookieOf(state), value: browser } };
  }

  /** The one that `state` stands for, which is over with that. `cookie` gives a cookie's value by its name. Throws `RecordsUnavailable`. */
  async take(state: string, provider: string, cookie: (name: string) => string | undefined): Promise<ReturnedLogin> {
    if (!/^[A-Za-z0-9_-]{43}$/.test(state)) return { kind: "refused", reason: "the provider's answer carries no state of ours" };
    const sealed = await this.#options.records.take(["logins-under-way", idOf(state)]);
    const held = sealed === undefined ? undefined : read(unseal(sealed, sealBy(state)));
    if (!held) return { kind: "refused", reason: "nobody is under way with this state: it was used already, or is over, or never was" };
    if (held.provider !== provider) return { kind: "refused", reason: `this state was given to ${held.provider}, and came back from ${provider}` };
    // Hashes are compared: how long that takes tells nothing of what is hashed.
    if (hash("sha256", cookie(cookieOf(state)) ?? "", "hex") !== held.browser) return { kind: "refused", reason: "another browser has begun this" };
    const { redirectUri, nonce, codeVerifier, callback } = held;
    return { kind: "returned", login: { redirectUri, state, nonce, codeVerifier }, callback };
  }
}

/** The cookie of the login that `state` stands for. */
export function cookieOf(state: string): string {
  return `${loginCookiePrefix}${idOf(state).slice(0, 16)}`;
}

function idOf(state: string): string {
  return hash("sha256", state, "hex");
}

function sealBy(state: string): SealSecret {
  return { secret: state, pepper: "", use: "login under way" };
}

/** 256 bits; as a code verifier of RFC 7636 long enough too. */
function randomText(): string {
  return randomBytes(32).toString("base64url");
}

function read(text: string | undefined): (BegunLogin & { readonly nonce: string; readonly codeVerifier: string; readonly browser: string }) | undefined {
  const held = findObject(text);
  const [provider, redirectUri, callback] = [textOf(held?.["provider"]), textOf(held?.["redirectUri"]), textOf(held?.["callback"])];
  const [nonce, codeVerifier, browser] = [textOf(held?.["nonce"]), textOf(held?.["codeVerifier"]), textOf(held?.["browser"])];
  if (provider === undefined || redirectUri === undefined || callback === undefined) return undefined;
  return nonce === undefined || codeVerifier === undefined || browser === undefined
    ? undefined
    : { provider, redirectUri, callback, nonce, codeVerifier, browser };
}
