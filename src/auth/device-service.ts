/**
 * DeviceService: what a terminal asks that is to be logged in: for a code that somebody approves in a browser, again and again for what became
 * of it, and, one day, to end the key that it got. The device authorization grant of RFC 8628; its access token is an API key.
 */
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { AddressBudget } from "./address-budget.ts";
import { looksLikeKey, TooManyKeys, type ApiKeys } from "./api-keys.ts";
import { codeKeyOf, looksLikeDeviceCode, shownUserCode } from "./device-codes.ts";
import type { DeviceConsents } from "./device-consents.ts";
import { grantLifeMs } from "./device-grant-records.ts";
import type { DeviceCollection, DeviceGrants } from "./device-grants.ts";
import { BadDeviceRequest, readDeviceCode, readGivenUp, readWantedGrant, shownProgram } from "./device-requests.ts";
import type { OwnOrigin } from "./own-origin.ts";
import { PollingPace, pollingStepMs } from "./polling-pace.ts";
import type { KeyScope } from "./principal.ts";
import { RecordsUnavailable } from "./records.ts";
import { answerToken, refuseToken } from "./token-answers.ts";
import { readForm } from "./token-requests.ts";
import type { Visit } from "./visit.ts";

export interface DeviceServiceOptions {
  readonly grants: DeviceGrants;
  readonly consents: Pick<DeviceConsents, "holds">;
  readonly keys: Pick<ApiKeys, "create" | "giveUp">;
  readonly own: OwnOrigin;
  readonly clock: Clock;
  readonly log: Log;
}

/** What of a visit is looked at. */
export type DeviceVisit = Pick<Visit, "client" | "origin" | "pageOrigin" | "fetchSite" | "userAgent">;

/** Where terminals ask; the second and the third lie below the first. */
export const devicePath = "/zot/auth/device";
const tokenPath = `${devicePath}/token`;
const revokePath = `${devicePath}/revoke`;
/** Where the page lies that people approve at. */
const pagePath = "/home/device";

const intervalMs = 5_000;
/** Codes that may have been asked this process for within a code's life. */
const begunMax = { perAddress: 100, perNetwork: 500, inAll: 10_000, windowMs: grantLifeMs };
/** Questions about codes, and the same of keys that are given up: fifty terminals behind one address may wait at once. */
const askedMax = { perAddress: 600, perNetwork: 3_000, inAll: 60_000, windowMs: 60_000 };
/** Of a key that pulls and does no more; where fetching takes a right of its own, that belongs to it. */
const readOnly: KeyScope = { repositories: undefined, actions: new Set(["read", "fetch"]) };

export class DeviceService {
  readonly #options: DeviceServiceOptions;
  readonly #begun: AddressBudget;
  readonly #asked: Readonly<Record<string, AddressBudget>>;
  readonly #pace: PollingPace;

  constructor(options: DeviceServiceOptions) {
    const { clock } = options;
    this.#options = options;
    this.#begun = new AddressBudget({ ...begunMax, clock });
    this.#asked = { [tokenPath]: new AddressBudget({ ...askedMax, clock }), [revokePath]: new AddressBudget({ ...askedMax, clock }) };
    this.#pace = new PollingPace({ intervalMs, clock });
  }

  /** Answers a request at one of the three addresses. Rejects when the client has left. */
  async handle(request: Request, visit: DeviceVisit): Promise<Response> {
    const { own, clock } = this.#options;
    if (request.method !== "POST") return refuseToken(405, "UNSUPPORTED", "terminals ask this, by POST", { headers: { Allow: "POST, OPTIONS" } });
    if (own.pageBehind(visit) === "foreign") return refuseToken(403, "DENIED", "a page of another site has asked for this");
    const { pathname } = new URL(request.url);
    const spent = this.#asked[pathname]?.spend(visit.client);
    if (spent) return tooOften("slow_down", "this is asked too often from there", spent);
    const text = await readForm(request, clock);
    if (typeof text !== "string") return refuseToken(text.status, "UNSUPPORTED", text.message, { error: text.error });
    try {
      return await this.#route(pathname, new URLSearchParams(text), visit);
    } catch (error) {
      if (error instanceof BadDeviceRequest) return refuseToken(400, "REQUEST_INVALID", error.message, { error: error.error });
      if (!(error instanceof RecordsUnavailable)) throw error;
      // Whoever keeps the records has told of it, once.
      return refuseToken(503, "UNAVAILABLE", "this cannot be read or kept just now", { error: "temporarily_unavailable", headers: { "Retry-After": "5" } });
    }
  }

