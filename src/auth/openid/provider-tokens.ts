/**
 * ProviderTokens: access and ID tokens of a provider that people log in with, shown by programs: as a bearer token, or as the password of
 * `docker login`. Who it is comes from the token, signed by the provider's keys and made for us; what it may do, policies decide.
 */
import type { Background } from "../../oci/background.ts";
import type { Clock } from "../../oci/clock.ts";
import type { Log } from "../../oci/log.ts";
import { untilAborted } from "../../oci/waiting.ts";
import type { Verdict } from "../authenticator.ts";
import type { TokenIssuer } from "../bearer.ts";
import type { OutboundFetch } from "../json-fetch.ts";
import { peekClaims } from "../peeked-claims.ts";
import type { Principal } from "../principal.ts";
import { RemoteKeys } from "../remote-keys.ts";
import type { TokenOrigin } from "../token-keys.ts";
import { TokenVerifier, type Claims } from "../token-verifier.ts";
import { isOfBrowserLogin } from "./browser-nonce.ts";
import type { Discovery } from "./discovery.ts";
import { identifyPerson, type Person, type PersonRules } from "./person.ts";
import { Userinfo, type UserinfoCheck } from "./userinfo.ts";

export interface ProviderTokensOptions {
  /** In reasons. */
  readonly name: string;
  /** `aud`. */
  readonly clientId: string;
  readonly discovery: Discovery;
  readonly rules: PersonRules;
  readonly userinfoCheck: UserinfoCheck;
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
  readonly background: Background;
  readonly log: Log;
}

/** User names that stand for whoever the token is of. */
const anyUser: ReadonlySet<string> = new Set(["oauth2accesstoken", "<token>"]);

interface Known {
  readonly principal: Principal;
  readonly person: Person;
  /** What userinfo had said. */
  readonly userinfo: Claims;
  /** Until when what a directory said of it counts. */
  readonly untilElapsedMs: number;
}

/** As long as a login by a directory's password is remembered. */
const linkedMs = 60_000;

export class ProviderTokens implements TokenIssuer {
  readonly #options: ProviderTokensOptions;
  readonly #keys: RemoteKeys;
  readonly #userinfo: Userinfo;
  readonly #known = new WeakMap<Claims, Known>();
  #verifier: { readonly issuer: string; readonly verifier: TokenVerifier } | undefined;

  constructor(options: ProviderTokensOptions) {
    this.#options = options;
    const { discovery, userinfoCheck: check, fetch, clock, background, log } = options;
    this.#keys = new RemoteKeys({ source: discovery.source, load: () => discovery.loadKeys(), clock, background, log });
    this.#userinfo = new Userinfo({ check, discovery, fetch, clock });
  }

  recall(token: string): Principal | undefined {
    const claims = this.#verifier?.verifier.recall(token);
    const known = claims && this.#known.get(claims);
    return known && this.#userinfo.recall(token) === known.userinfo && this.#isCurrent(known) ? known.principal : undefined;
  }

  async judge(token: string, signal: AbortSignal): Promise<Verdict> {
    const verdict = await this.#judge(token, signal);
    return verdict.kind === "known" ? { kind: "admitted", principal: verdict.known.principal } : verdict;
  }

  /** As `judge`, for a token that is shown as the password of `user`, who must be the same person, or nobody in particular. */
  async judgeLogin(user: string, token: string, signal: AbortSignal): Promise<Verdict> {
    const verdict = await this.#judge(token, signal);
    if (verdict.kind !== "known") return verdict;
    const { principal, person } = verdict.known;
    return agrees(user, person) ? { kind: "admitted", principal } : this.#refused("the user name is not whose token it is");
  }

