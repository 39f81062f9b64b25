/**
 * RememberedLogins: who was right a moment ago, by the keyed digest of what they showed, so that a request costs no bcrypt. No password
 * is held; what the digests are of cannot be found without the key, so that looking one up need not take constant time.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import type { Principal } from "./principal.ts";

const loginsMax = 10_000;
/** Also how long a directory's refusal may take to be noticed. */
export const rememberedMs = 60_000;

interface Remembered {
  readonly principal: Principal;
  /** As typed. */
  readonly user: string;
  readonly untilMs: number;
}

export class RememberedLogins {
  readonly #clock: Clock;
  readonly #logins = new LRUCache<string, Remembered>({ max: loginsMax });
  #changes = 0;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** The same object each time. */
  find(digest: string): Principal | undefined {
    const login = this.#logins.get(digest);
    if (!login) return undefined;
    if (this.#clock.elapsed() < login.untilMs) return login.principal;
    this.#logins.delete(digest);
    return undefined;
  }

  /** To be taken before a login is verified: what has been forgotten since is not remembered after all. */
  begin(): RememberedSlot {
    const [changes, beganMs] = [this.#changes, this.#clock.elapsed()];
    return {
      remember: (digest, user, principal, lifeMs) => {
        if (changes === this.#changes) this.#logins.set(digest, { user, principal, untilMs: beganMs + lifeMs });
      },
      renew: (digest, principal) => {
        const login = this.#logins.get(digest);
        if (login && changes === this.#changes) this.#logins.set(digest, { ...login, principal });
      },
    };
  }

  /** Something changed: these users, by the names they typed, are to be verified again. */
  forget(isAffected: (user: string) => boolean): void {
    this.#changes++;
    for (const [digest, { user }] of this.#logins.entries()) if (isAffected(user)) this.#logins.delete(digest);
  }
}

export interface RememberedSlot {
  /** For `lifeMs` from its beginning. */
  remember(digest: string, user: string, principal: Principal, lifeMs: number): void;
  /** More is known of somebody who is remembered: for no longer than before. */
  renew(digest: string, principal: Principal): void;
}
