/**
 * Redirects, followed by hand: a few at most, never from https to http, and without the Authorization once the origin changes.
 * Targets are signed for minutes, so none is remembered; when one has run out, the registry is asked for another, once.
 */
import { unusable } from "./errors.ts";
import type { HttpRequest } from "./exchange.ts";
import { findForeignUrl } from "./foreign-url.ts";
import type { Reply } from "./origins.ts";

const redirectsMax = 5;
const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** What a signed URL answers whose time is over. */
const expiredStatuses: ReadonlySet<number> = new Set([401, 403, 410]);

export interface FollowOptions {
  readonly send: (request: HttpRequest) => Promise<Reply>;
  /** "own": an answer that leads to another origin is returned as it is. */
  readonly follow: "anywhere" | "own";
}

/** The answer at the end of the redirects. Rejects with `UPSTREAM_UNAVAILABLE` for too many, or one that may not be followed. */
export async function sendFollowing(request: HttpRequest, { send, follow }: FollowOptions): Promise<Reply> {
  const reply = await followOnce(request, { send, follow });
  const isElsewhere = reply.url.origin !== request.url.origin;
  if (!isElsewhere || request.method !== "GET" || !expiredStatuses.has(reply.status)) return reply;
  reply.passage.abstained();
  reply.body.discard();
  return followOnce(request, { send, follow });
}

async function followOnce(request: HttpRequest, { send, follow }: FollowOptions): Promise<Reply> {
  let current = request;
  for (let hops = 0; ; hops++) {
    const reply = await send(current);
    if (!isRedirect(reply)) return reply;
    const next = targetOf(reply);
    if (follow === "own" && next.origin !== request.url.origin) return reply;
    reply.body.discard();
    if (hops === redirectsMax) throw unusable(request.url, `more than ${redirectsMax} redirects`);
    current = { ...current, url: next, headers: next.origin === current.url.origin ? current.headers : withoutAuthorization(current.headers) };
  }
}

/** True for a redirect that says where. */
export function isRedirect(reply: Reply): boolean {
  return redirectStatuses.has(reply.status);
}

function targetOf(reply: Reply): URL {
  try {
    return permittedTarget(reply.header("location"), reply.url);
  } catch (error) {
    reply.body.discard(); // It would hold the connection for as long as it likes: nobody reads it any more.
    throw error;
  }
}

/** Where `location`, said by `from`, leads. Throws `UPSTREAM_UNAVAILABLE` when it may not be followed; whether its address may be dialled is decided later. */
export function permittedTarget(location: string | undefined, from: URL): URL {
  const next = location === undefined ? undefined : findForeignUrl(location, from);
  if (!next) throw unusable(from, "a redirect to no usable URL");
  if (from.protocol === "https:" && next.protocol === "http:") throw unusable(from, `a redirect from https to http, to ${next.host}`);
  return next;
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { authorization: _, ...others } = headers;
  return others;
}
