/**
 * Endpoint: one place that answers for one registry, itself or a mirror: its connections, its tokens, its breakers. A call here is
 * one question: authorized, redirected, repeated once where that can help, and judged by whether the answer could be used.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { isOutage, OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { RepositoryPath } from "../oci/repository.ts";
import type { SourceId } from "../oci/registry.ts";
import type { UpstreamQuota } from "../oci/views.ts";
import { AddressPolicy, type ListedAddresses } from "./address-policy.ts";
import { Authenticator, type Authorization } from "./authenticator.ts";
import { BearerTokens } from "./bearer-tokens.ts";
import type { BreakerStatus } from "./breaker.ts";
import type { CredentialSource, CredentialStatus } from "./credentials.ts";
import { statusError, unusable, type Sought } from "./errors.ts";
import type { Lane } from "./exchange.ts";
import { HttpClient } from "./http-client.ts";
import { logIn, type Login } from "./login.ts";
import type { NameLookup } from "./name-lookup.ts";
import { Origins, type OriginFailure, type Reply } from "./origins.ts";
import type { Proxies } from "./proxies.ts";
import { sendFollowing } from "./redirects.ts";
import { readQuota } from "./quota.ts";
import { RefusedCredentials } from "./refused-credentials.ts";
import { fetchToken } from "./token-service.ts";
import type { Deadlines, UpstreamAuth, UpstreamTls } from "./upstream-options.ts";

export interface EndpointOptions {
  /** Origin, and the prefix of every name there. */
  readonly url: URL;
  readonly source: SourceId;
  /** Where its credential comes from; the endpoint closes it. */
  readonly credentials: CredentialSource;
  /** By repository, what the configuration says of its credential. */
  readonly authOf: (name: string) => UpstreamAuth | undefined;
  readonly tls: UpstreamTls | undefined;
  /** The operator wrote it down. */
  readonly isListed: boolean;
  /** The operator says that its anonymous content is public. */
  readonly isDeclaredPublic: boolean;
  /** What the configuration names now; it may change while we are here. */
  readonly listed: () => ListedAddresses;
  readonly names: NameLookup;
  readonly proxies: Proxies;
  readonly clock: Clock;
  readonly background: Background;
  readonly log: Log;
  readonly deadlines: Deadlines;
  readonly userAgent: string;
}

/** One question about one repository. */
export interface Question {
  readonly repository: RepositoryPath;
  /** What follows the repository's name: `/manifests/latest`, `/tags/list?n=10`; or a whole URL of this origin, from a Link. */
  readonly path: string | URL;
  readonly method: "GET" | "HEAD";
  readonly accept?: string;
  readonly range?: string;
  readonly lane?: Lane;
  readonly follow?: "anywhere" | "own";
}

/** The final answer to a question, of whatever status. */
export interface EndpointAnswer extends Reply {
  /** The endpoint itself said so, not a place that it redirected to. */
  readonly isOwn: boolean;
  /** Anybody could have had this. */
  readonly isPublic: boolean;
}

/** What an answer was read into. */
export type Delivered<T> = T & { readonly isPublic: boolean };

/** Throws the error that a final status stands for, unless it is a success. */
export function checkStatus(answer: EndpointAnswer, sought: Sought, clock: Clock): void {
  if (answer.status === 200 || answer.status === 206) return;
  if (!answer.isOwn && [400, 401, 403, 410].includes(answer.status)) throw unusable(answer.url, `a redirect led there, and it answered ${answer.status}`);
  if (answer.status < 400) throw unusable(answer.url, `status ${answer.status} for ${sought.name}`);
  throw statusError(answer, sought, clock);
}

export class Endpoint {
  readonly source: SourceId;
  readonly #options: EndpointOptions;
  readonly #client: HttpClient;
  readonly #origins: Origins;
  readonly #authenticator: Authenticator;
  readonly #refused: RefusedCredentials;
  readonly #prefix: string;
  #quota: UpstreamQuota | undefined;

  constructor(options: EndpointOptions) {
    const { url, credentials, authOf, tls, isListed, listed, names, proxies, clock, background, log, deadlines, userAgent } = options;
    const own = new URL(url.origin);
    this.source = options.source;
    this.#options = options;
    this.#prefix = url.pathname.replace(/^\/v2(?=\/|$)/, "").replace(/^\/+|\/+$/g, "");
    this.#client = new HttpClient({ policy: new AddressPolicy({ listed, own, isListed }), names, proxies, tls, clock, background, deadlines });
    this.#origins = new Origins({ client: this.#client, own, clock, background, log, userAgent });
    const tokens = new BearerTokens({
      clock,
      background,
      tokenMs: deadlines.tokenMs,
      fetch: (request, signal) => fetchToken(request, signal, { origins: this.#origins, clock, userAgent }),
    });
    this.#refused = new RefusedCredentials({ host: url.host, optionsOf: (name) => authOf(name)?.credential, clock, log });
    this.#authenticator = new Authenticator({
      own,
      credentials,
      realmHosts: (name) => authOf(name)?.realmHosts ?? [],
      refused: this.#refused,
      origins: this.#origins,
      tokens,
      userAgent,
    });
  }

