/**
 * Login: whether a registry takes a credential, found out as `docker login` does: at `/v2/`, for no repository in particular. For
 * checking a configuration; a pull learns what it needs by itself.
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { findBearer, hasBasic, parseChallenges, type BearerChallenge } from "./challenge.ts";
import { directHeader, isShownUnasked, type Credential } from "./credentials.ts";
import { statusError } from "./errors.ts";
import type { Origins, Reply } from "./origins.ts";
import { permittedRealm } from "./realms.ts";
import { fetchToken } from "./token-service.ts";

export interface LoginOptions {
  /** The endpoint's origin. */
  readonly own: URL;
  readonly realmHosts: readonly string[];
  readonly origins: Origins;
  readonly clock: Clock;
  readonly userAgent: string;
}

export interface Login {
  /** What was to be shown; undefined: nobody in particular. */
  readonly credential: Credential | undefined;
  readonly verdict: LoginVerdict;
}

export type LoginVerdict =
  | { readonly kind: "accepted" }
  /** Nothing can be said of the credential: the registry lets anybody in here, or tells nobody anything. */
  | { readonly kind: "unjudged"; readonly reason: string }
  | { readonly kind: "refused"; readonly reason: string };

const refusals: ReadonlySet<number> = new Set([400, 401, 403]);

/** Rejects with an outage when no answer came that says anything, or with the signal's reason. */
export async function logIn(credential: Credential | undefined, options: LoginOptions, signal: AbortSignal): Promise<Login> {
  const unasked = credential && isShownUnasked(credential) ? directHeader(credential).header : undefined;
  const first = await ask(unasked, options, signal);
  if (first.status !== 401) return { credential, verdict: verdictOf(first, unasked !== undefined, options) };
  const challenges = parseChallenges(first.header("www-authenticate") ?? "");
  const bearer = findBearer(challenges);
  if (!credential) return { credential, verdict: strangersVerdict(bearer !== undefined, options) };
  if (bearer && (credential.kind === "basic" || credential.kind === "identity")) {
    const bought = await buy(bearer, credential, options, signal);
    if (typeof bought !== "string") return { credential, verdict: bought };
    return { credential, verdict: verdictOf(await ask(`Bearer ${bought}`, options, signal), true, options) };
  }
  if (hasBasic(challenges) && unasked === undefined) {
    return { credential, verdict: verdictOf(await ask(directHeader(credential).header, options, signal), true, options) };
  }
  return { credential, verdict: verdictOf(first, unasked !== undefined, options) };
}

/** A registry that sells tokens may give them to strangers; only a pull can tell. */
function strangersVerdict(sellsTokens: boolean, { own }: LoginOptions): LoginVerdict {
  if (sellsTokens) return { kind: "unjudged", reason: "it has a token service, and no credential is configured: what is public can be pulled" };
  return { kind: "refused", reason: `${own.host} asks for a credential, and none is configured` };
}

function verdictOf(reply: Reply, isShown: boolean, { own, clock }: LoginOptions): LoginVerdict {
  const { status } = reply;
  if (refusals.has(status)) {
    return {
      kind: "refused",
      reason: `${own.host} answered ${status}: it ${isShown ? "does not take this credential" : "names no way to show it a credential"}`,
    };
  }
  if (status >= 300 && status !== 404) throw statusError(reply, { unknown: "NAME_UNKNOWN", name: `/v2/ of ${own.host}` }, clock);
  if (status === 404) return { kind: "unjudged", reason: `${own.host} has no /v2/, so only a pull can tell` };
  return isShown ? { kind: "accepted" } : { kind: "unjudged", reason: `${own.host} lets anybody in at /v2/` };
}

/** A token for no repository, or why there is none. */
async function buy(
  { realm, service }: BearerChallenge,
  credential: Credential,
  { own, realmHosts, origins, clock, userAgent }: LoginOptions,
  signal: AbortSignal,
): Promise<string | LoginVerdict> {
  const url = permittedRealm(realm, { registry: own, realmHosts, withCredential: true });
  try {
    return (await fetchToken({ realm: url, service, scope: undefined, credential }, signal, { origins, clock, userAgent })).token;
  } catch (error) {
    if (error instanceof OciError && error.code === "DENIED" && error.source === "upstream") {
      return { kind: "refused", reason: `${url.host} gives no token for it` };
    }
    throw error;
  }
}

async function ask(authorization: string | undefined, { own, origins, userAgent }: LoginOptions, signal: AbortSignal): Promise<Reply> {
  const headers = { "user-agent": userAgent, "accept-encoding": "identity", ...(authorization === undefined ? {} : { authorization }) };
  const reply = await origins.send({ url: new URL("/v2/", own), method: "GET", headers, lane: "metadata", signal });
  reply.body.discard();
  if (reply.status < 300) reply.passage.succeeded();
  return reply;
}
