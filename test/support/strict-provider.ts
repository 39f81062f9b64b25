/** StrictProvider: a provider of identities, as far as renewal goes: each refresh token is good for one use, and what it gives in its place too. */
import type { ProviderIdentity } from "../../src/auth/openid/provider.ts";
import { Secret } from "../../src/oci/secret.ts";

export class StrictProvider {
  readonly name = "oidc";
  readonly issuer: string;
  /** Refresh tokens, as they were shown. */
  readonly shown: string[] = [];
  /** Those that are good now. */
  readonly good = new Set<string>();
  groups: readonly string[] = ["ops"];
  person = "alice";
  subject = "1";
  /** Thrown, whatever is shown. */
  failure: Error | undefined;
  /** Answers wait for it. */
  answering: Promise<void> = Promise.resolve();

  constructor(issuer = "https://provider.example.test") {
    this.issuer = issuer;
  }

  /** Somebody has logged in with a browser: `refreshToken` is good from now on. */
  login(refreshToken: string | undefined, groups: readonly string[] = ["dev"]): ProviderIdentity {
    if (refreshToken !== undefined) this.good.add(refreshToken);
    return { ...this.#identity(refreshToken), groups };
  }

  async refresh({ refreshToken }: { readonly refreshToken: Secret }): Promise<ProviderIdentity | "ended"> {
    const shown = refreshToken.reveal();
    this.shown.push(shown);
    await this.answering;
    if (this.failure) throw this.failure;
    if (!this.good.delete(shown)) return "ended";
    const next = `${shown}+`;
    this.good.add(next);
    return this.#identity(next);
  }

  #identity(refreshToken: string | undefined): ProviderIdentity {
    return {
      provider: this.name,
      subject: this.subject,
      name: this.person,
      groups: this.groups,
      email: undefined,
      emailVerified: undefined,
      refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
      idToken: undefined,
    };
  }
}