  /**
   * Asks, and hands the answer to `use`; whether that could use it tells the breaker how the endpoint is. `use` owns the body when it
   * resolves; when it rejects, the body is dropped. Rejects with `OciError`, or with the signal's reason.
   */
  async ask<T>(question: Question, signal: AbortSignal, use: (answer: EndpointAnswer) => Promise<T>): Promise<T> {
    const answer = await this.#answer(question, signal);
    try {
      if (answer.status < 300) checkEncoding(answer);
      const used = await use(answer);
      answer.passage.succeeded();
      return used;
    } catch (error) {
      answer.body.discard();
      if (error instanceof OciError && isOutage(error) && error.source === "upstream") answer.passage.failed(error);
      else answer.passage.abstained();
      throw error;
    }
  }

  status(): BreakerStatus {
    return this.#origins.status();
  }

  /** When it last stopped answering; undefined: it always has. */
  get lastFailure(): OriginFailure | undefined {
    return this.#origins.lastFailure;
  }

  /** What it last said is left for us; undefined: nothing. */
  get quota(): UpstreamQuota | undefined {
    return this.#quota;
  }

  /** How its credential stands; undefined where none has to be fetched. */
  credentialStatus(): CredentialStatus | undefined {
    return this.#options.credentials.status();
  }

  /** Shows the registry the credential that is for the repository called `name`, and hears what it says. Rejects as `ask`. */
  async logIn(name: string, signal: AbortSignal): Promise<Login> {
    const { url, credentials, authOf, clock, userAgent } = this.#options;
    const credential = await credentials.current(name, signal);
    return logIn(credential, { own: new URL(url.origin), realmHosts: authOf(name)?.realmHosts ?? [], origins: this.#origins, clock, userAgent }, signal);
  }

  stopProbing(): void {
    this.#origins.close();
  }

  /** Takes no more questions, and ends every connection once it is done with what it has begun. */
  async leave(): Promise<void> {
    this.#origins.close();
    await this.#client.leave();
    this.#options.credentials.close();
  }

  /** Ends every connection and probe. */
  async close(): Promise<void> {
    this.#options.credentials.close();
    this.#origins.close();
    await this.#client.close();
  }

  async #answer(question: Question, signal: AbortSignal): Promise<EndpointAnswer> {
    const name = this.#prefix === "" ? question.repository : `${this.#prefix}/${question.repository}`;
    const first = await this.#authenticator.first(name, signal);
    const answer = await this.#send(question, name, first, signal);
    if (!this.#authenticator.isRefusal(answer, first)) return this.#noted(answer, first, name);
    // Its headers say it all; whatever comes of them, its body shall not hold the connection.
    answer.body.discard();
    const next = await this.#authenticator.next(answer, first, name, signal);
    if (!next) return this.#noted(answer, first, name);
    return this.#noted(await this.#send(question, name, next, signal), next, name);
  }

  /** The last word on a question, as it is; a refusal of our credential is the operator's to know, and so is what is left for us. */
  #noted(answer: EndpointAnswer, { credential }: Authorization, name: string): EndpointAnswer {
    const { isOwn, status, url } = answer;
    if (isOwn) this.#quota = readQuota((header) => answer.header(header), this.#options.clock.now()) ?? this.#quota;
    if (credential && isOwn && (status === 401 || status === 403)) this.#refused.tell(credential, name, `${url.host} answered ${status}`);
    return answer;
  }

  async #send(question: Question, name: string, authorization: Authorization, signal: AbortSignal): Promise<EndpointAnswer> {
    const { url, isDeclaredPublic, tls, userAgent } = this.#options;
    const { method, accept, range, lane = "metadata", follow = "anywhere", path } = question;
    const target = typeof path === "string" ? new URL(`/v2/${name}${path}`, url.origin) : path;
    const headers = {
      "user-agent": userAgent,
      "accept-encoding": "identity",
      ...(accept === undefined ? {} : { accept }),
      ...(range === undefined ? {} : { range }),
      ...(authorization.header === undefined ? {} : { authorization: authorization.header }),
    };
    let isPublicAddress = false;
    const send = async (...[request]: Parameters<Origins["send"]>): Promise<Reply> => {
      const reply = await this.#origins.send(request);
      if (reply.url.origin === url.origin) isPublicAddress = reply.isPublicAddress;
      return reply;
    };
    const reply = await sendFollowing({ url: target, method, headers, lane, signal }, { send, follow });
    const isAnonymous = !authorization.isPrivileged && tls?.cert === undefined;
    return { ...reply, isOwn: reply.url.origin === url.origin, isPublic: isAnonymous && (isDeclaredPublic || isPublicAddress) };
  }
}

/** Compressed on the way, lengths and ranges would not mean what digests are of. */
function checkEncoding(answer: EndpointAnswer): void {
  const encoding = answer.header("content-encoding")?.trim().toLowerCase();
  if (encoding !== undefined && encoding !== "" && encoding !== "identity")
    throw unusable(answer.url, `it is ${encoding.slice(0, 32)}-encoded, though we asked for it as it is`);
}
