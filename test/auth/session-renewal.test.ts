import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileRecords } from "../../src/auth/file-records.ts";
import { LoginRefused } from "../../src/auth/openid/provider.ts";
import { ProviderGrants } from "../../src/auth/provider-grants.ts";
import { SealingKeys } from "../../src/auth/sealing-keys.ts";
import { SessionRenewal, type SessionRenewalOptions } from "../../src/auth/session-renewal.ts";
import { Sessions, sessionLifeMs } from "../../src/auth/sessions.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { KeptLog } from "../support/kept-log.ts";
import { StrictProvider } from "../support/strict-provider.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const groupsTtlMs = 900_000;
const begun = { client: "192.0.2.1", userAgent: "Firefox", lifeMs: sessionLifeMs };

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
  const keys = new SealingKeys({ given: undefined, records, clock });
  const grants = new ProviderGrants({ providers: [provider], records, keys, groupsTtlMs, onWord: () => {}, clock, log: silentLog });
  const renewal = new SessionRenewal({ sessions, htpasswd: undefined, hasDirectory: false, providers: ["oidc"], grants, log: silentLog, ...options });
  const find = async (value: string) => {
    const session = await sessions.find(value);
    return session && (await renewal.renew(session, value));
  };
  const look = async (value: string): Promise<readonly string[] | undefined> => (await find(value))?.principal.groups;
  return { sessions, grants, find, look };
}

/** Signs in. */
async function begin({ sessions, grants }: ReturnType<typeof open>, refreshToken: string | undefined): Promise<string> {
  const { name, groups, provider: by, subject, ...identity } = provider.login(refreshToken);
  const stamp = await grants.keep({ name, groups, provider: by, subject, ...identity });
  return (await sessions.open({ user: name, groups, by, subject, stamp }, begun)).value;
}

describe("a session of a provider", () => {
  test("has the groups that the provider gives by now, like every other of that person, for one question", async () => {
    const [here, there] = [open(), open()];
    const [laptop, desktop] = [await begin(here, "laptop"), await begin(there, "desktop")];
    await clock.advance(groupsTtlMs - 1);
    expect([await here.look(laptop), await there.look(desktop)]).toEqual([["dev"], ["dev"]]);
    await clock.advance(1);
    expect(await here.look(laptop)).toEqual(["ops"]);
    await clock.advance(1_000);
    expect([await there.look(desktop), await there.look(laptop)]).toEqual([["ops"], ["ops"]]);
    expect(provider.shown).toHaveLength(1);
  });

  test("stands for the same principal while its groups are the same", async () => {
    const here = open();
    const value = await begin(here, "first");
    const first = await here.find(value);
    await clock.advance(groupsTtlMs);
    const second = await here.find(value);
    expect(second?.principal).toEqual({ name: "alice", groups: ["ops"], method: "session", voucher: { by: "oidc", subject: "1" } });
    for (let at = 0; at < 3; at++) {
      await clock.advance(groupsTtlMs);
      expect((await here.find(value))?.principal).toBe(second?.principal);
    }
    expect(first?.principal).not.toBe(second?.principal);
  });

  test("goes on when another of that person is ended here", async () => {
    const here = open();
    const [laptop, desktop] = [await begin(here, "laptop"), await begin(here, "desktop")];
    await here.sessions.end(desktop);
    await clock.advance(groupsTtlMs);
    expect(await here.look(laptop)).toEqual(["ops"]);
    expect(await here.look(desktop)).toBeUndefined();
  });

  test("is over once the provider says so, whichever process hears of it, and a later one of that person brings it back in none", async () => {
    const [here, there] = [open(), open()];
    const [visited, unvisited] = [await begin(here, "first"), await begin(there, "second")];
    await clock.advance(groupsTtlMs);
    provider.failure = new LoginRefused("disabled");
    expect(await here.look(visited)).toBeUndefined();
    provider.failure = undefined;
    const later = await begin(there, "third");
    expect(await there.look(later)).toEqual(["dev"]);
    for (const { look } of [here, there]) for (const value of [visited, unvisited]) expect(await look(value)).toBeUndefined();
  });

  test("keeps its groups where the provider gave nothing to ask by", async () => {
    const here = open();
    const value = await begin(here, undefined);
    await clock.advance(groupsTtlMs);
    expect(await here.look(value)).toEqual(["dev"]);
    expect(provider.shown).toEqual([]);
  });

  test("is over when the provider is configured no more, and the log says so", async () => {
    const here = open();
    const value = await begin(here, "first");
    const log = new KeptLog();
    expect(await open({ providers: [], log }).look(value)).toBeUndefined();
    expect(log.lines).toEqual(['info a session is over {"user":"alice","by":"oidc","reason":"there is no such provider any more"}']);
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
