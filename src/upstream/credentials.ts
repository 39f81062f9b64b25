/** Credentials: who we are to an upstream, and where that comes from. */
import { createHash } from "node:crypto";
import type { Secret } from "../oci/secret.ts";

/** What is shown to a registry or its token service. */
export type Credential = { /** Differs whenever anything else does. No secret can be read from it. */ readonly id: string } & CredentialContent;

export type CredentialContent =
  /** A name and a password, for Basic and for token services. */
  | {
      readonly kind: "basic";
      readonly user: string;
      readonly password: string;
      /** Shown to the registry before it asks: some say 403 or 404 to strangers instead of asking. */
      readonly isShownUnasked?: boolean;
    }
  /** What follows `Basic ` in the header, as it is; shown unasked. */
  | { readonly kind: "opaque"; readonly token: string }
  /** A token that the registry takes as it is; shown unasked. */
  | { readonly kind: "bearer"; readonly token: string }
  /** A refresh token that buys tokens. */
  | { readonly kind: "identity"; readonly token: string };

/** Gives the credential that holds now. */
export interface CredentialSource {
  /**
   * For the repository called `name` at the endpoint. Undefined: ask as anybody. Rejects when there should be one and it cannot be
   * had: with `DENIED` when somebody has to mend something, else with an outage; the message says what and where.
   */
  current(name: string, signal: AbortSignal): Promise<Credential | undefined>;
  /** The registry refused `credential`. Resolves to true when `current` has another one now. Never rejects but with the signal's reason. */
  renew(credential: Credential, name: string, signal: AbortSignal): Promise<boolean>;
  /** How it stands; undefined where nothing is ever fetched. */
  status(): CredentialStatus | undefined;
  /** Nobody will ask again. */
  close(): void;
}

/** How a credential that has to be fetched stands. Without secrets. */
export interface CredentialStatus {
  /** Names what fetches it: `ecr 111122223333 in us-east-1, profile team-a`; undefined: no single thing does. */
  readonly description?: string;
  readonly state: "none" | "fetching" | "held" | "refreshing" | "failing";
  /** When the one that is held ends, in milliseconds since 1970; undefined: none is held, or it has no end. */
  readonly expiresAtMs?: number | undefined;
  /** Why the last fetch failed, in one line. */
  readonly reason?: string | undefined;
}

/** A way to fetch a credential that ends: one file for each kind. A `TokenManager` keeps what it fetches fresh. */
export interface CredentialProvider {
  /** Names the instance in logs and errors: `ecr 111122223333 in us-east-1, profile team-a`. No secrets. */
  readonly description: string;
  /** Fetches one. Rejects with `DENIED` when somebody has to mend something, else with an outage; the message says what in one line, without secrets. */
  fetch(signal: AbortSignal): Promise<IssuedCredential>;
  /** Nobody will ask again: ends what it keeps open. Absent: nothing. */
  close?(): Promise<void>;
}

export interface IssuedCredential {
  /** Undefined: there is none, and the registry is asked as anybody. */
  readonly content: CredentialContent | undefined;
  /** In milliseconds since 1970; undefined when nobody said. */
  readonly expiresAtMs: number | undefined;
}

/** Nobody in particular. */
export const anonymous: CredentialSource = {
  current: () => Promise.resolve(undefined),
  renew: () => Promise.resolve(false),
  status: () => undefined,
  close() {},
};

/** The content with its id. */
export function identified(content: CredentialContent): Credential {
  return { ...content, id: createHash("sha256").update(JSON.stringify(content)).digest("base64url") };
}

/** The user and password of the configuration; the password is revealed at each use and kept nowhere. */
export function passwordSource({ user, password }: { readonly user: string; readonly password: Secret }): CredentialSource {
  return { ...anonymous, current: () => Promise.resolve(identified({ kind: "basic", user, password: password.reveal() })) };
}

/** Whether a registry sees it before it has asked for anything. */
export function isShownUnasked(credential: Credential): boolean {
  return credential.kind === "basic" ? credential.isShownUnasked === true : credential.kind !== "identity";
}

/** What it is, in words for logs: `user robot`. Without secrets. */
export function credentialWords(credential: Credential): string {
  switch (credential.kind) {
    case "basic":
      return `user ${credential.user}`;
    case "opaque":
      return "a token sent as Basic";
    case "bearer":
      return "a bearer token";
    case "identity":
      return "an identity token";
    default:
      return credential satisfies never;
  }
}

/** The value of an Authorization header that shows the credential itself. */
export function directHeader(credential: Credential): { readonly scheme: "basic" | "bearer"; readonly header: string } {
  if (credential.kind === "basic") return { scheme: "basic", header: basicAuthorization(credential.user, credential.password) };
  if (credential.kind === "opaque") return { scheme: "basic", header: `Basic ${credential.token}` };
  return { scheme: "bearer", header: `Bearer ${credential.token}` };
}

/** The value of an Authorization header for Basic. RFC 7617, in UTF-8. */
export function basicAuthorization(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
