/** AccessTokens: tokens that say themselves what they permit, by a token service of Docker's kind: somebody else's (Keycloak, zot's `auth.bearer`), or our own. */
import type { Clock } from "../oci/clock.ts";
import type { Verdict } from "./authenticator.ts";
import type { TokenIssuer } from "./bearer.ts";
import { readKeyScope } from "./key-scope.ts";
import { keyScopeClaim } from "./own-tokens.ts";
import type { Principal } from "./principal.ts";
import { endsEarly, readAccess } from "./token-access.ts";
import type { Claims, TokenVerifier } from "./token-verifier.ts";

export interface AccessTokensOptions {
  readonly verifier: Pick<TokenVerifier, "verify" | "recall">;
  readonly clock: Clock;
  /** "token": our own service, whose word for the groups of its users is taken. "bearer": another, which has none in these matters. */
  readonly method: "bearer" | "token";
}

export class AccessTokens implements TokenIssuer {
  readonly #options: AccessTokensOptions;
  readonly #principals = new WeakMap<Claims, Principal>();

  constructor(options: AccessTokensOptions) {
    this.#options = options;
  }

  recall(token: string): Principal | undefined {
    const claims = this.#options.verifier.recall(token);
    return claims && this.#principals.get(claims);
  }

  async judge(token: string, signal: AbortSignal): Promise<Verdict> {
    const { verifier, clock, method } = this.#options;
    const verdict = await verifier.verify(token, signal);
    if (verdict.kind === "bad") return refused(verdict.reason);
    if (verdict.kind === "unavailable") return verdict;
    const { claims } = verdict;
    const access = readAccess(claims["access"], clock.now());
    if (!access) return refused("an access claim with too many entries");
    const name = claims["sub"];
    if (name === undefined || name === "") return { kind: "anonymous", access };
    if (!isUserName(name)) return refused("a subject that is no name (sub)");
    const known = this.#principals.get(claims);
    if (known) return { kind: "admitted", principal: known };
    const own = method === "token" ? ownWord(claims) : { groups: [] };
    if (!own) return refused(`a ${keyScopeClaim} that is none`);
    const principal: Principal = { name, method, access, ...own };
    // What ends before the token does is read anew each time.
    if (!endsEarly(claims["access"])) this.#principals.set(claims, principal);
    return { kind: "admitted", principal };
  }
}

/** A name that can be shown on one line, and not made of blanks. */
export function isUserName(name: unknown): name is string {
  return typeof name === "string" && name.trim() !== "" && name.length <= userNameLengthMax && !/\p{Cc}/u.test(name);
}

const userNameLengthMax = 1_024;

/** What our own service says of its users beside what they may. Undefined where a scope cannot be read: it must not become wider. */
function ownWord({ groups, [keyScopeClaim]: written }: Claims): Pick<Principal, "groups" | "scope"> | undefined {
  try {
    const scope = readKeyScope(written);
    return { groups: Array.isArray(groups) ? groups.filter((group) => typeof group === "string") : [], ...(scope ? { scope } : {}) };
  } catch {
    return undefined; // As above.
  }
}

function refused(reason: string): Verdict {
  return { kind: "refused", reason, error: "invalid_token" };
}
