/** Identification: who asks, by the methods that are configured, in zot's order. The first that has something to say decides. */
import type { Authenticator, Verdict } from "./authenticator.ts";
import { showsSomething } from "./basic.ts";
import type { Principal, TokenAccess } from "./principal.ts";
import type { SessionAuthenticator } from "./session-authenticator.ts";
import type { Visit, Wanted } from "./visit.ts";

export interface Methods {
  /** Those that look at the Authorization header, in the order in which they are asked. */
  readonly headerMethods: readonly Authenticator[];
  /** Asked when no header shows anything, for what browsers ask. */
  readonly sessions?: SessionAuthenticator | undefined;
  /** Asked when neither shows anything. */
  readonly certificates: Authenticator | undefined;
}

/** A token may permit somebody without a name something. */
export interface Identity {
  readonly principal: Principal | undefined;
  readonly access: readonly TokenAccess[] | undefined;
}

export const nobody: Identity = { principal: undefined, access: undefined };

/** Who it is, when that takes no waiting. */
export function recall({ headerMethods, sessions, certificates }: Methods, wanted: Wanted, visit: Visit): Identity | undefined {
  if (visit.authorization.length > 1) return undefined;
  if (visit.authorization.length > 0) {
    for (const method of headerMethods) {
      const principal = method.recall?.(visit);
      if (principal) return { principal, access: principal.access };
    }
    if (headerMethods.length > 0 || sessions || certificates) return undefined;
    return nobody; // With no method of authentication nothing that is shown means anything.
  }
  if (sessions?.concerns(wanted, visit)) return undefined;
  if (!certificates || visit.certificate === undefined) return nobody;
  const principal = certificates.recall?.(visit);
  return principal && { principal, access: undefined };
}

/** Asks whoever there is. A credential that was shown and is wrong is final. Rejects with the signal's reason only. */
export async function identify({ headerMethods, sessions, certificates }: Methods, wanted: Wanted, visit: Visit): Promise<Verdict> {
  if (visit.authorization.length > 1) return { kind: "refused", reason: "more than one Authorization header" };
  for (const method of headerMethods) {
    const verdict = await method.authenticate(visit, visit.signal);
    if (verdict.kind !== "none") return verdict;
  }
  if (sessions && !showsSomething(visit.authorization) && sessions.concerns(wanted, visit)) {
    const verdict = await sessions.authenticate(visit);
    // On the API a cookie is what is meant, and nothing else is asked; whoever is shown a page may have a certificate too.
    if (verdict.kind !== "none" || wanted.kind !== "page" || !certificates) return verdict;
  }
  if (certificates) {
    const verdict = await certificates.authenticate(visit, visit.signal);
    if (verdict.kind !== "none") return verdict;
  }
  // Nobody becomes a stranger by showing what nobody takes.
  return showsSomething(visit.authorization) ? { kind: "refused", reason: "no configured method takes this Authorization" } : { kind: "none" };
}
