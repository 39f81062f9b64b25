/**
 * Authenticator: what one endpoint wants to hear before it answers, learned from its challenges and remembered, so that the next
 * request brings it along. Anonymous, Basic, or a Bearer token.
 */
import { LRUCache } from "lru-cache";
import { isOutage, OciError } from "../oci/errors.ts";
import { BearerTokens, type BearerToken, type TokenRequest } from "./bearer-tokens.ts";
import { findBearer, hasBasic, parseChallenges, type BearerChallenge, type Challenge } from "./challenge.ts";
import { directHeader, isShownUnasked, type Credential, type CredentialSource } from "./credentials.ts";
import type { Origins, Reply } from "./origins.ts";
import { permittedRealm } from "./realms.ts";
import type { RefusedCredentials } from "./refused-credentials.ts";

const challengesMax = 10_000;

/** What goes into one request. */
export interface Authorization {
  readonly header: string | undefined;
  /** A credential, or a token bought with one, is in it. */
  readonly isPrivileged: boolean;
  /** A token from before this call: it may have ended early. */
  readonly heldToken: { readonly request: TokenRequest; readonly token: BearerToken } | undefined;
  /** The credential that is in it as it is, and may have ended. */
  readonly shown: Credential | undefined;
  /** Whose it is: the credential shown, or the one that the token was bought with. */
  readonly credential: Credential | undefined;
  readonly scheme: "none" | "basic" | "bearer";
}

export interface AuthenticatorOptions {
  /** The endpoint's origin. */
  readonly own: URL;
  readonly credentials: CredentialSource;
  /** By repository, other `host[:port]` that may ask for its credential. */
  readonly realmHosts: (name: string) => readonly string[];
  readonly origins: Origins;
  readonly tokens: BearerTokens;
  /** Hears of a credential that buys no token. */
  readonly refused: Pick<RefusedCredentials, "tell">;
  readonly userAgent: string;
}

type Learned = { readonly kind: "nothing" } | { readonly kind: "basic" } | { readonly kind: "bearer"; readonly challenge: BearerChallenge };

