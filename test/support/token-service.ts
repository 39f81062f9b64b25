/** Our token service by itself, behind a port, with a password file of one user and whatever policies a test wants. */
import { serve } from "@hono/node-server";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { hashSync } from "bcryptjs";
import { openAccounts } from "../../src/auth/accounts.ts";
import type { TellingPasswords } from "../../src/auth/authenticator.ts";
import { FailDelay } from "../../src/auth/fail-delay.ts";
import { Htpasswd } from "../../src/auth/htpasswd.ts";
import { OwnTokens } from "../../src/auth/own-tokens.ts";
import { Passwords } from "../../src/auth/passwords.ts";
import type { ProviderGrants } from "../../src/auth/provider-grants.ts";
import { RefreshTokens } from "../../src/auth/refresh-tokens.ts";
import { SigningKeys } from "../../src/auth/signing-keys.ts";
import { TokenService, type Grants } from "../../src/auth/token-service.ts";
import { Background } from "../../src/oci/background.ts";
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";

export interface OwnTokenService extends AsyncDisposable {
  readonly url: string;
  readonly realm: string;
  readonly issuer: string;
  readonly service: string;
  readonly keys: SigningKeys;
  /** Where its keys are kept. */
  readonly keyFolder: string;
  readonly htpasswd: Htpasswd;
  readonly refreshTokens: RefreshTokens;
  /** `GET /zot/auth/token?...`, as they came. */
  readonly requests: readonly string[];
}

export interface OwnTokenServiceOptions {
  /** Where it keeps its state. */
  readonly folder: string;
  readonly grants: Grants;
  /** Lines of the password file; see `passwordLine`. */
  readonly passwords: readonly string[];
  readonly clock?: Clock;
  readonly budget?: { readonly perUser: number; readonly perAddress: number };
  readonly names?: RegistryNames;
  readonly groups?: readonly string[];
  /** Passwords that are known by their look. */
  readonly telling?: readonly TellingPasswords[];
  /** What is kept of people of providers. */
  readonly providerGrants?: Pick<ProviderGrants, "check">;
}

/** A user of a password file, with a hash that costs next to nothing. */
export function passwordLine(user: string, password: string): string {
  return `${user}:${hashSync(password, 4)}`;
}

/** Starts one on a free port of 127.0.0.1. */
export async function startTokenService(options: OwnTokenServiceOptions): Promise<OwnTokenService> {
  const { folder, grants, passwords: lines, clock = systemClock, budget = { perUser: 0, perAddress: 0 }, groups = [], telling = [] } = options;
  const { providerGrants = { check: () => Promise.resolve({ kind: "over" }) } } = options;
  const names = options.names ?? new RegistryNames({ defaultNs: "docker.io", registries: [] });
  const [issuer, service, keyFolder] = ["https://registry.test", "registry.test", join(folder, "token-keys")];
  const keys = new SigningKeys({ folder: keyFolder, clock, log: silentLog });
  const htpasswd = new Htpasswd({ text: lines.join("\n"), path: "htpasswd", clock, log: silentLog });
  const passwords = new Passwords({ htpasswd, directory: undefined, telling, budget, clock, background: new Background(silentLog) });
  const refreshTokens = new RefreshTokens({ folder: join(folder, "refresh-tokens"), clock });
  const tokens = new TokenService({
    service,
    ownTokens: new OwnTokens({ issuer, service, keys, groupsThatCount: () => groups }),
    checkPassword: (login, client, signal) => passwords.check(login, client, signal),
    refresh: { tokens: refreshTokens, accounts: openAccounts({ htpasswd, directory: undefined, grants: providerGrants }) },
    grants,
    names: () => names,
    failDelay: new FailDelay({ delayMs: 0, clock }),
    clock,
    log: silentLog,
  });
  const requests: string[] = [];
  const { promise: listening, resolve } = Promise.withResolvers<AddressInfo>();
  const server = serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => {
        requests.push(`${request.method} ${new URL(request.url).pathname}${new URL(request.url).search}`);
        const authorization = request.headers.get("authorization");
        return tokens.handle(request, { authorization: authorization === null ? [] : [authorization], client: "127.0.0.1" });
      },
    },
    resolve,
  );
  const url = `http://127.0.0.1:${(await listening).port}`;
  return {
    url,
    realm: `${url}/zot/auth/token`,
    issuer,
    service,
    keys,
    keyFolder,
    htpasswd,
    refreshTokens,
    requests,
    async [Symbol.asyncDispose]() {
      await new Promise((done) => server.close(done));
      passwords.close();
      await htpasswd[Symbol.asyncDispose]();
    },
  };
}
