/** API keys: where people make their own, see them, and end them. A gate stands in front: whoever has no name has no keys. */
import type { KeyAnswer } from "../auth/api-key-service.ts";
import type { Admitted } from "../auth/gate.ts";
import type { Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { answerOf } from "./fetched-answer.ts";

/** zot's. */
export const apiKeysPath = "/zot/auth/apikey";

/** Hands the request over, with who asks. */
export async function answerApiKeys(exchange: Exchange, admitted: Admitted | undefined, answer: KeyAnswer): Promise<Answer> {
  const { request } = exchange;
  const principal = admitted?.principal;
  if (!request || !principal) throw new Error("a request for keys needs its body, and somebody's name: it comes by fetch, and past a gate");
  const { origin, pageOrigin, fetchSite, userAgent } = exchange.visit();
  return answerOf(await answer(request, { principal, origin, pageOrigin, fetchSite, userAgent }));
}
