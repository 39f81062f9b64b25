/** SessionList: somebody's own sessions over HTTP, to look at and to end: GET, and DELETE with an `id`. */
import { findOwnSessions, type OwnSessionsOptions } from "./own-sessions.ts";
import type { Principal } from "./principal.ts";
import { RecordsUnavailable } from "./records.ts";
import type { LiveSession } from "./sessions.ts";
import { json, refusal } from "./sign-in-answers.ts";

/** What is asked, and by whom: it has been decided that he may be here. */
export interface SessionListRequest {
  readonly method: string;
  readonly search: URLSearchParams;
  readonly principal: Principal | undefined;
}

export class SessionList {
  readonly #options: OwnSessionsOptions;

  constructor(options: OwnSessionsOptions) {
    this.#options = options;
  }

  /** Never rejects but for a bug. */
  async answer({ method, search, principal }: SessionListRequest): Promise<Response> {
    if (!principal) return refusal(401, "UNAUTHORIZED", "sessions are somebody's: sign in first");
    const own = findOwnSessions(principal, this.#options);
    if (!own) return refusal(403, "DENIED", "sessions are seen and ended by their owner, and not by a key or a token");
    try {
      if (method === "GET") return json(200, { sessions: (await own.list()).map(shown) });
      if (method !== "DELETE")
        return refusal(405, "UNSUPPORTED", "sessions are listed by GET and ended by DELETE", { headers: { Allow: "GET, DELETE, OPTIONS" } });
      const id = search.get("id");
      if (id === null) return refusal(400, "UNSUPPORTED", "which session: id is missing");
      return (await own.end(id)) ? new Response(null, { status: 204 }) : refusal(404, "UNSUPPORTED", "there is no such session of yours");
    } catch (error) {
      if (!(error instanceof RecordsUnavailable)) throw error;
      // Whoever keeps the records has told of it, once.
      this.#options.log.debug({ problem: error.message }, "sessions cannot be read");
      return refusal(503, "UNAVAILABLE", "sessions cannot be read just now", { headers: { "Retry-After": "5" } });
    }
  }
}

function shown({ id, by, client, userAgent, startedAtMs, usedAtMs, untilMs }: LiveSession): object {
  const [startedAt, usedAt, until] = [startedAtMs, usedAtMs, untilMs].map((atMs) => new Date(atMs).toISOString());
  return { id, by, client, userAgent, startedAt, usedAt, until };
}
