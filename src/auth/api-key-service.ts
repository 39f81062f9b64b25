/** ApiKeyService: people's own keys over HTTP: `/zot/auth/apikey` as zot's. */
import type { Clock } from "../oci/clock.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { readWantedKey, type WantedKey } from "./api-key-requests.ts";
import { TooManyKeys, type ApiKey } from "./api-keys.ts";
import { writeKeyScope } from "./key-scope.ts";
import { findOwnKeys, type OwnKeys, type OwnKeysOptions } from "./own-keys.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { Principal } from "./principal.ts";
import { RecordsUnavailable } from "./records.ts";
import { readBody } from "./request-body.ts";
import { json, refusal } from "./sign-in-answers.ts";
import type { Visit } from "./visit.ts";

export interface ApiKeyServiceOptions extends OwnKeysOptions {
  readonly own: Pick<OwnOrigin, "pageBehind">;
  readonly names: () => RegistryNames;
  readonly clock: Clock;
}

/** Answers a request for somebody's own keys. Rejects when the client has left. */
export type KeyAnswer = (request: Request, visit: KeyVisit) => Promise<Response>;

/** Whoever asks, once a gate has let them in. */
export interface KeyVisit extends Pick<Visit, "origin" | "pageOrigin" | "fetchSite" | "userAgent"> {
  readonly principal: Principal;
}

/** Bytes of a request. zot's. */
export const keyRequestBytesMax = 8 << 10;
const requestTimeoutMs = 10_000;

export class ApiKeyService {
  readonly #options: ApiKeyServiceOptions;

  constructor(options: ApiKeyServiceOptions) {
    this.#options = options;
  }

  /** Answers GET, POST and DELETE. Rejects when the client has left. */
  async handle(request: Request, visit: KeyVisit): Promise<Response> {
    const { method } = request;
    if (method !== "GET" && method !== "POST" && method !== "DELETE")
      return refusal(405, "UNSUPPORTED", `${method.slice(0, 16)} is not supported here`, { headers: { Allow: "GET, POST, DELETE, OPTIONS" } });
    const own = findOwnKeys(visit.principal, this.#options);
    if (!own)
      return refusal(403, "DENIED", "keys are for who logs in with a password, a certificate or in a browser: a key or a token makes none, and shows none");
    if (method !== "GET" && this.#options.own.pageBehind(visit) === "foreign") return refusal(403, "DENIED", "a page of another site has asked for this");
    try {
      if (method === "GET") return json(200, { apiKeys: (await own.list()).map(described) });
      return await (method === "POST" ? this.#create(request, own, visit) : revoke(request, own));
    } catch (error) {
      if (!(error instanceof RecordsUnavailable)) throw error;
      // Whoever keeps the records has told of it, once.
      this.#options.log.debug({ problem: error.message }, "API keys cannot be kept");
      return refusal(503, "UNAVAILABLE", "keys cannot be read or kept just now", { headers: { "Retry-After": "5" } });
    }
  }

  async #create(request: Request, own: OwnKeys, { userAgent = "" }: KeyVisit): Promise<Response> {
    const { clock, names } = this.#options;
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
      const { secret, key } = await own.make(wanted, userAgent);
      return json(201, { ...described(key), apiKey: secret });
    } catch (error) {
      if (error instanceof TooManyKeys) return refusal(429, "TOOMANYREQUESTS", error.message);
      throw error;
    }
  }
}

async function revoke(request: Request, own: OwnKeys): Promise<Response> {
  const id = new URL(request.url).searchParams.get("id") ?? "";
  if (id === "") return refusal(400, "REQUEST_INVALID", "say which key, by ?id=");
  await own.revoke(id);
  return json(200, {});
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
