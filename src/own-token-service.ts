/** OwnTokenService: from `auth.tokenService: builtin` to a running one: its keys and refresh tokens under `statePath`, its word held to the policies. */
import { join } from "node:path";
import type { Access } from "./access.ts";
import type { Accounts } from "./auth/accounts.ts";
import type { Evidence } from "./auth/authenticator.ts";
import type { TokenIssuer } from "./auth/bearer.ts";
import type { ChallengeOptions } from "./auth/challenges.ts";
import type { FailDelay } from "./auth/fail-delay.ts";
import type { Passwords } from "./auth/passwords.ts";
import { scopePermits } from "./auth/key-scope.ts";
import type { Principal } from "./auth/principal.ts";
import type { RefreshTokens } from "./auth/refresh-tokens.ts";
import type { Grants } from "./auth/token-service.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import type { RegistryNames } from "./oci/registry-names.ts";

export interface OwnTokensOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly names: () => RegistryNames;
  /** What may be done by whom, now. */
  readonly access: () => Access | undefined;
}

interface OwnTokensParts {
  readonly externalUrl: string | undefined;
  readonly statePath: string;
  readonly passwords: Passwords;
  /** What refresh tokens are bound to. */
  readonly accounts: Accounts;
  readonly failDelay: FailDelay;
}

/** Answers a request for a token. Rejects when the client has left. */
export type TokenAnswer = (request: Request, evidence: Pick<Evidence, "authorization" | "client">) => Promise<Response>;

export interface OwnTokenService {
  /** Takes the tokens that it gave. */
  readonly issuer: TokenIssuer;
  readonly challenge: ChallengeOptions;
  readonly answer: TokenAnswer;
}

/** Where clients are sent for tokens, below our own address. */
const tokenPath = "/zot/auth/token";

/** The challenge that leads clients to us, at the address by which they came unless one is configured. */
export function ownChallenge(externalUrl: string | undefined): Extract<ChallengeOptions, { kind: "bearer" }> {
  const service = externalUrl === undefined ? "ociregistry" : new URL(externalUrl).host;
  return { kind: "bearer", realm: (origin) => `${externalUrl ?? origin}${tokenPath}`, service };
}

/** Reads and writes nothing yet. */
export async function openOwnTokens(parts: OwnTokensParts, options: OwnTokensOptions): Promise<OwnTokenService> {
  const { AccessTokens } = await import("./auth/access-tokens.ts");
  const { OwnTokens } = await import("./auth/own-tokens.ts");
  const { SigningKeys } = await import("./auth/signing-keys.ts");
  const { TokenService } = await import("./auth/token-service.ts");
  const { TokenVerifier } = await import("./auth/token-verifier.ts");
  const { externalUrl, statePath, passwords, accounts, failDelay } = parts;
  const { clock, log, names, access } = options;
  const challenge = ownChallenge(externalUrl);
  const { service } = challenge;
  const keys = new SigningKeys({ folder: join(statePath, "token-keys"), clock, log });
  const tokens = new TokenService({
    service,
    ownTokens: new OwnTokens({ issuer: service, service, keys, groupsThatCount: (principal) => groupsThatCount(principal, access()) }),
    checkPassword: (login, client, signal) => passwords.check(login, client, signal),
    refresh: { tokens: await openRefreshTokens({ statePath, clock }), accounts },
    grants: grantsOf(access, clock, names),
    names,
    failDelay,
    clock,
    log,
  });
  const verifier = new TokenVerifier({ keys, issuer: service, audiences: [service], clock });
  return {
    issuer: new AccessTokens({ verifier, clock, method: "token" }),
    challenge,
    answer: (request, evidence) => tokens.handle(request, evidence),
  };
}

/** Ends what `docker login` keeps instead of the password of `user`, or, when that is undefined, of anybody: how many there were. Throws the system's error. */
export async function revokeLogins(user: string | undefined, where: { readonly statePath: string; readonly clock: Clock }): Promise<number> {
  return await (await openRefreshTokens(where)).revokeAll(user);
}

async function openRefreshTokens({ statePath, clock }: { readonly statePath: string; readonly clock: Clock }): Promise<RefreshTokens> {
  const { RefreshTokens: Tokens } = await import("./auth/refresh-tokens.ts");
  return new Tokens({ folder: join(statePath, "refresh-tokens"), clock });
}

/** What policies say of names; what hangs on a request the gate decides with it. */
function grantsOf(access: () => Access | undefined, clock: Clock, names: () => RegistryNames): Grants {
  const hasAnonymous = (): boolean => (access()?.policy.anonymousReach() ?? "none") !== "none";
  const facts = () => ({
    timeMs: clock.now(),
    method: "GET",
    userAgent: "",
    reference: undefined,
    client: "",
    forwardedFor: [],
    tlsVersion: undefined,
  });
  return {
    allows(principal, action, repository) {
      const rules = access();
      if (!scopePermits(principal?.scope, action, repository, names().defaultHost)) return false;
      if (!rules) return principal !== undefined;
      if (principal && rules.hasConditions) return true;
      return rules.policy.decide({ principal, action, repository, facts }).isAllowed;
    },
    allowsCatalog: (principal) => principal !== undefined || hasAnonymous(),
    get admitsAnonymous() {
      return hasAnonymous();
    },
  };
}

function groupsThatCount({ groups }: Principal, access: Access | undefined): readonly string[] {
  if (!access) return [];
  // A condition may look at any of them.
  if (access.hasConditions) return groups;
  const { repositories, adminPolicy } = access.rules;
  const policies = [...repositories.flatMap((entry) => entry.policies), ...(adminPolicy ? [adminPolicy] : [])];
  return groups.filter((group) => policies.some((policy) => policy.groups.has(group)));
}
