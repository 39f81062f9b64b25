/**
 * TokenManagers: one manager for each thing that gives credentials, however many registries use it: two registries of one account
 * share its token, two accounts never do. A reload that changes nothing of it keeps its token.
 */
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { CredentialProvider, CredentialSource } from "./credentials.ts";
import { TokenManager } from "./token-manager.ts";

export interface TokenManagersOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
}

export interface ManagedToken {
  /** All that makes two of them one: kind, options, account, region. Never logged. */
  readonly key: string;
  readonly provider: () => CredentialProvider;
  readonly expiryMs: number | undefined;
}

export class TokenManagers {
  readonly #options: TokenManagersOptions;
  readonly #managers = new Map<string, { readonly manager: TokenManager; users: number }>();

  constructor(options: TokenManagersOptions) {
    this.#options = options;
  }

  /** A source that shares its manager with all others of the same key; the first one starts it. */
  use({ key, provider, expiryMs }: ManagedToken): CredentialSource {
    const shared = this.#managers.get(key) ?? { manager: new TokenManager({ ...this.#options, provider: provider(), expiryMs }), users: 0 };
    this.#managers.set(key, shared);
    shared.users += 1;
    shared.manager.start();
    let isOpen = true;
    return {
      current: (name, signal) => shared.manager.current(name, signal),
      renew: (credential, name, signal) => shared.manager.renew(credential, name, signal),
      status: () => shared.manager.status(),
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        shared.users -= 1;
        if (shared.users > 0) return;
        this.#managers.delete(key);
        shared.manager.close();
      },
    };
  }
}