  async #route(path: string, form: URLSearchParams, visit: DeviceVisit): Promise<Response> {
    if (path === devicePath) return await this.#begin(form, visit);
    if (path === tokenPath) return await this.#collect(form, visit);
    if (path === revokePath) return await this.#revoke(form, visit);
    return refuseToken(404, "UNSUPPORTED", "there is nothing here");
  }

  async #begin(form: URLSearchParams, visit: DeviceVisit): Promise<Response> {
    const { grants, own, log } = this.#options;
    const wanted = readWantedGrant(form);
    const { client } = visit;
    const spent = this.#begun.spend(client);
    if (spent) {
      log.warn({ client, waitMs: spent.waitMs }, "too many terminals ask to log in");
      return tooOften("temporarily_unavailable", "too many terminals ask to log in just now", spent);
    }
    const { deviceCode, userCode } = await grants.begin({ ...wanted, client, program: shownProgram(visit.userAgent) });
    log.info({ client, host: wanted.host }, "a terminal asks to log in");
    const shown = shownUserCode(userCode);
    const page = `${own.urlFor(visit)}${pagePath}`;
    return answerToken(200, {
      device_code: deviceCode,
      user_code: shown,
      verification_uri: page,
      verification_uri_complete: `${page}?user_code=${shown}`,
      expires_in: grantLifeMs / 1_000,
      interval: intervalMs / 1_000,
    });
  }

  async #collect(form: URLSearchParams, { client }: DeviceVisit): Promise<Response> {
    const deviceCode = readDeviceCode(form);
    if (!looksLikeDeviceCode(deviceCode)) return notYet("invalid_grant", "this is no device code");
    if (this.#pace.isTooSoon(codeKeyOf(deviceCode))) return notYet("slow_down", `asked too soon: from now on wait ${pollingStepMs / 1_000} s longer each time`);
    const collected = await this.#options.grants.collect(deviceCode);
    switch (collected.kind) {
      case "pending":
        return notYet("authorization_pending", "nobody has decided yet");
      case "expired":
        return notYet("expired_token", "nobody has decided in time: begin again");
      case "refused":
        return notYet("access_denied", "it was refused");
      case "unknown":
        return notYet("invalid_grant", "there is no such device code, or its key was fetched already: begin again");
      case "approved":
        return await this.#makeKey(deviceCode, collected, client);
      default:
        return collected satisfies never;
    }
  }

  async #makeKey(deviceCode: string, { grant, owner, account, voucher, consent }: Approved, client: string): Promise<Response> {
    const { grants, consents, keys, clock, log } = this.#options;
    const { label, program: creator, keyLifeMs, isReadOnly } = grant;
    const scope = isReadOnly ? readOnly : undefined;
    try {
      if (!(await consents.holds(owner, consent))) return this.#takenBack(owner, client);
      const { secret, key } = await keys.create({ owner, account, voucher, label, creator, scope, expiresAtMs: clock.now() + keyLifeMs });
      // Whoever ends what is somebody's ends first what was approved, and then the keys that there are: of a key that was made in between this tells.
      if (!(await consents.holds(owner, consent))) {
        await keys.giveUp(owner, secret);
        return this.#takenBack(owner, client);
      }
      log.info({ user: owner, client, key: key.id, label }, "a terminal was logged in");
      return answerToken(200, {
        access_token: secret,
        token_type: "Basic",
        expires_in: keyLifeMs / 1_000,
        username: owner,
        ...(isReadOnly ? { scope: "read" } : {}),
        key_id: key.id,
      });
    } catch (error) {
      if (error instanceof TooManyKeys) return notYet("access_denied", error.message);
      // The terminal asks again.
      if (error instanceof RecordsUnavailable) await grants.putBack(deviceCode, grant);
      throw error;
    }
  }

  #takenBack(owner: string, client: string): Response {
    this.#options.log.warn({ user: owner, client }, "a terminal was approved by somebody who has lost the right to");
    return notYet("access_denied", "it was approved, and that was taken back");
  }

  /** Whoever has a key may end it. What is no key is ended already. RFC 7009 2.2. */
  async #revoke(form: URLSearchParams, { client }: DeviceVisit): Promise<Response> {
    const { keys, log } = this.#options;
    const { owner, secret } = readGivenUp(form);
    const key = looksLikeKey(secret) ? await keys.giveUp(owner, secret) : undefined;
    if (key !== undefined) log.info({ user: owner, client, key }, "API key given up by whoever had it");
    return answerToken(200, {});
  }
}

type Approved = Extract<DeviceCollection, { readonly kind: "approved" }>;

function tooOften(error: string, message: string, { waitMs }: { readonly waitMs: number }): Response {
  return refuseToken(429, "TOOMANYREQUESTS", message, { error, headers: { "Retry-After": String(Math.ceil(waitMs / 1_000)) } });
}

/** RFC 8628 3.5: none of it is a failure of ours. */
function notYet(error: string, message: string): Response {
  return refuseToken(400, "UNSUPPORTED", message, { error });
}
