/**
 * TokenExchange: for clients that only know how to log in with a password: who shows the token of a workload as one is given it back as
 * the token to go on with. zot's `/zot/auth/token`; the user name means nothing to it, and neither do scopes: policies decide.
 */
import type { Clock } from "../oci/clock.ts";
import type { Evidence, Verdict } from "./authenticator.ts";
import { readBasic, showsSomething } from "./basic.ts";
import type { TokenIssuer } from "./bearer.ts";
import type { FailDelay } from "./fail-delay.ts";
import { answerToken, askForPassword, refuseToken, tellUnavailable } from "./token-answers.ts";
import { readForm, type UnreadRequest } from "./token-requests.ts";

export interface TokenExchangeOptions {
  /** What the challenge of a refusal calls us. */
  readonly realm: string;
  /** Of workloads: asked in this order. */
  readonly issuers: readonly TokenIssuer[];
  readonly failDelay: Pick<FailDelay, "wait">;
  readonly clock: Clock;
}

/** Where the many kinds of clients put what they have. */
const fields = ["password", "id_token", "access_token", "refresh_token", "token"];
/** What clients take for a token that does not say when it ends. */
const lifeSecondsMin = 60;

export class TokenExchange {
  readonly #options: TokenExchangeOptions;

  constructor(options: TokenExchangeOptions) {
    this.#options = options;
  }

  /** Answers a request for a token. Rejects when the client has left. */
  async handle(request: Request, { authorization }: Pick<Evidence, "authorization">): Promise<Response> {
    const { realm, failDelay } = this.#options;
    const shown = await this.#read(request, authorization);
    if ("status" in shown) {
      if (shown.status !== 401) return refuseToken(shown.status, "UNSUPPORTED", shown.message, { error: shown.error, headers: { Allow: "GET, POST" } });
      await failDelay.wait(authorization, request.signal);
      return askForPassword(realm, shown.message, shown.error);
    }
    if (shown.tokens.length === 0) return askForPassword(realm, "a workload's token is required, as the password");
    const verdict = await this.#judge(shown.tokens, request.signal);
    if (verdict?.kind === "unavailable") return tellUnavailable();
    if (verdict?.kind === "admitted") return this.#give(verdict);
    await failDelay.wait(showsSomething(authorization) ? authorization : shown.tokens, request.signal);
    return askForPassword(realm, "the token is wrong, or is no longer valid", "invalid_grant");
  }

  async #read(request: Request, authorization: readonly string[]): Promise<{ readonly tokens: readonly string[] } | UnreadRequest> {
    const { method } = request;
    if (method !== "GET" && method !== "POST") return { status: 405, error: "invalid_request", message: "tokens are asked for by GET or POST" };
    const basic = readBasic(authorization);
    if (basic.kind === "unreadable") return { status: 401, error: "invalid_client", message: basic.reason };
    const password = basic.kind === "login" ? [basic.login.password] : [];
    if (method === "GET") return { tokens: password };
    const text = await readForm(request, this.#options.clock);
    if (typeof text !== "string") return text;
    const form = new URLSearchParams(text);
    return { tokens: [...password, ...fields.flatMap((field) => form.getAll(field).slice(0, 1))].filter((token) => token !== "") };
  }

  /** The first that some issuer has a word on; undefined: nobody has. */
  async #judge(tokens: readonly string[], signal: AbortSignal): Promise<(Verdict & { readonly token: string }) | undefined> {
    for (const token of tokens) {
      for (const issuer of this.#options.issuers) {
        const verdict = await issuer.judge(token, signal);
        if (verdict.kind !== "none") return { ...verdict, token };
      }
    }
    return undefined;
  }

  #give({ token, principal }: Extract<Verdict, { kind: "admitted" }> & { readonly token: string }): Response {
    const nowMs = this.#options.clock.now();
    const endsAt = principal.claims?.["exp"];
    const lifeSeconds = typeof endsAt === "number" ? Math.floor(endsAt - nowMs / 1_000) : lifeSecondsMin;
    return answerToken(200, { token, access_token: token, expires_in: Math.max(1, lifeSeconds), issued_at: new Date(nowMs).toISOString() });
  }
}
