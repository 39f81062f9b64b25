/**
 * ApiKeyService: people make keys, see what they made, and end it: `/zot/auth/apikey` as zot's. Keys are for people who show who they are in
 * another way: whoever found a key, or a token, cannot make more of it.
 */
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { readWantedKey, type WantedKey } from "./api-key-requests.ts";
import type { KeyAccount } from "./api-key-records.ts";
import { TooManyKeys, type ApiKey, type ApiKeys } from "./api-keys.ts";
import { writeKeyScope } from "./key-scope.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { People } from "./people.ts";
import { isInPerson, type Principal } from "./principal.ts";
import { RecordsUnavailable } from "./records.ts";
import { readBody } from "./request-body.ts";
import type { Visit } from "./visit.ts";

export interface ApiKeyServiceOptions {
  readonly keys: ApiKeys;
  readonly people: People;
  readonly own: Pick<OwnOrigin, "pageBehind">;
  readonly names: () => RegistryNames;
  readonly clock: Clock;
  readonly log: Log;
}

/** Whoever asks, once a gate has let them in. */
export interface KeyVisit extends Pick<Visit, "origin" | "pageOrigin" | "fetchSite" | "userAgent"> {
  readonly principal: Principal;
}

/** Bytes of a request. zot's. */
export const keyRequestBytesMax = 8 << 10;
const requestTimeoutMs = 10_000;
const creatorLengthMax = 256;

export class ApiKeyService {
  readonly #options: ApiKeyServiceOptions;

  constructor(options: ApiKeyServiceOptions) {
    this.#options = options;
  }

  /** Answers GET, POST and DELETE. Rejects when the client has left. */
  async handle(request: Request, visit: KeyVisit): Promise<Response> {
    const { method } = request;
    if (method !== "GET" && method !== "POST" && method !== "DELETE")
      return refusal(405, "UNSUPPORTED", `${method.slice(0, 16)} is not supported here`, { Allow: "GET, POST, DELETE, OPTIONS" });
    const { principal } = visit;
    if (!isInPerson(principal))
      return refusal(403, "DENIED", "keys are for who logs in with a password, a certificate or in a browser: a key or a token makes none, and shows none");
    if (method !== "GET" && this.#options.own.pageBehind(visit) === "foreign") return refusal(403, "DENIED", "a page of another site has asked for this");
    try {
      if (method === "GET") return await this.#list(principal);
      return await (method === "POST" ? this.#create(request, visit) : this.#revoke(request, principal));
    } catch (error) {
      if (!(error instanceof RecordsUnavailable)) throw error;
      this.#options.log.error({ error }, "API keys cannot be kept");
      return refusal(503, "UNAVAILABLE", "keys cannot be read or kept just now", { "Retry-After": "5" });
    }
  }

  async #list({ name }: Principal): Promise<Response> {
    return json(200, { apiKeys: (await this.#options.keys.list(name)).map(described) });
  }

  async #create(request: Request, { principal, userAgent = "" }: KeyVisit): Promise<Response> {
    const { clock, names, keys, log } = this.#options;
    const body = await readBody(request, { bytesMax: keyRequestBytesMax, timeoutMs: requestTimeoutMs, clock });
    if (body.kind === "too large") return refusal(413, "SIZE_INVALID", `a body of more than ${keyRequestBytesMax} bytes`);
    if (body.kind === "late") return refusal(408, "UNSUPPORTED", `the body was not there within ${requestTimeoutMs} ms`);
    let wanted: WantedKey;
    try {
      wanted = readWantedKey(body.text, { names: names(), nowMs: clock.now() });
    } catch (error) {
      return refusal(400, "REQUEST_INVALID", error instanceof Error ? error.message : String(error));
    }
    try {
      const account = await this.#accountOf(principal);
      const { secret, key } = await keys.create({ ...wanted, owner: principal.name, account, creator: userAgent.slice(0, creatorLengthMax) });
      log.info({ user: principal.name, key: key.id, label: key.label, scope: key.scope && writeKeyScope(key.scope) }, "API key made");
      return json(201, { ...described(key), apiKey: secret });
    } catch (error) {
      if (error instanceof TooManyKeys) return refusal(429, "TOOMANYREQUESTS", error.message);
      throw error;
    }
  }

  /** As in zot, an id that means nothing is no error: what was to be gone is. */
  async #revoke(request: Request, { name }: Principal): Promise<Response> {
    const id = new URL(request.url).searchParams.get("id") ?? "";
    if (id === "") return refusal(400, "REQUEST_INVALID", "say which key, by ?id=");
    if (await this.#options.keys.revoke(name, id)) this.#options.log.info({ user: name, key: id }, "API key revoked");
    return json(200, {});
  }

  /** Whose name the key needs to go on. Its groups are those that the owner has now, until the next login says otherwise. */
  async #accountOf({ name, groups, method }: Principal): Promise<KeyAccount> {
    const { people } = this.#options;
    const known = method === "session" ? await people.find(name) : undefined;
    if (!known) await people.note({ name, groups, method });
    return (known?.method ?? method) === "htpasswd" ? "htpasswd" : "person";
  }
}

/** zot's words; a time that there is not is Go's zero. */
function described({ id, label, createdAtMs, expiresAtMs, isExpired, usedAtMs, creator, scope }: ApiKey): object {
  const written = scope && writeKeyScope(scope);
  return {
    createdAt: timeText(createdAtMs),
    expirationDate: timeText(expiresAtMs),
    isExpired,
    creatorUa: creator,
    generatedBy: "manual",
    lastUsed: timeText(usedAtMs),
    label,
    scopes: written?.repositories ?? [],
    ...(written ? { scope: written } : {}),
    uuid: id,
  };
}

function timeText(atMs: number | undefined): string {
  return atMs === undefined ? "0001-01-01T00:00:00Z" : new Date(atMs).toISOString();
}

function refusal(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): Response {
  return json(status, { errors: [{ code, message }] }, headers);
}

/** Nothing of it may be kept on the way. */
function json(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers } });
}
