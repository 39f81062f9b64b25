/** OwnTokens: the tokens that our own service gives, in the form that every registry of Docker's kind can check. */
import { randomUUID } from "node:crypto";
import { writeKeyScope } from "./key-scope.ts";
import type { Principal, TokenAccess } from "./principal.ts";
import type { SigningKeys } from "./signing-keys.ts";

/** How long a token counts: longer than any client takes to use it, and not much longer than somebody's permission may. */
export const tokenLifeSeconds = 300;

/** The claim that says what an API key, for which the token was given, leaves of its owner's rights. */
export const keyScopeClaim = "key_scope";

export interface OwnTokensOptions {
  /** `iss`. */
  readonly issuer: string;
  /** `aud`. */
  readonly service: string;
  readonly keys: Pick<SigningKeys, "current">;
  /** Those of somebody's groups that policies name: a directory may know of hundreds, and a header holds so much. */
  readonly groupsThatCount: (principal: Principal) => readonly string[];
}

export interface TokenContent {
  readonly access: readonly TokenAccess[];
  /** Undefined: somebody without a name. */
  readonly principal: Principal | undefined;
  /** Whole seconds. */
  readonly issuedAtMs: number;
}

export class OwnTokens {
  readonly #options: OwnTokensOptions;

  constructor(options: OwnTokensOptions) {
    this.#options = options;
  }

  /** Signs a token (ES256) by the newest key. Docker's "Token Authentication Implementation". */
  async sign({ access, principal, issuedAtMs }: TokenContent): Promise<string> {
    const { issuer, service, keys, groupsThatCount } = this.#options;
    const { id, privateKey } = await keys.current();
    // Loaded with the first token: without any, nobody pays for it.
    const { SignJWT } = await import("jose");
    const issuedAt = issuedAtMs / 1_000;
    const groups = principal ? groupsThatCount(principal) : [];
    return await new SignJWT({
      iss: issuer,
      sub: principal?.name ?? "",
      // A text, not a list: distribution 2 takes no other.
      aud: service,
      iat: issuedAt,
      nbf: issuedAt,
      exp: issuedAt + tokenLifeSeconds,
      jti: randomUUID(),
      access,
      ...(groups.length > 0 ? { groups } : {}),
      ...(principal?.scope ? { [keyScopeClaim]: writeKeyScope(principal.scope) } : {}),
    })
      .setProtectedHeader({ alg: "ES256", typ: "JWT", kid: id })
      .sign(privateKey);
  }
}