const nobody: Authorization = { header: undefined, isPrivileged: false, heldToken: undefined, shown: undefined, credential: undefined, scheme: "none" };

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  /** By repository, what its challenge said; scopes need not look like the names. Of that size, and not `max`, which takes the room for all at once. */
  readonly #challenges = new LRUCache<string, BearerChallenge>({ maxSize: challengesMax, sizeCalculation: () => 1 });
  #learned: Learned = { kind: "nothing" };

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** What to send first for the repository called `name` there. Rejects when a token is needed and cannot be had. */
  async first(name: string, signal: AbortSignal): Promise<Authorization> {
    const credential = await this.#credential(name, signal);
    const learned = this.#learned;
    if (learned.kind !== "bearer") return credential && (learned.kind === "basic" || isShownUnasked(credential)) ? directly(credential) : nobody;
    try {
      return await this.#bought(this.#challenges.get(name) ?? { ...learned.challenge, scope: scopeOf(name) }, name, credential, signal);
    } catch (error) {
      if (isOutage(error)) this.#forget(name);
      throw error;
    }
  }

  /** True when `reply` may mean that `sent` was not enough, or no longer good. */
  isRefusal(reply: Reply, sent: Authorization): boolean {
    if (reply.url.origin !== this.#options.own.origin) return false;
    if (reply.status === 401) return true;
    // ECR says 400 or 403, without a challenge, to a token that has ended.
    return (sent.heldToken !== undefined || sent.shown !== undefined) && (reply.status === 400 || reply.status === 403);
  }

  /** What to send after a refusal; undefined when there is nothing better. Rejects as `first`. */
  async next(reply: Reply, sent: Authorization, name: string, signal: AbortSignal): Promise<Authorization | undefined> {
    const { credentials, tokens } = this.#options;
    // What was shown unasked may be meant for the registry's token service: nothing is wrong with it, and another would fare no better.
    const isForService = sent.shown?.kind === "basic" && reply.status === 401 && findBearer(challengesIn(reply)) !== undefined;
    if (sent.heldToken) tokens.drop(sent.heldToken.request, sent.heldToken.token);
    else if (sent.shown && !isForService && (await credentials.renew(sent.shown, name, signal))) return await this.first(name, signal);
    else if (sent.scheme !== "none" && !isForService && !(sent.shown?.kind === "basic" && sent.shown.isShownUnasked && reply.status === 401)) return undefined;
    const challenges = await this.#challengesFor(reply, sent, signal);
    const credential = await this.#credential(name, signal);
    const bearer = findBearer(challenges) ?? (reply.status === 401 ? undefined : this.#remembered(name));
    if (bearer) {
      const complete = bearer.scope === undefined ? { ...bearer, scope: scopeOf(name) } : bearer;
      const authorization = await this.#bought(complete, name, credential, signal);
      // Only now: a challenge that nobody can meet must not stand before the next request.
      this.#learned = { kind: "bearer", challenge: complete };
      if (complete.scope !== scopeOf(name)) this.#challenges.set(name, complete);
      return authorization;
    }
    if (!hasBasic(challenges) || !credential || sent.shown) return undefined;
    this.#learned = { kind: "basic" };
    return directly(credential);
  }

  /** Registries move their token service, or do without one day: the next request asks the registry itself what it wants. */
  #forget(name: string): void {
    this.#learned = { kind: "nothing" };
    this.#challenges.delete(name);
  }

  #remembered(name: string): BearerChallenge | undefined {
    return this.#challenges.get(name) ?? (this.#learned.kind === "bearer" ? { ...this.#learned.challenge, scope: scopeOf(name) } : undefined);
  }

  /** The challenges of a refusal; some registries (gcr.io) only tell them at `/v2/`. */
  async #challengesFor(reply: Reply, sent: Authorization, signal: AbortSignal): Promise<readonly Challenge[]> {
    const challenges = challengesIn(reply);
    if (challenges.length > 0 || (reply.status !== 401 && sent.heldToken)) return challenges;
    const { own, origins, userAgent } = this.#options;
    const ping = await origins.send({
      url: new URL("/v2/", own),
      method: "GET",
      headers: { "user-agent": userAgent, "accept-encoding": "identity" },
      lane: "metadata",
      signal,
    });
    ping.body.discard();
    if (ping.status < 300) ping.passage.succeeded();
    return ping.status === 401 ? challengesIn(ping) : [];
  }

  /** The credential that holds now. What keeps one from coming is the operator's to know: the log has told it, with paths and accounts; clients hear that it is so. */
  async #credential(name: string, signal: AbortSignal): Promise<Credential | undefined> {
    const { credentials, own } = this.#options;
    try {
      return await credentials.current(name, signal);
    } catch (error) {
      if (!(error instanceof OciError) || credentials.status() === undefined) throw error;
      const { code, source, retryAfterMs } = error;
      const message = `the credential for ${own.host} cannot be had now: what is wrong with it stands in the log of this server`;
      throw new OciError(code, message, { cause: error, source, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
    }
  }

  /** A bearer token; a credential that its service refuses is renewed once, where that can be, else told of. */
  async #bought(challenge: BearerChallenge, name: string, credential: Credential | undefined, signal: AbortSignal): Promise<Authorization> {
    const { credentials, refused } = this.#options;
    try {
      return await this.#bearer(challenge, name, credential, signal);
    } catch (error) {
      if (!credential || !isRefusal(error)) throw error;
      if (!(await credentials.renew(credential, name, signal))) {
        refused.tell(credential, name, error.message);
        throw error;
      }
    }
    const renewed = await this.#credential(name, signal);
    try {
      return await this.#bearer(challenge, name, renewed, signal);
    } catch (error) {
      if (renewed && isRefusal(error)) refused.tell(renewed, name, error.message);
      throw error;
    }
  }

  async #bearer({ realm, service, scope }: BearerChallenge, name: string, credential: Credential | undefined, signal: AbortSignal): Promise<Authorization> {
    if (credential?.kind === "bearer" || credential?.kind === "opaque") return directly(credential);
    const { own, realmHosts, tokens } = this.#options;
    const request: TokenRequest = {
      realm: permittedRealm(realm, { registry: own, realmHosts: realmHosts(name), withCredential: credential !== undefined }),
      service,
      scope: scope ?? scopeOf(name),
      credential,
    };
    try {
      const { token, isHeld } = await tokens.get(request, signal);
      return {
        header: `Bearer ${token.value}`,
        isPrivileged: token.isPrivileged,
        heldToken: isHeld ? { request, token } : undefined,
        shown: undefined,
        credential,
        scheme: "bearer",
      };
    } catch (error) {
      if (error instanceof OciError && error.code === "DENIED") {
        throw new OciError("DENIED", `${request.realm.host} gives no token for ${own.host}: ${error.message}`, { cause: error, source: error.source });
      }
      throw error;
    }
  }
}

function challengesIn(reply: Reply): readonly Challenge[] {
  return parseChallenges(reply.header("www-authenticate") ?? "");
}

/** A token service does not take the credential. */
function isRefusal(error: unknown): error is OciError {
  return error instanceof OciError && error.code === "DENIED" && error.source === "upstream";
}

/** The credential itself, shown to the registry. */
function directly(credential: Credential): Authorization {
  const { scheme, header } = directHeader(credential);
  return { header, isPrivileged: true, heldToken: undefined, shown: credential, credential, scheme };
}

function scopeOf(name: string): string {
  return `repository:${name}:pull`;
}
