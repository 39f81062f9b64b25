/** Tokens: where clients ask for one. Who asks, and what for, is for the token service to find out: no gate stands in front of it. */
import type { Evidence } from "../auth/authenticator.ts";
import type { Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { answerOf } from "./fetched-answer.ts";

/** Answers a request for a token. Rejects when the client has left. */
export type TokenAnswer = (request: Request, evidence: Pick<Evidence, "authorization" | "client">) => Promise<Response>;

/** zot's, and distribution's usual one. */
export const tokenPaths = ["/zot/auth/token", "/token"] as const;

/** Hands the request over, and what comes back goes out as every answer does. */
export async function answerTokens(exchange: Exchange, answer: TokenAnswer): Promise<Answer> {
  const { request } = exchange;
  if (!request) throw new Error("a request for a token needs its body: it comes by fetch");
  const { authorization, client } = exchange.visit();
  return answerOf(await answer(request, { authorization, client }));
}
