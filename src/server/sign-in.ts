/** Sign-in: where browsers come in and go out. Who asks is for the handler to find out: no gate stands in front of it; one does in front of what only its owner may see. */
import type { SignInRoutes } from "../auth/sign-in.ts";
import { jsonAnswer, type Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { answerOf } from "./fetched-answer.ts";
import type { Guard } from "./guard.ts";

export const sessionsPath = "/zot/auth/sessions";

/** Hands the request over. */
export async function answerSignIn(exchange: Exchange, { handle }: Pick<SignInRoutes, "handle">): Promise<Answer> {
  const { request } = exchange;
  if (!request) throw new Error("signing in may come with a form: it comes by fetch");
  return await answerOf(await handle(request, exchange.visit()));
}

/** Through the gate. A foreign page ends nobody's session, whatever the browser sends along with what that page asks. */
export function answerSessions(exchange: Exchange, guard: Guard, { listSessions, pageBehind }: SignInRoutes): Answer | Promise<Answer | Response> {
  if (exchange.method === "OPTIONS") return { status: 204, headers: ["Allow", "GET, DELETE, OPTIONS"], body: "" };
  if (exchange.method !== "GET" && pageBehind(exchange.visit()) === "foreign")
    return jsonAnswer(403, { errors: [{ code: "DENIED", message: "a page of another site has sent this" }] });
  return guard.pass({ kind: "account" }, exchange, async ({ method, target }, admitted) => {
    const search = URL.parse(target, "http://localhost")?.searchParams ?? new URLSearchParams();
    return await answerOf(await listSessions({ method, search, principal: admitted?.principal }));
  });
}
