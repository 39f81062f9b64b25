/**
 * Account: what somebody has here that is nobody else's, to be looked at and changed: keys that stand in for a password, and the browsers that are
 * signed in. It belongs to one person, who is there in person.
 */

/** Each call rejects with `OVERLOADED` while what keeps it does not answer. */
export interface Account {
  /** Undefined: there are no keys here. */
  readonly keys: AccountKeys | undefined;
  /** Undefined: nobody signs in here with a browser. */
  readonly sessions: AccountSessions | undefined;
}

export interface AccountKeys {
  /** The newest first. */
  list(): Promise<readonly KeyView[]>;
  make(wish: KeyWish): Promise<KeyMade>;
  /** A key that is not there is gone, too. */
  revoke(id: string): Promise<void>;
}

export interface AccountSessions {
  /** The newest first. */
  list(): Promise<readonly SessionView[]>;
  /** One that is not there has ended, too. */
  end(id: string): Promise<void>;
  /** All but the one that asks: how many there were. */
  endOthers(): Promise<number>;
}

/** Times are in milliseconds since 1970. */
export interface KeyView {
  /** Names it, and is no secret. */
  readonly id: string;
  readonly label: string;
  readonly createdAtMs: number;
  /** What made it, by its own word: a browser, a program. */
  readonly creator: string;
  /** Undefined: never. */
  readonly usedAtMs: number | undefined;
  /** Undefined: it is good until it is revoked. */
  readonly expiresAtMs: number | undefined;
  readonly isExpired: boolean;
  /** Patterns of those that it opens. Undefined: all that its owner may. */
  readonly repositories: readonly string[] | undefined;
  /** In the words of policies. Undefined: all that its owner may. */
  readonly actions: readonly string[] | undefined;
}

/** A key, as somebody asks for one. */
export interface KeyWish {
  readonly label: string;
  /** Undefined: until it is revoked. */
  readonly lifeMs: number | undefined;
  /** Patterns; none: all. */
  readonly repositories: readonly string[];
  readonly isReadOnly: boolean;
}

export type KeyMade =
  /** `secret` is told here, and nowhere again. */
  | { readonly kind: "made"; readonly secret: string; readonly key: KeyView }
  /** `problem`: what is wrong, in words, with what was asked for in `field`, or with having one more. */
  | { readonly kind: "refused"; readonly field: "label" | "repositories" | undefined; readonly problem: string };

/** Times are in milliseconds since 1970. */
export interface SessionView {
  /** Names it, and is no secret. */
  readonly id: string;
  /** Whether it is the one that asks. */
  readonly isThis: boolean;
  /** How it began: `htpasswd`, `ldap`, or a provider's name. */
  readonly by: string;
  /** The address that it began at. */
  readonly client: string;
  readonly userAgent: string;
  readonly startedAtMs: number;
  readonly usedAtMs: number;
  readonly untilMs: number;
}
