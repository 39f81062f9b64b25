/**
 * Redirects, followed by hand: a few at most, never from https to http, and without the Authorization once the origin changes.
 * Targets are signed for minutes, so none is remembered; when one has run out, the registry is asked for another, once.
 */
import type { OciError } from "../oci/errors.ts";
import { unusable } from "./errors.ts";
import type { HttpRequest } from "./exchange.ts";
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
  const location = reply.header("location");
  const next = location === undefined ? undefined : (URL.parse(location, reply.url.href) ?? undefined);
  if (!next || (next.protocol !== "https:" && next.protocol !== "http:") || next.username !== "") throw unfollowable(reply, "a redirect to no usable URL");
  if (reply.url.protocol === "https:" && next.protocol === "http:") throw unfollowable(reply, `a redirect from https to http, to ${next.host}`);
  next.hash = "";
  return next;
}

/** Its body would hold the connection for as long as it likes: nobody reads it any more. */
function unfollowable(reply: Reply, why: string): OciError {
  reply.body.discard();
  return unusable(reply.url, why);
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { authorization: _, ...others } = headers;
  return others;
}
