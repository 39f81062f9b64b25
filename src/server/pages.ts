/**
 * Pages mounted: each goes through the guard like everything else, and leaves with headers under which a browser runs nothing but our own
 * script, shows it in nobody's frame, and asks nobody else for anything.
 */
import type { AccountDesk } from "../auth/account-desk.ts";
import type { Admitted, Refused } from "../auth/gate.ts";
import type { Principal } from "../auth/principal.ts";
import { OciError } from "../oci/errors.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import type { PageUser } from "../web/frame.ts";
import type { PageVisit } from "../web/page-visit.ts";
import type { Pages, ShownPage, WholePage } from "../web/pages.ts";
import type { Answer } from "./answer.ts";
import { errorAnswer } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { refusalHeaders, type Guard } from "./guard.ts";
import { urlLengthMax } from "./routes.ts";

export const pagePaths = ["/home", "/home/*"] as const;
export const signInPath = "/login";
const assetsPrefix = "/home/assets/";

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const safeHeaders = ["X-Content-Type-Options", "nosniff", "Cross-Origin-Resource-Policy", "same-origin"] as const;
const pageHeaders = [
  "Content-Type",
  "text/html; charset=utf-8",
  "Cache-Control",
  "no-store",
  "Content-Security-Policy",
  policy,
  "Referrer-Policy",
  "same-origin",
  "X-Frame-Options",
  "DENY",
  "Cross-Origin-Opener-Policy",
  "same-origin",
  ...safeHeaders,
] as const;

/** Their names say what is in them: they may be kept for ever. */
const assetHeaders = ["Cache-Control", "public, max-age=31536000, immutable", ...safeHeaders] as const;

export interface PageParts {
  readonly pages: Pages;
  readonly guard: Guard;
  /** Where people's own keys and sessions are asked for, and where forms are read; undefined: nobody has a name. */
  readonly accounts?: AccountDesk | undefined;
}

/** Answers a request for a page, or for what pages are made of, and takes the forms of pages. */
export function answerPage(exchange: Exchange, parts: PageParts): Answer | Promise<Answer | Response> {
  const { pages, guard, accounts } = parts;
  const address = addressOf(exchange.target);
  const refusal = (refused: Refused): Answer => refusedAnswer(refused, { exchange, pages });
  if (exchange.method === "POST") {
    if (!accounts || !pages.takesForm(address.path)) return errorAnswer(new OciError("UNSUPPORTED", "no form is sent to this page"));
    // Whoever has no name owns nothing that a form could change.
    return guard.pass({ kind: "account" }, exchange, (passed, admitted) => answerForm(passed, admitted, { ...parts, accounts }, address), refusal);
  }
  if (address.path.startsWith(assetsPrefix)) return assetAnswer(pages, address.path);
  return guard.pass(
    { kind: "page" },
    exchange,
    async (passed, admitted) => shownAnswer(await pages.show(visitOf(passed, admitted, parts, { ...address, form: undefined }))),
    refusal,
  );
}

async function answerForm(
  exchange: Exchange,
  admitted: Admitted | undefined,
  parts: PageParts & { readonly accounts: AccountDesk },
  address: Address,
): Promise<Answer> {
  const { pages, accounts } = parts;
  const { request } = exchange;
  if (!request) throw new Error("a form of a page comes with its fields: it comes by fetch");
  const read = await accounts.readForm(request, exchange.visit());
  const visit = visitOf(exchange, admitted, parts, { ...address, form: read.kind === "read" ? read.fields : undefined });
  if (read.kind === "read") return shownAnswer(await pages.show(visit));
  return pageAnswer(pages.message({ title: "This form was not taken", text: read.message }, { status: read.status, user: visit.user }));
}

/** The page to sign in at: whoever has no name sees it. */
export function answerSignInPage({ target }: Exchange, pages: Pages): Answer {
  const page = pages.signIn(addressOf(target).query);
  return page ? pageAnswer(page) : errorAnswer(new OciError("NAME_UNKNOWN", "nobody signs in here with a browser"));
}

/** Where a browser is sent that asked for the root. */
export function redirectAnswer(location: string, headers: readonly string[] = []): Answer {
  return { status: 303, headers: ["Location", location, "Content-Length", "0", "Cache-Control", "no-store", ...headers], body: "" };
}

function visitOf(
  exchange: Exchange,
  admitted: Admitted | undefined,
  { guard, accounts }: PageParts,
  { path, query, form }: Address & Pick<PageVisit, "form">,
): PageVisit {
  const principal = admitted?.principal;
  const visit = exchange.visit();
  const account = principal && accounts?.find(principal, visit);
  const user = userOf(principal);
  return {
    path,
    query,
    form,
    user: user && { ...user, hasAccount: account !== undefined, isAdministrator: guard.isAdministrator(exchange, admitted) },
    account,
    comesFromOurs: visit.comesFromOurs,
    origin: visit.origin,
    sees: guard.sees(exchange, admitted),
    refusalOf: (repository: Repository, reference: Reference | undefined) => guard.readingRefusal(exchange, admitted, repository, reference),
    signal: exchange.signal,
  };
}

/** As pages call him. */
export function userOf(principal: Principal | undefined): PageUser | undefined {
  return principal && { name: principal.name, hasSession: principal.method === "session" };
}

/** Who has no name is shown where to get one; a browser whose user has a name and a password for us asks for them by itself. */
export function refusedAnswer(refused: Refused, { exchange, pages }: { readonly exchange: Exchange; readonly pages: Pages }): Answer {
  const { status, message, principal, setCookie } = refused;
  const wayIn = status === 401 && principal === undefined ? pages.wayIn(exchange.target) : undefined;
  if (wayIn !== undefined) return redirectAnswer(wayIn, ["Vary", "Cookie", ...(setCookie === undefined ? [] : ["Set-Cookie", setCookie])]);
  const title = status === 401 ? "Who is there?" : status === 403 ? "Not for you" : "Try again in a moment";
  const page = pages.message({ title, text: message }, { status, user: userOf(principal) });
  return pageAnswer(page, refusalHeaders(refused));
}

function shownAnswer(shown: ShownPage): Answer {
  return shown.kind === "elsewhere" ? redirectAnswer(shown.path) : pageAnswer(shown);
}

/** A page, with the headers of pages. */
export function pageAnswer({ status, html }: Pick<WholePage, "status" | "html">, headers: readonly string[] = []): Answer {
  return { status, headers: [...pageHeaders, "Content-Length", String(Buffer.byteLength(html)), ...headers], body: html };
}

function assetAnswer(pages: Pages, path: string): Answer {
  const asset = pages.asset(path);
  if (!asset) return errorAnswer(new OciError("NAME_UNKNOWN", "there is nothing of that name; what pages are made of is named anew with each release"));
  return { status: 200, headers: ["Content-Type", asset.contentType, "Content-Length", String(asset.bytes.byteLength), ...assetHeaders], body: asset.bytes };
}

interface Address {
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Throws `REQUEST_INVALID` for one that is too long. */
export function addressOf(target: string): Address {
  if (target.length > urlLengthMax) throw new OciError("REQUEST_INVALID", `a URL of ${target.length} characters: at most ${urlLengthMax}`);
  const queryAt = target.indexOf("?");
  return queryAt === -1
    ? { path: target, query: new URLSearchParams() }
    : { path: target.slice(0, queryAt), query: new URLSearchParams(target.slice(queryAt + 1)) };
}
