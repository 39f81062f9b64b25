/**
 * DeviceApprovals: the side of the person: which terminal waits under a code, and letting it in or not. Only somebody in person does that, on a
 * page of ours: somebody else may have sent him the code (RFC 8628 5.4), and guessing codes comes to its end (5.1).
 */
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { ApiKeys } from "./api-keys.ts";
import { findUserCode, shownUserCode } from "./device-codes.ts";
import type { DeviceConsents } from "./device-consents.ts";
import { grantLifeMs, type DeviceGrant, type DeviceVerdict } from "./device-grant-records.ts";
import type { DeviceGrants } from "./device-grants.ts";
import { keyHolderOf } from "./key-holder.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { People } from "./people.ts";
import { isInPerson, type Principal } from "./principal.ts";
import { RecordsUnavailable } from "./records.ts";
import { readForm } from "./token-requests.ts";
import type { Visit } from "./visit.ts";
import { voucherOf } from "./voucher.ts";
import { WindowBudget } from "./window-budget.ts";

export interface DeviceApprovalsOptions {
  readonly grants: Pick<DeviceGrants, "find" | "decide">;
  readonly consents: Pick<DeviceConsents, "give" | "drop">;
  readonly keys: Pick<ApiKeys, "hasTooMany">;
  readonly people: People;
  readonly own: Pick<OwnOrigin, "pageBehind">;
  readonly clock: Clock;
  readonly log: Log;
}

/** Whoever asks, once a gate has let them in. */
export interface ApprovalVisit extends Pick<Visit, "client" | "origin" | "pageOrigin" | "fetchSite"> {
  readonly principal: Principal;
}

export type DeviceFinding =
  /** A terminal waits; the code is as people read it. */
  | { readonly kind: "waiting"; readonly code: string; readonly grant: DeviceGrant }
  /** A page of another site asks, which may have made the browser do so: whether this is a code is not looked at. */
  | { readonly kind: "unasked" }
  | DeviceRefusal;

export type DeviceDecision = { readonly kind: "approved" | "refused" } | DeviceRefusal;

export type DeviceRefusal =
  /** None waits under this code: it was never given, is over, or is decided. Nobody is told which. */
  | { readonly kind: "unknown" }
  /** Too many wrong codes. */
  | { readonly kind: "throttled"; readonly waitMs: number }
  /** For 403: a key or a token, another site's page. */
  | { readonly kind: "denied"; readonly reason: string }
  /** The form makes no sense. */
  | { readonly kind: "unread"; readonly status: number; readonly reason: string }
  | { readonly kind: "too many keys" }
  /** Nobody can tell just now. */
  | { readonly kind: "unavailable" };

/** Wrong codes of one person, and of all together, within a code's life. */
const guessesPerUser = 20;
const guessesInAll = 2_000;

export class DeviceApprovals {
  readonly #options: DeviceApprovalsOptions;
  readonly #guesses: WindowBudget;

  constructor(options: DeviceApprovalsOptions) {
    this.#options = options;
    this.#guesses = new WindowBudget({ perOne: guessesPerUser, inAll: guessesInAll, windowMs: grantLifeMs, clock: options.clock });
  }

  /** What waits under a code as somebody typed it. Changes nothing. */
  async find(typed: string, visit: ApprovalVisit): Promise<DeviceFinding> {
    const { principal } = visit;
    if (!isInPerson(principal)) return notInPerson;
    if (this.#options.own.pageBehind(visit) === "foreign") return { kind: "unasked" };
    return await this.#orUnavailable(() => this.#guess(typed, principal));
  }

  /** Reads the form of our page, and decides: `user_code`, and `decision`: `approve` or `refuse`. Rejects when the client has left. */
  async decide(request: Request, visit: ApprovalVisit): Promise<DeviceDecision> {
    const { own, clock } = this.#options;
    if (!isInPerson(visit.principal)) return notInPerson;
    if (own.pageBehind(visit) !== "ours") return { kind: "denied", reason: "only a page of this registry lets a terminal in" };
    const text = await readForm(request, clock);
    if (typeof text !== "string") return { kind: "unread", status: text.status, reason: text.message };
    const form = new URLSearchParams(text);
    const decision = form.get("decision");
    if (decision !== "approve" && decision !== "refuse") return { kind: "unread", status: 400, reason: "decision is to be approve or refuse" };
    return await this.#orUnavailable(() => this.#decide(form.get("user_code") ?? "", decision, visit));
  }

  async #decide(typed: string, decision: "approve" | "refuse", { principal, client }: ApprovalVisit): Promise<DeviceDecision> {
    const { grants, consents, keys, people, log } = this.#options;
    const found = await this.#guess(typed, principal);
    if (found.kind !== "waiting") return found;
    const { name: owner } = principal;
    const [code, isApproved] = [found.code.replace("-", ""), decision === "approve"];
    if (isApproved && (await keys.hasTooMany(owner, voucherOf(principal)))) return { kind: "too many keys" };
    const consent = isApproved ? await consents.give(principal) : undefined;
    const verdict: DeviceVerdict =
      consent === undefined ? { kind: "refused" } : { kind: "approved", owner, ...(await keyHolderOf(principal, people)), consent };
    const grant = await grants.decide(code, verdict);
    if (!grant) {
      // Somebody else was faster.
      if (consent !== undefined) await consents.drop(owner, consent);
      return { kind: "unknown" };
    }
    const { host, label, client: terminal } = grant;
    log.info({ user: owner, client, terminal, host, label }, isApproved ? "a terminal was approved" : "a terminal was refused");
    return { kind: isApproved ? "approved" : "refused" };
  }

  /** It counts until it is known to be no wrong one, so that many at once are no way round. */
  async #guess(typed: string, { name }: Principal): Promise<Exclude<DeviceFinding, { readonly kind: "unasked" }>> {
    const spent = this.#guesses.spend(name);
    if (spent) {
      this.#options.log.warn({ user: name, waitMs: spent.waitMs }, "too many wrong codes of terminals");
      return { kind: "throttled", ...spent };
    }
    let isWrong = false;
    try {
      const code = findUserCode(typed);
      const grant = code === undefined ? undefined : await this.#options.grants.find(code);
      isWrong = !grant;
      return code === undefined || !grant ? { kind: "unknown" } : { kind: "waiting", code: shownUserCode(code), grant };
    } finally {
      if (!isWrong) this.#guesses.giveBack(name);
    }
  }

  async #orUnavailable<T>(work: () => Promise<T>): Promise<T | Extract<DeviceRefusal, { kind: "unavailable" }>> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RecordsUnavailable)) throw error;
      // Whoever keeps the records has told of it, once.
      return { kind: "unavailable" };
    }
  }
}

const notInPerson = { kind: "denied", reason: "a terminal is let in by somebody who is signed in, and not by a key or a token" } as const;
