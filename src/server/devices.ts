/**
 * Devices: terminals that log in with a browser's help. They ask at addresses of their own, where nobody has a name yet; who lets them in does so
 * on a page behind the guard, by a form of ours.
 */
import type { DeviceDecision, DeviceFinding } from "../auth/device-approvals.ts";
import type { DeviceLogins } from "../auth/device-logins.ts";
import type { Admitted, Refused } from "../auth/gate.ts";
import type { Principal } from "../auth/principal.ts";
import type { DeviceView } from "../web/device-page.ts";
import type { Message } from "../web/message-page.ts";
import type { Pages } from "../web/pages.ts";
import { jsonAnswer, type Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { answerOf } from "./fetched-answer.ts";
import type { Guard } from "./guard.ts";
import { addressOf, pageAnswer, redirectAnswer, refusedAnswer, userOf } from "./pages.ts";

/** Where terminals ask. */
export const devicePaths = ["/zot/auth/device", "/zot/auth/device/*"] as const;
/** Where somebody lets one in. */
export const devicePagePath = "/home/device";

const notHere = "nobody logs in from a terminal here: that takes API keys (auth.apikey) and the pages";
const nobody: Refused = {
  kind: "refused",
  status: 401,
  message: "sign in first: a terminal is let in by somebody with a name",
  challenge: undefined,
  principal: undefined,
  rule: "authentication",
  reason: undefined,
};

/** Hands a terminal's request over. `devices` undefined: none is let in here. */
export async function answerDevice(exchange: Exchange, devices: DeviceLogins | undefined): Promise<Answer> {
  if (!devices) return jsonAnswer(404, { errors: [{ code: "UNSUPPORTED", message: notHere }] });
  const { request } = exchange;
  if (!request) throw new Error("a terminal's request comes with a form: it comes by fetch");
  return await answerOf(await devices.service.handle(request, exchange.visit()));
}

export interface DevicePageParts {
  readonly pages: Pages;
  readonly guard: Guard;
  /** Undefined: none is let in here. */
  readonly devices: DeviceLogins | undefined;
}

/** The page where somebody lets a terminal in: looked at by GET, decided by POST. */
export function answerDevicePage(exchange: Exchange, parts: DevicePageParts): Answer | Promise<Answer | Response> {
  const { pages, guard } = parts;
  const refuse = (refused: Refused): Answer => refusedAnswer(refused, { exchange, pages });
  return guard.pass(
    { kind: "page" },
    exchange,
    // Some pages are for strangers too; this one is not.
    async (passed, admitted) => (admitted?.principal || !parts.devices ? await pageFor(passed, admitted, parts) : refuse(nobody)),
    refuse,
  );
}

async function pageFor(exchange: Exchange, admitted: Admitted | undefined, { pages, guard, devices }: DevicePageParts): Promise<Answer> {
  const { query } = addressOf(exchange.target);
  const principal = admitted?.principal;
  const named = userOf(principal);
  const user = named && { ...named, hasAccount: devices !== undefined, isAdministrator: guard.isAdministrator(exchange, admitted) };
  const tell = (status: number, message: Message, headers: readonly string[] = []): Answer => pageAnswer(pages.message(message, { status, user }), headers);
  if (!devices || !principal) return tell(404, { title: "Not here", text: notHere });
  const show = (status: number, view: DeviceView): Answer => pageAnswer(pages.device(view, { status, user }));
  const typed = query.get("user_code") ?? "";
  const end = query.get("end");
  if (exchange.method !== "POST" && (end === "approved" || end === "refused")) return show(200, { kind: exchange.visit().comesFromOurs ? end : "decided" });
  if (exchange.method !== "POST" && typed === "") return show(200, { kind: "asking", problem: undefined });
  const outcome = await outcomeOf(exchange, devices, { principal, typed });
  switch (outcome.kind) {
    case "approved":
    case "refused":
      return redirectAnswer(`${devicePagePath}?end=${outcome.kind}`);
    case "waiting":
      return show(200, {
        kind: "waiting",
        code: outcome.code,
        grant: outcome.grant,
        owner: principal.name,
        client: exchange.visit().ownClient,
        isAdministrator: user?.isAdministrator ?? false,
      });
    case "unasked":
      return show(200, { kind: "asking", problem: undefined, typed });
    case "unknown":
      return show(404, { kind: "asking", problem: "No terminal waits with this code. Compare it once more; it is good for ten minutes, and once." });
    case "throttled":
      return show(429, { kind: "asking", problem: `Too many wrong codes. Try again in ${Math.ceil(outcome.waitMs / 60_000)} min.` });
    case "too many keys":
      return show(409, { kind: "asking", problem: "You have as many API keys as one can have. End one that is not used, then enter the code again." });
    case "unread":
      return show(outcome.status, { kind: "asking", problem: `This form cannot be read: ${outcome.reason}.` });
    case "denied":
      return tell(403, { title: "Not for you", text: outcome.reason });
    case "unavailable":
      return tell(503, { title: "Try again in a moment", text: "what this takes cannot be read or kept just now" }, ["Retry-After", "5"]);
    default:
      return outcome satisfies never;
  }
}

async function outcomeOf(
  exchange: Exchange,
  { approvals }: DeviceLogins,
  { principal, typed }: { readonly principal: Principal; readonly typed: string },
): Promise<DeviceFinding | DeviceDecision> {
  const { method, request } = exchange;
  const { client, origin, pageOrigin, fetchSite } = exchange.visit();
  const visit = { client, origin, pageOrigin, fetchSite, principal };
  if (method !== "POST") return await approvals.find(typed, visit);
  if (!request) throw new Error("a decision comes with a form: it comes by fetch");
  return await approvals.decide(request, visit);
}
