import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileRecords } from "../../src/auth/file-records.ts";
import { LoginRefused, ProviderUnavailable, type ProviderIdentity } from "../../src/auth/openid/provider.ts";
import { SessionRenewal, type SessionRenewalOptions } from "../../src/auth/session-renewal.ts";
import { Sessions, sessionLifeMs } from "../../src/auth/sessions.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { KeptLog } from "../support/kept-log.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const groupsTtlMs = 900_000;
const begun = { client: "192.0.2.1", userAgent: "Firefox", lifeMs: sessionLifeMs };
const ofProvider = { user: "alice", groups: ["dev"], by: "oidc" };

/** What a provider says to a refresh token, each of which is good for one use. */
class StrictProvider {
  readonly name = "oidc";
  readonly shown: string[] = [];
  next = "first";
  groups: readonly string[] = ["ops"];
  person = "alice";
  failure: Error | undefined;
  answering: Promise<void> = Promise.resolve();

  async refresh({ refreshToken }: { readonly refreshToken: Secret }): Promise<ProviderIdentity | "ended"> {
    const shown = refreshToken.reveal();
    this.shown.push(shown);
    await this.answering;
    if (this.failure) throw this.failure;
    if (shown !== this.next) return "ended";
    this.next = `${shown}+`;
    const { groups, person } = this;
    return {
      provider: "oidc",
      subject: "1",
      name: person,
      groups,
      email: undefined,
      emailVerified: undefined,
      refreshToken: new Secret(this.next),
      idToken: undefined,
    };
  }
}

let folder: TemporaryFolder;
let clock: TestClock;
let provider: StrictProvider;

