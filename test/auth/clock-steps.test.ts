/** The machine's clock is set back an hour, as whoever sets it right does: nobody is signed out, nobody comes in twice, and what was ended stays so. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ApiKeys } from "../../src/auth/api-keys.ts";
import { FileRecords } from "../../src/auth/file-records.ts";
import { loginLifeMs, LoginsUnderWay } from "../../src/auth/logins-under-way.ts";
import { People } from "../../src/auth/people.ts";
import { ProviderGrants } from "../../src/auth/provider-grants.ts";
import { SealingKeys } from "../../src/auth/sealing-keys.ts";
import { Sessions, sessionIdleMs, sessionLifeMs } from "../../src/auth/sessions.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { StrictProvider } from "../support/strict-provider.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const hourMs = 3_600_000;
const groupsTtlMs = 900_000;
const begun = { client: "192.0.2.1", userAgent: "Firefox", lifeMs: sessionLifeMs };
const ofFile = { user: "alice", groups: ["dev"], by: "htpasswd", stamp: "one" };

let folder: TemporaryFolder;
let clock: TestClock;
let background: Background;

beforeEach(async () => {
  folder = await temporaryFolder();
  clock = new TestClock();
  background = new Background(silentLog);
});
afterEach(async () => {
  await background.settled();
  await folder[Symbol.asyncDispose]();
});

const records = (): FileRecords => new FileRecords({ folder: folder.path, clock, background });
const openSessions = (): Sessions => new Sessions({ records: records(), clock, keys: { hashKey: undefined, encryptKey: undefined } });

test("a session goes on, in this process and in others, and is over by its own length later", async () => {
  const [here, there] = [openSessions(), openSessions()];
  const { value } = await here.open(ofFile, begun);
  clock.jump(-hourMs);
  for (const sessions of [here, there]) expect(await sessions.find(value)).toMatchObject({ user: "alice" });
  // It is used from now on, by the clock as it is now.
  for (let hour = 0; hour < 11; hour++) {
    await clock.advance(hourMs);
    expect(await there.find(value)).toBeDefined();
  }
  await clock.advance(2 * hourMs);
  expect(await there.find(value)).toBeUndefined();
});

test("a session that nobody uses ends an hour later at most", async () => {
  const sessions = openSessions();
  const { value } = await sessions.open(ofFile, begun);
  clock.jump(-hourMs);
  await clock.advance(sessionIdleMs + hourMs);
  expect(await sessions.find(value)).toBeUndefined();
});

test("sessions that were begun before everybody's are ended are over, though the clock says that they were begun later", async () => {
  const [here, there] = [openSessions(), openSessions()];
  const { value } = await here.open(ofFile, begun);
  clock.jump(-hourMs);
  await there.revokeEverybodys();
  await clock.advance(1_000);
  for (const sessions of [here, there]) expect(await sessions.find(value)).toBeUndefined();
  const later = await there.open(ofFile, begun);
  expect(await here.find(later.value)).toBeDefined();
});

test("sessions that begin after everybody's were ended are good, though the clock says that they began before", async () => {
  const [here, there] = [openSessions(), openSessions()];
  await there.revokeEverybodys();
  clock.jump(-hourMs);
  const { value } = await here.open(ofFile, begun);
  expect(await there.find(value)).toBeDefined();
  // What ended the others is remembered for as long as it makes a difference.
  await clock.advance(sessionLifeMs - 1);
  const { value: last } = await here.open(ofFile, begun);
  await clock.advance(2 * hourMs - 1);
  expect(await there.find(last)).toBeDefined();
});

test("groups that were asked for before are asked for anew no later than they would have been, also where somebody was just asking", async () => {
  const provider = new StrictProvider();
  const open = (): ProviderGrants => {
    const keys = new SealingKeys({ given: undefined, records: records(), clock });
    return new ProviderGrants({ providers: [provider], records: records(), keys, groupsTtlMs, onWord: () => {}, clock, log: silentLog });
  };
  const [here, there] = [open(), open()];
  await here.keep(provider.login("laptop"));
  await here.keep(provider.login("desktop"));
  clock.jump(-hourMs);
  await clock.advance(groupsTtlMs);
  const alice = { user: "alice", by: "oidc", subject: "1" };
  for (let at = 0; at < 2; at++) {
    expect(await here.check(alice)).toMatchObject({ kind: "holds", groups: ["ops"] });
    await clock.advance(1_000);
  }
  expect(provider.shown).toHaveLength(1);
  provider.answering = new Promise(() => {});
  provider.groups = ["new"];
  await clock.advance(groupsTtlMs);
  here.check(alice).catch(() => {}); // It never ends.
  await expect.poll(() => provider.shown).toHaveLength(2);
  provider.answering = Promise.resolve();
  clock.jump(-hourMs);
  expect(await there.check(alice)).toMatchObject({ kind: "holds", groups: ["new"] });
});

test("a login that was begun before ends after, once", async () => {
  const logins = new LoginsUnderWay({ records: records(), clock });
  const start = await logins.begin({ provider: "oidc", redirectUri: "https://registry.example.com/callback", callback: "/home" }, "192.0.2.1");
  if (!start) throw new Error("too many");
  clock.jump(-hourMs);
  await clock.advance(loginLifeMs - 1);
  const take = () => logins.take(start.login.state, "oidc", (name) => (name === start.cookie.name ? start.cookie.value : undefined));
  expect((await take()).kind).toBe("returned");
  expect((await take()).kind).toBe("refused");
});

test("a key that was made before is good, its use is noted, and it ends by the clock as it is", async () => {
  const keys = new ApiKeys({ records: records(), clock, background });
  const account = { owner: "alice", account: "htpasswd", label: "", creator: "", scope: undefined } as const;
  const { secret } = await keys.create({ ...account, expiresAtMs: clock.now() + 2 * hourMs });
  expect(await keys.find("alice", secret)).toBeDefined();
  await background.settled();
  clock.jump(-hourMs);
  await clock.advance(60_000);
  expect(await keys.find("alice", secret)).toBeDefined();
  await background.settled();
  expect((await keys.list("alice"))[0]?.usedAtMs).toBe(clock.now());
  await clock.advance(3 * hourMs);
  expect(await keys.find("alice", secret)).toBeUndefined();
});

test("who says something new is noted at once", async () => {
  const people = new People({ records: records(), clock });
  await people.note({ name: "alice", groups: ["dev"], method: "oidc" });
  clock.jump(-hourMs);
  await people.note({ name: "alice", groups: [], method: "oidc" });
  expect(await people.find("alice")).toMatchObject({ groups: [], seenAtMs: clock.now() });
});