  /** The claims of a token that the provider gave for us: as `TokenVerifier`, with the checks of OpenID Connect Core 1.0, 3.1.3.7. */
  async verify(
    token: string,
    signal: AbortSignal,
    from: TokenOrigin = "anybody",
  ): Promise<{ readonly kind: "good"; readonly claims: Claims } | Exclude<Verdict, { kind: "admitted" }>> {
    const issuer = this.#options.discovery.issuer;
    if (issuer === undefined) return { kind: "none" };
    const verdict = await this.#verifierOf(issuer).verify(token, signal, from);
    if (verdict.kind === "bad") return this.#refused(verdict.reason);
    if (verdict.kind === "unavailable") return { ...verdict, reason: `openid provider ${this.#options.name}: ${verdict.reason}` };
    const { sub, iat, azp } = verdict.claims;
    if (typeof sub !== "string" || sub === "") return this.#refused("a token that names nobody (sub)");
    if (typeof iat !== "number") return this.#refused("a token that does not say when it was issued (iat)");
    if (azp !== undefined && azp !== this.#options.clientId) return this.#refused("a token that was given to another client (azp)");
    return verdict;
  }

  async #judge(token: string, signal: AbortSignal): Promise<{ readonly kind: "known"; readonly known: Known } | Exclude<Verdict, { kind: "admitted" }>> {
    const { name, discovery, rules } = this.#options;
    if (discovery.issuer === undefined) {
      try {
        await discovery.read();
      } catch (error) {
        return { kind: "unavailable", reason: error instanceof Error ? error.message : String(error) };
      }
    }
    if (peekClaims(token)?.["iss"] !== discovery.issuer) return { kind: "none" };
    const verdict = await this.verify(token, signal);
    if (verdict.kind !== "good") return verdict;
    const { claims } = verdict;
    if (isOfBrowserLogin(claims)) return this.#refused("an ID token of a login with a browser, which is no password");
    const checked = await untilAborted(this.#userinfo.check(token, String(claims["sub"])), signal);
    if (checked.kind === "over") return this.#refused(checked.reason);
    if (checked.kind === "unavailable") return { kind: "unavailable", reason: `openid provider ${name}: ${checked.reason}` };
    const before = this.#known.get(claims);
    if (before?.userinfo === checked.claims && this.#isCurrent(before)) return { kind: "known", known: before };
    const read = await untilAborted(identifyPerson([checked.claims, claims], rules), signal);
    if (read.kind === "unavailable") return { kind: "unavailable", reason: `openid provider ${name}: ${read.reason}` };
    if (read.kind === "refused") return this.#refused(read.hint === undefined ? read.reason : `${read.reason}: ${read.hint}`);
    const { person } = read;
    const isSame = before?.person.name === person.name && before.person.groups.join("\n") === person.groups.join("\n");
    const voucher = { by: name, subject: String(claims["sub"]) };
    const known: Known = {
      principal: isSame ? before.principal : { name: person.name, groups: person.groups, method: "oidc", voucher, claims },
      person,
      userinfo: checked.claims,
      untilElapsedMs: rules.directory ? this.#options.clock.elapsed() + linkedMs : Infinity,
    };
    this.#known.set(claims, known);
    return { kind: "known", known };
  }

  /** The file of passwords may have got a line of that name since, and a directory may say something else. */
  #isCurrent({ person, untilElapsedMs }: Known): boolean {
    const { rules, clock } = this.#options;
    return clock.elapsed() < untilElapsedMs && (person.isLinked || !rules.isOfFile(person.name, person.emailVerified === true));
  }

  #verifierOf(issuer: string): TokenVerifier {
    if (this.#verifier?.issuer !== issuer) {
      const { clientId, clock } = this.#options;
      this.#verifier = { issuer, verifier: new TokenVerifier({ keys: this.#keys, issuer, audiences: [clientId], clock }) };
    }
    return this.#verifier.verifier;
  }

  #refused(reason: string): Extract<Verdict, { kind: "refused" }> {
    return { kind: "refused", reason: `openid provider ${this.#options.name}: ${reason}`, error: "invalid_token" };
  }
}

function agrees(user: string, { name, otherNames }: Person): boolean {
  return user === name || otherNames.includes(user) || anyUser.has(user);
}
