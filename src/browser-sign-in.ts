/** BrowserSignIn: from `auth` to people who sign in with a browser: their sessions, and the addresses by which they come in and go out. */
import { dropConsents } from "./auth/device-consents.ts";
import type { FailDelay } from "./auth/fail-delay.ts";
import type { Htpasswd } from "./auth/htpasswd.ts";
import type { IdentityProvider } from "./auth/openid/provider.ts";
import type { Passwords } from "./auth/passwords.ts";
import { methodOf, type People } from "./auth/people.ts";
import type { ProviderGrants } from "./auth/provider-grants.ts";
import type { Records } from "./auth/records.ts";
import type { SessionAuthenticator } from "./auth/session-authenticator.ts";
import type { Sessions } from "./auth/sessions.ts";
import type { SignInRoutes } from "./auth/sign-in.ts";
import type { OwnOrigin } from "./auth/own-origin.ts";
import type { ClientAuthConfig } from "./config/client-auth-config.ts";
import { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import { silentLog, type Log } from "./oci/log.ts";
import { openRecords } from "./open-records.ts";
import { sessionKeysOf } from "./session-keys.ts";

export interface BrowserSignInParts {
  readonly auth: ClientAuthConfig;
  readonly own: OwnOrigin;
  readonly records: Records;
  /** Undefined: nobody has a password here. */
  readonly passwords: Passwords | undefined;
  readonly htpasswd: Htpasswd | undefined;
  readonly providers: readonly IdentityProvider[];
  readonly grants: ProviderGrants;
  readonly failDelay: FailDelay;
  /** Where it is noted who signs in, if that is of use. */
  readonly people: People | undefined;
}

export interface BrowserSignIn {
  readonly authenticator: SessionAuthenticator;
  readonly sessions: Sessions;
  readonly dropApproved: (user: string) => Promise<void>;
  readonly routes: SignInRoutes;
}

/** Reads the file of keys, and nothing else yet. Throws `ConfigError`. */
export async function openBrowserSignIn(parts: BrowserSignInParts, { clock, log }: { readonly clock: Clock; readonly log: Log }): Promise<BrowserSignIn> {
  const { auth, own, records, passwords, htpasswd, providers, grants, failDelay, people } = parts;
  const { BrowserSessions } = await import("./auth/browser-sessions.ts");
  const { LoginsUnderWay } = await import("./auth/logins-under-way.ts");
  const { PasswordSignIn } = await import("./auth/password-sign-in.ts");
  const { ProviderSignIn } = await import("./auth/provider-sign-in.ts");
  const { SessionAuthenticator: Authenticator } = await import("./auth/session-authenticator.ts");
  const { SessionList: List } = await import("./auth/session-list.ts");
  const { SessionRenewal } = await import("./auth/session-renewal.ts");
  const { SignIn: Ways } = await import("./auth/sign-in.ts");
  const hasDirectory = auth.ldap !== undefined;
  const sessions = await openSessions(auth, { records, clock });
  const browsers = new BrowserSessions({
    sessions,
    own,
    log,
    onSignIn: async ({ voucher, ...person }) => await people?.note({ ...person, ...methodOf(voucher) }),
  });
  const ways = new Ways({
    providers: new ProviderSignIn({ providers, logins: new LoginsUnderWay({ records, clock }), sessions: browsers, grants, own, log }),
    passwords:
      passwords &&
      new PasswordSignIn({
        checkPassword: (login, client, signal) => passwords.check(login, client, signal),
        htpasswd,
        hasDirectory,
        sessions: browsers,
        own,
        failDelay,
        clock,
        log,
      }),
    sessions: browsers,
    own,
    log,
  });
  const renewal = new SessionRenewal({ sessions, htpasswd, hasDirectory, providers: providers.map(({ name }) => name), grants, log });
  const dropApproved = async (user: string): Promise<void> => await dropConsents(user, records);
  const list = new List({ sessions, dropApproved, log });
  return {
    authenticator: new Authenticator({ sessions, renewal, own }),
    sessions,
    dropApproved,
    routes: {
      takes: (path) => ways.takes(path),
      handle: (request, visit) => ways.handle(request, visit),
      listSessions: (asked) => list.answer(asked),
      pageBehind: (visit) => own.pageBehind(visit),
      offer: (query) => ways.offer(query),
    },
  };
}

/** Ends the sessions of `user`, and what was approved for terminals and not fetched: how many there were; of everybody, uncounted, when that is undefined. Throws `ConfigError`, `RecordsUnavailable`. */
export async function endSessions(user: string | undefined, { auth, statePath, clock }: SessionsPlace): Promise<number | undefined> {
  const background = new Background(silentLog);
  await using records = await openRecords({ statePath, driver: auth.sessions.driver }, { clock, log: silentLog, background });
  const sessions = await openSessions(auth, { records, clock });
  if (user !== undefined) {
    const count = await sessions.revokeAll(user);
    // Whose sessions end approves nothing more; what he has approved, or whoever had a session of his, ends too.
    await dropConsents(user, records);
    return count;
  }
  await sessions.revokeEverybodys();
  return undefined;
}

interface SessionsPlace {
  readonly auth: Pick<ClientAuthConfig, "sessions">;
  readonly statePath: string;
  readonly clock: Clock;
}

async function openSessions(
  { sessions }: Pick<ClientAuthConfig, "sessions">,
  { records, clock }: { readonly records: Records; readonly clock: Clock },
): Promise<Sessions> {
  const { Sessions: All } = await import("./auth/sessions.ts");
  return new All({ records, clock, keys: await sessionKeysOf(sessions) });
}
