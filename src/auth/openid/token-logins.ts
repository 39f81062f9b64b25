/**
 * TokenLogins: `docker login -u USER -p <access token>`: a password that is a token is judged by the provider that gave it, and never hashed
 * or shown to a directory.
 */
import type { Log } from "../../oci/log.ts";
import type { Login, PasswordVerdict, TellingPasswords, Verdict } from "../authenticator.ts";
import { kindOfToken } from "../peeked-claims.ts";
import type { Principal } from "../principal.ts";
import type { ProviderTokens } from "./provider-tokens.ts";

export interface TokenLoginsOptions {
  /** Asked in this order. */
  readonly providers: readonly Pick<ProviderTokens, "judgeLogin">[];
  /** Told of whoever logs in, when the provider or its keys were asked. Must not throw. */
  readonly onLogin: (principal: Principal) => void;
  readonly log: Log;
}

export class TokenLogins implements TellingPasswords {
  readonly method = "oidc";
  /** Providers remember what they found themselves, and know when it ends. */
  readonly rememberedMs = 0;
  readonly #options: TokenLoginsOptions;
  readonly #told = new WeakSet<Principal>();

  constructor(options: TokenLoginsOptions) {
    this.#options = options;
  }

  isOwn(password: string): boolean {
    return kindOfToken(password) !== undefined;
  }

  /** Rejects with the signal's reason only. */
  async verify({ user, password }: Login, signal: AbortSignal): Promise<PasswordVerdict> {
    const { log, onLogin } = this.#options;
    const verdict = await this.#judge(user, password, signal);
    if (verdict.kind === "unavailable") return verdict;
    if (verdict.kind === "admitted") {
      const { principal } = verdict;
      if (!this.#told.has(principal)) onLogin(principal);
      this.#told.add(principal);
      return { kind: "right", principal };
    }
    // Whoever shows it hears what everybody hears; who runs this must be able to find out why.
    log.info({ user, reason: verdict.kind === "refused" ? verdict.reason : "a token of nobody" }, "openid: a token that was shown as a password is refused");
    return { kind: "wrong" };
  }

  async #judge(user: string, token: string, signal: AbortSignal): Promise<Verdict> {
    if (kindOfToken(token) === "encrypted") return { kind: "refused", reason: encrypted };
    let last: Verdict = { kind: "refused", reason: "its issuer is no configured provider (iss)" };
    for (const provider of this.#options.providers) {
      const verdict = await provider.judgeLogin(user, token, signal);
      if (verdict.kind === "admitted") return verdict;
      if (verdict.kind !== "none") last = verdict;
    }
    return last;
  }
}

const encrypted = "it is encrypted, and only the provider can read it: take the encryption key away (Authentik: Providers, Edit, Encryption Key)";