beforeEach(async () => {
  folder = await temporaryFolder();
  clock = new TestClock();
  provider = new StrictProvider();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** One process: several share the folder. `look` is a request of the browser. */
function open(options: Partial<SessionRenewalOptions> = {}) {
  const records = new FileRecords({ folder: folder.path, clock, background: new Background(silentLog) });
  const sessions = new Sessions({ records, clock, keys: { hashKey: undefined, encryptKey: undefined } });
  const renewal = new SessionRenewal({
    sessions,
    htpasswd: undefined,
    hasDirectory: false,
    providers: [provider],
    groupsTtlMs,
    clock,
    log: silentLog,
    ...options,
  });
  const look = async (value: string): Promise<readonly string[] | undefined> => {
    const session = await sessions.find(value);
    return session && (await renewal.renew(session, value))?.groups;
  };
  return { sessions, look };
}

async function begin({ sessions }: ReturnType<typeof open>, refreshToken: string | undefined = "first"): Promise<string> {
  return (await sessions.open(ofProvider, { ...begun, tokens: { refreshToken, idToken: undefined } })).value;
}

describe("a session of a provider", () => {
  test("has the groups of its beginning until they are as old as they may be, then those of now, each asked for once", async () => {
    const here = open();
    const value = await begin(here);
    await clock.advance(groupsTtlMs - 1);
    expect(await here.look(value)).toEqual(["dev"]);
    expect(provider.shown).toEqual([]);
    await clock.advance(1);
    expect(await Promise.all(Array.from({ length: 10 }, () => here.look(value)))).toEqual(Array.from({ length: 10 }, () => ["ops"]));
    expect(provider.shown).toEqual(["first"]);
    await clock.advance(groupsTtlMs);
    expect(await here.look(value)).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first", "first+"]);
  });

  test("is asked for by one of two processes: a refresh token is good for one use", async () => {
    const [here, there] = [open(), open()];
    const value = await begin(here);
    const { promise, resolve } = Promise.withResolvers<void>();
    provider.answering = promise;
    await clock.advance(groupsTtlMs);
    const asking = here.look(value);
    await expect.poll(() => provider.shown).toEqual(["first"]);
    // The other one goes on with what it has, and hears of the answer by and by.
    expect(await there.look(value)).toEqual(["dev"]);
    resolve();
    expect(await asking).toEqual(["ops"]);
    await clock.advance(1_000);
    expect(await there.look(value)).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first"]);
  });

  test("goes on while the provider is away, which is asked again every half minute and has the last word", async () => {
    const here = open();
    const value = await begin(here);
    provider.failure = new ProviderUnavailable("oidc", "no answer");
    await clock.advance(groupsTtlMs);
    for (let at = 0; at < 5; at++) expect(await here.look(value)).toEqual(["dev"]);
    expect(provider.shown).toEqual(["first"]);
    await clock.advance(30_000);
    expect(await here.look(value)).toEqual(["dev"]);
    provider.failure = undefined;
    await clock.advance(30_000);
    expect(await here.look(value)).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first", "first", "first"]);
  });

  test("goes on by the newest refresh token where the provider failed after it had given it", async () => {
    const here = open();
    const value = await begin(here);
    provider.failure = new ProviderUnavailable("oidc", "no userinfo", { refreshToken: new Secret("second") });
    await clock.advance(groupsTtlMs);
    expect(await here.look(value)).toEqual(["dev"]);
    provider.failure = undefined;
    provider.next = "second";
    await clock.advance(30_000);
    expect(await here.look(value)).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first", "second"]);
  });

  test.each([
    ["knows that login no more", () => (provider.next = "another")],
    ["refuses the person", () => (provider.failure = new LoginRefused("disabled"))],
    ["calls the person by another name", () => (provider.person = "bob")],
  ])("is over once the provider %s", async (_, change) => {
    const [here, there] = [open(), open()];
    const value = await begin(here);
    change();
    await clock.advance(groupsTtlMs);
    expect(await here.look(value)).toBeUndefined();
    expect(await there.look(value)).toBeUndefined();
  });

  test("is over when who had its refresh token in hand has died: nobody can ask any more", async () => {
    const [here, there] = [open(), open()];
    const value = await begin(here);
    await here.sessions.takeTokens(value);
    await clock.advance(groupsTtlMs);
    expect(await there.look(value)).toEqual(["dev"]);
    await clock.advance(29_999);
    expect(await there.look(value)).toEqual(["dev"]);
    await clock.advance(1_000);
    expect(await there.look(value)).toBeUndefined();
  });

  test("keeps its groups where the provider gave nothing to ask by", async () => {
    const here = open();
    const { value } = await here.sessions.open(ofProvider, { ...begun, tokens: { refreshToken: undefined, idToken: "id" } });
    await clock.advance(groupsTtlMs);
    expect(await here.look(value)).toEqual(["dev"]);
    expect(provider.shown).toEqual([]);
  });

  test("is over when the provider is configured no more", async () => {
    const here = open();
    const value = await begin(here);
    expect(await open({ providers: [] }).look(value)).toBeUndefined();
  });

  test("says in the log why it goes on or is over, and tells no token", async () => {
    const log = new KeptLog();
    const here = open({ log });
    const value = await begin(here);
    provider.failure = new ProviderUnavailable("oidc", "no answer");
    await clock.advance(groupsTtlMs);
    await here.look(value);
    provider.failure = new LoginRefused("disabled");
    await clock.advance(30_000);
    await here.look(value);
    expect(log.lines).toEqual([
      'warn openid: a session\'s groups could not be asked for: it goes on with those it had {"provider":"oidc","user":"alice","problem":"openid provider oidc: no answer"}',
      'info a session is over {"user":"alice","by":"oidc","reason":"the provider says so"}',
    ]);
  });
});

describe("a session of a password", () => {
  test("lasts while the file says the same of it", async () => {
    let stamp: string | undefined = "one";
    const here = open({ htpasswd: { stampOf: () => stamp } });
    const { value } = await here.sessions.open({ user: "alice", groups: [], by: "htpasswd", stamp: "one" }, begun);
    expect(await here.look(value)).toEqual([]);
    stamp = "two";
    expect(await here.look(value)).toBeUndefined();
    stamp = "one";
    expect(await here.look(value)).toBeUndefined();
  });

  test.each(["htpasswd", "ldap"])("is over when there is no %s any more", async (by) => {
    const here = open();
    const { value } = await here.sessions.open({ user: "alice", groups: [], by, stamp: "one" }, begun);
    expect(await here.look(value)).toBeUndefined();
  });

  test("of a directory lasts while there is one", async () => {
    const here = open({ hasDirectory: true });
    const { value } = await here.sessions.open({ user: "alice", groups: ["dev"], by: "ldap" }, begun);
    expect(await here.look(value)).toEqual(["dev"]);
  });
});
