/** A terminal that asks to log in, and the person who lets it in: RFC 8628, by real records and a clock of the test's. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { ApiKeys, keysMax } from "../../src/auth/api-keys.ts";
import type { ApprovalVisit } from "../../src/auth/device-approvals.ts";
import { dropConsents } from "../../src/auth/device-consents.ts";
import { DeviceLogins } from "../../src/auth/device-logins.ts";
import type { DeviceVisit } from "../../src/auth/device-service.ts";
import { FileRecords } from "../../src/auth/file-records.ts";
import { OwnOrigin } from "../../src/auth/own-origin.ts";
import { People } from "../../src/auth/people.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { RecordsUnavailable, type RecordPath, type Records } from "../../src/auth/records.ts";
import { Sessions } from "../../src/auth/sessions.ts";
import { Background } from "../../src/oci/background.ts";
import { KeptLog } from "../support/kept-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const origin = "https://registry.example.com";
const alice: Principal = { name: "alice", groups: ["dev"], method: "htpasswd" };
const client_id = "ociregistry";
const grant_type = "urn:ietf:params:oauth:grant-type:device_code";
/** Of one field several times: its values. */
type Form = Readonly<Record<string, string | readonly string[]>>;

/** Records that cannot be had while `isAway`. */
class FlakyRecords extends FileRecords {
  isAway: (path: RecordPath) => boolean = () => false;
  onWrite: (path: RecordPath) => Promise<void> = async () => {};

  override async write(...call: Parameters<Records["write"]>): Promise<void> {
    if (this.isAway(call[0])) throw new RecordsUnavailable("test", new Error("away"));
    await super.write(...call);
    await this.onWrite(call[0]);
  }

  override async take(...call: Parameters<Records["take"]>): Promise<string | undefined> {
    if (this.isAway(call[0])) throw new RecordsUnavailable("test", new Error("away"));
    return await super.take(...call);
  }

  override async read(...call: Parameters<Records["read"]>): Promise<string | undefined> {
    if (this.isAway(call[0])) throw new RecordsUnavailable("test", new Error("away"));
    return await super.read(...call);
  }
}

async function setup() {
  const temporary = await temporaryFolder();
  closing.push(() => temporary[Symbol.asyncDispose]());
  const [clock, log] = [new TestClock(), new KeptLog()];
  const background = new Background(log);
  const folder = join(temporary.path, "records");
  const records = new FlakyRecords({ folder, clock, background });
  const strangers = new FlakyRecords({ folder, clock, background });
  closing.push(
    () => strangers[Symbol.asyncDispose](),
    () => records[Symbol.asyncDispose](),
  );
  const [keys, people] = [new ApiKeys({ records, clock, background }), new People({ records, clock })];
  const own = new OwnOrigin({ externalUrl: origin, secureSession: false, callbackAllowOrigins: [] });
  const standing: { stamp: string | undefined } = { stamp: "one" };
  const stampOf = async (): Promise<string | undefined> => standing.stamp;
  const start = (): DeviceLogins =>
    new DeviceLogins({ records, strangers, keys, strangersKeys: new ApiKeys({ records: strangers, clock, background }), stampOf, people, own, clock, log });
  let logins = start();
  const ask = async (path: string, form: Form, visit: Partial<DeviceVisit> = {}, method = "POST", type?: string) => {
    const body = new URLSearchParams();
    for (const [name, values] of Object.entries(form)) for (const value of [values].flat()) body.append(name, value);
    const request = new Request(`http://127.0.0.1/zot/auth/device${path}`, {
      method,
      ...(method === "POST" ? { body } : {}),
      headers: type === undefined ? {} : { "content-type": type },
    });
    const usual = { client: "10.0.0.7", origin: "http://127.0.0.1", pageOrigin: undefined, fetchSite: undefined, userAgent: "ociregistry/1.2.3" };
    const response = await logins.service.handle(request, { ...usual, ...visit });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> }; // Every answer of ours is an object.
  };
  const begin = async (form: Readonly<Record<string, string>> = {}) => {
    const { status, body } = await ask("", { client_id, host: "laptop", ...form });
    expect(status).toBe(200);
    return { deviceCode: String(body["device_code"]), userCode: String(body["user_code"]), body };
  };
  const poll = async (device_code: string) => {
    const { status, body } = await ask("/token", { client_id, grant_type, device_code });
    return { status, error: body["error"], body };
  };
  const decide = (user_code: string, decision: string, { principal = alice, ...visit }: Partial<ApprovalVisit> = {}) => {
    const body = new URLSearchParams({ user_code, decision });
    const request = new Request("http://127.0.0.1/home/device", { method: "POST", body });
    const usual = { client: "10.0.0.9", origin, pageOrigin: origin, fetchSite: "same-origin" };
    return logins.approvals.decide(request, { ...usual, ...visit, principal });
  };
  const find = (typed: string, principal = alice, visit: Partial<ApprovalVisit> = {}) =>
    logins.approvals.find(typed, { client: "10.0.0.9", origin, pageOrigin: undefined, fetchSite: "none", ...visit, principal });
  return { clock, log, records, strangers, standing, folder, keys, people, ask, begin, poll, decide, find, restart: () => (logins = start()) };
}

/** All that lies in the records, names included. */
async function textsIn(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = await Promise.all(entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => readFile(join(parentPath, name), "utf8")));
  return [...entries.map(({ name }) => name), ...texts].join("\n");
}

test("a terminal gets a code, somebody approves it, and the terminal gets a key that is a password of his, once", async () => {
  const at = await setup();
  const { status, headers, body } = await at.ask("", { client_id, host: "laptop" });
  expect([status, headers.get("cache-control")]).toEqual([200, "no-store"]);
  expect(body).toEqual({
    device_code: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
    user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
    verification_uri: `${origin}/home/device`,
    verification_uri_complete: `${origin}/home/device?user_code=${String(body["user_code"])}`,
    expires_in: 600,
    interval: 5,
  });
  const [deviceCode, userCode] = [String(body["device_code"]), String(body["user_code"])];
  expect(await at.poll(deviceCode)).toMatchObject({ status: 400, error: "authorization_pending" });
  expect(await at.find(userCode)).toEqual({
    kind: "waiting",
    code: userCode,
    grant: {
      label: "login on laptop",
      host: "laptop",
      program: "ociregistry/1.2.3",
      client: "10.0.0.7",
      askedAtMs: at.clock.now(),
      untilMs: at.clock.now() + 600_000,
      keyLifeMs: 90 * 86_400_000,
      isReadOnly: false,
    },
  });
  expect((await at.decide(userCode, "approve")).kind).toBe("approved");
  await at.clock.advance(5_000);
  const got = await at.poll(deviceCode);
  expect([got.status, got.body]).toEqual([
    200,
    {
      access_token: expect.stringMatching(/^zak_[0-9a-f]{32}$/),
      token_type: "Basic",
      expires_in: 90 * 86_400,
      username: "alice",
      key_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    },
  ]);
  const secret = String(got.body["access_token"]);
  expect(await at.keys.find("alice", secret)).toMatchObject({
    label: "login on laptop",
    account: "htpasswd",
    voucher: { by: "htpasswd" },
    scope: undefined,
    creator: "ociregistry/1.2.3",
  });
  expect((await at.people.find("alice"))?.groups).toEqual(["dev"]);
  await at.clock.advance(5_000);
  expect(await at.poll(deviceCode)).toMatchObject({ status: 400, error: "invalid_grant" });
  expect(await at.keys.list("alice")).toHaveLength(1);
  for (const told of [at.log.lines.join("\n"), await textsIn(at.folder)])
    for (const code of [deviceCode, userCode, userCode.replace("-", ""), secret]) expect(told).not.toContain(code);
});

test("codes are typed in any case, with and without what stands between them", async () => {
  const at = await setup();
  const { userCode } = await at.begin();
  const bare = userCode.replace("-", "");
  for (const typed of [
    userCode.toLowerCase(),
    bare,
    ` ${bare.slice(0, 2)} ${bare.slice(2)} `,
    bare.split("").join("."),
    `${bare.slice(0, 4)}–${bare.slice(4)}`,
  ])
    expect([typed, (await at.find(typed)).kind]).toEqual([typed, "waiting"]);
  for (const typed of ["", bare.slice(1), `${bare}B`, bare.replace(/^./, "A"), "x".repeat(1_000)])
    expect([typed, (await at.find(typed)).kind]).toEqual([typed, "unknown"]);
});

test("what is refused is told the terminal once, and is over", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  expect((await at.decide(userCode, "refuse")).kind).toBe("refused");
  expect((await at.decide(userCode, "approve")).kind).toBe("unknown");
  expect(await at.poll(deviceCode)).toMatchObject({ status: 400, error: "access_denied" });
  await at.clock.advance(5_000);
  expect((await at.poll(deviceCode)).error).toBe("invalid_grant");
  expect(await at.keys.list(undefined)).toEqual([]);
});

test("a code that nobody has decided within ten minutes is over, and later is unknown", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  await at.clock.advance(599_999);
  expect((await at.find(userCode)).kind).toBe("waiting");
  await at.clock.advance(1);
  expect([(await at.find(userCode)).kind, (await at.decide(userCode, "approve")).kind]).toEqual(["unknown", "unknown"]);
  expect((await at.poll(deviceCode)).error).toBe("expired_token");
  await at.clock.advance(600_000);
  expect((await at.poll(deviceCode)).error).toBe("invalid_grant");
});

test("who approves in the last second has not done so in vain", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  await at.clock.advance(599_999);
  expect((await at.decide(userCode, "approve")).kind).toBe("approved");
  await at.clock.advance(5_000);
  expect((await at.poll(deviceCode)).status).toBe(200);
});

test("a decision that cannot be kept is none: when it can, the same code is decided", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  for (const decision of ["approve", "refuse"]) {
    at.records.isAway = ([kind]) => kind === "device-verdicts";
    expect((await at.decide(userCode, decision)).kind).toBe("unavailable");
    at.records.isAway = () => false;
    expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
    await at.clock.advance(5_000);
  }
  expect((await at.decide(userCode, "approve")).kind).toBe("approved");
  expect((await at.poll(deviceCode)).status).toBe(200);
  await at.clock.advance(600_000);
  expect((await at.find(userCode)).kind).toBe("unknown");
});

test("a code is good for no longer because the clock is set back", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  at.clock.jump(-30_000);
  expect((await at.find(userCode)).kind).toBe("waiting");
  at.clock.jump(-3_600_000);
  expect([(await at.find(userCode)).kind, (await at.decide(userCode, "approve")).kind]).toEqual(["unknown", "unknown"]);
  expect((await at.poll(deviceCode)).error).toBe("invalid_grant");
});

test("of many who decide at once one does", async () => {
  const at = await setup();
  const { userCode } = await at.begin();
  const decided = await Promise.all(Array.from({ length: 10 }, (_, index) => at.decide(userCode, index % 2 === 0 ? "approve" : "refuse")));
  expect(decided.filter(({ kind }) => kind !== "unknown")).toHaveLength(1);
});

test("of many polls at once, each at another process, one gets the key", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  await at.decide(userCode, "approve");
  const polls = await Promise.all(
    Array.from({ length: 10 }, () => {
      at.restart();
      return at.poll(deviceCode);
    }),
  );
  expect(polls.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(polls.filter(({ error }) => error === "invalid_grant")).toHaveLength(9);
  expect(await at.keys.list("alice")).toHaveLength(1);
});

test("who polls too soon is slowed down by five seconds each time, and is told nothing else meanwhile", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
  await at.clock.advance(1_000);
  expect((await at.poll(deviceCode)).error).toBe("slow_down");
  await at.decide(userCode, "approve");
  await at.clock.advance(8_000);
  expect((await at.poll(deviceCode)).error).toBe("slow_down");
  await at.clock.advance(15_000);
  expect((await at.poll(deviceCode)).status).toBe(200);
});

test.each([
  ["another client", { client_id: "other" }, "invalid_client"],
  ["no client", { client_id: "" }, "invalid_request"],
  ["a scope that is none", { client_id, scope: "admin" }, "invalid_scope"],
  ["a label of two lines", { client_id, label: "a\nb" }, "invalid_request"],
  ["a label that turns round what it stands beside", { client_id, label: "a\u202Eb" }, "invalid_request"],
  ["a label of too many characters", { client_id, label: "x".repeat(101) }, "invalid_request"],
  ["a host with what cannot be seen", { client_id, host: "a\u200Bb" }, "invalid_request"],
  ["a label of spaces", { client_id, label: "   " }, "invalid_request"],
  ["a host of marks on nothing", { client_id, host: "\u0301" }, "invalid_request"],
  ["a life that is too short", { client_id, key_expires_in: "599" }, "invalid_request"],
  ["a life that is too long", { client_id, key_expires_in: String(400 * 86_400 + 1) }, "invalid_request"],
  ["a life that is none", { client_id, key_expires_in: "-1" }, "invalid_request"],
  ["something twice", { client_id, host: ["a", "b"] }, "invalid_request"],
])("%s is refused before anything is kept", async (_, form, error) => {
  const at = await setup();
  expect(await at.ask("", form)).toMatchObject({ status: 400, body: { error, errors: [{ code: "REQUEST_INVALID" }] } });
  expect(await textsIn(at.folder).catch(() => "nothing")).toBe("nothing");
});

test.each(["\u3164", "\u115F", "\uFFA0", "\u034F", "\uFE0F", "\u2800", "\u{E0100}"])("a host with %j, which shows as nothing, is refused", async (unseen) => {
  const at = await setup();
  expect(await at.ask("", { client_id, host: `a${unseen}b` })).toMatchObject({ status: 400, body: { error: "invalid_request" } });
});

test.each([
  ["no grant type", { client_id, device_code: "x" }, "invalid_request"],
  ["another grant type", { client_id, grant_type: "password", device_code: "x" }, "unsupported_grant_type"],
  ["another client", { client_id: "other", grant_type, device_code: "x" }, "invalid_client"],
  ["no code", { client_id, grant_type }, "invalid_request"],
  ["what is no code", { client_id, grant_type, device_code: "../../x" }, "invalid_grant"],
  ["a code that was never given", { client_id, grant_type, device_code: "A".repeat(43) }, "invalid_grant"],
])("a poll with %s is answered in the words of OAuth 2.0", async (_, form, error) => {
  const at = await setup();
  expect(await at.ask("/token", form)).toMatchObject({ status: 400, body: { error } });
});

test("only forms, by POST, and from no other site's page", async () => {
  const at = await setup();
  expect((await at.ask("", {}, {}, "GET")).status).toBe(405);
  for (const foreign of [{ pageOrigin: "https://evil.example" }, { fetchSite: "cross-site" }])
    expect((await at.ask("", { client_id }, foreign)).status).toBe(403);
  expect((await at.ask("", { client_id, pad: "x".repeat(70_000) })).status).toBe(413);
  expect((await at.ask("", { client_id }, {}, "POST", "application/json")).status).toBe(400);
});

test("a key lives as long as was asked for, is called as was asked for, and only pulls if that was asked for", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin({ label: "build farm", key_expires_in: "86400", scope: "read" });
  await at.decide(userCode, "approve");
  const { body } = await at.poll(deviceCode);
  expect(body).toMatchObject({ expires_in: 86_400, scope: "read" });
  const [key] = await at.keys.list("alice");
  expect(key).toMatchObject({ label: "build farm", expiresAtMs: at.clock.now() + 86_400_000 });
  expect([...(key?.scope?.actions ?? [])].toSorted()).toEqual(["fetch", "read"]);
});

test.each([
  ["a key", { method: "apikey" }],
  ["a token", { method: "token" }],
  ["a provider's token", { method: "oidc" }],
  ["a session whose access is narrowed", { method: "session", access: [] }],
] as const)("%s lets no terminal in, and is not told which codes there are", async (_, shown) => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  const principal: Principal = { ...alice, ...shown };
  expect((await at.find(userCode, principal)).kind).toBe("denied");
  expect((await at.decide(userCode, "approve", { principal })).kind).toBe("denied");
  expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
});

test.each([
  ["another site's page, by its origin", { pageOrigin: "https://evil.example", fetchSite: undefined }],
  ["another site's page, by the browser's word", { fetchSite: "cross-site" }],
  ["a sibling's page", { fetchSite: "same-site" }],
  ["no page at all", { pageOrigin: undefined, fetchSite: undefined }],
])("%s decides nothing, whoever it asks as", async (_, visit) => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  for (const decision of ["approve", "refuse"]) expect((await at.decide(userCode, decision, visit)).kind).toBe("denied");
  expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
});

test("what is neither to approve nor to refuse decides nothing", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  expect(await at.decide(userCode, "maybe")).toMatchObject({ kind: "unread", status: 400 });
  expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
});

test("guessing codes ends for who guesses, at once and one after the other; others go on, and so does he ten minutes later", async () => {
  const at = await setup();
  const { userCode } = await at.begin();
  for (let right = 0; right < 30; right++) expect((await at.find(userCode)).kind).toBe("waiting");
  const guesses = await Promise.all(Array.from({ length: 50 }, () => at.find("BCDF-BCDF")));
  expect(guesses.filter(({ kind }) => kind === "unknown")).toHaveLength(20);
  expect(guesses.filter(({ kind }) => kind === "throttled")).toHaveLength(30);
  expect([(await at.find(userCode)).kind, (await at.decide(userCode, "approve")).kind]).toEqual(["throttled", "throttled"]);
  expect((await at.find(userCode, { ...alice, name: "bob" })).kind).toBe("waiting");
  await at.clock.advance(590_000);
  const later = await at.begin();
  await at.clock.advance(10_000);
  expect((await at.find(later.userCode)).kind).toBe("waiting");
});

test("a page of another site that makes a browser ask uses up nobody's guesses, and learns nothing", async () => {
  const at = await setup();
  const { userCode } = await at.begin();
  for (const visit of [{ fetchSite: "cross-site" }, { fetchSite: "same-site" }, { fetchSite: undefined, pageOrigin: "https://evil.example" }])
    for (const typed of [...Array.from({ length: 20 }, () => "BCDF-BCDF"), userCode]) expect((await at.find(typed, alice, visit)).kind).toBe("unasked");
  expect((await at.find(userCode)).kind).toBe("waiting");
  expect((await at.find("BCDF-BCDF")).kind).toBe("unknown");
});

test("guessing by many ends for all, until ten minutes are over", async () => {
  const at = await setup();
  const { userCode } = await at.begin();
  const guess = (round: number) => at.find("BCDF-BCDF", { ...alice, name: `guesser ${round % 200}` });
  let unknown = 0;
  for (let round = 0; round < 2_010; round++) if ((await guess(round)).kind === "unknown") unknown++;
  expect(unknown).toBe(2_000);
  expect((await at.find(userCode)).kind).toBe("throttled");
});

test("one address begins a hundred in ten minutes, others meanwhile as they like", async () => {
  const at = await setup();
  for (let begun = 0; begun < 100; begun++) await at.begin();
  const over = await at.ask("", { client_id });
  expect([over.status, Number(over.headers.get("retry-after"))]).toEqual([429, 600]);
  expect((await at.ask("", { client_id }, { client: "::ffff:10.0.0.7" })).status).toBe(429);
  expect((await at.ask("", { client_id }, { client: "10.0.0.8" })).status).toBe(200);
  await at.clock.advance(600_000);
  expect((await at.ask("", { client_id })).status).toBe(200);
});

test("six hundred terminals behind one address may ask in a minute, others meanwhile as they like; and so with keys that are given up", async () => {
  const at = await setup();
  const { deviceCode } = await at.begin();
  const questions = [
    ["/token", { client_id, grant_type, device_code: "A".repeat(43) }, "slow_down", 400],
    ["/revoke", { username: "alice", token: "zak_00000000000000000000000000000000" }, "slow_down", 200],
  ] as const;
  for (const [path, form, error, usual] of questions) {
    for (let asked = 0; asked < 600; asked++) expect((await at.ask(path, form)).status).toBe(usual);
    const over = await at.ask(path, form);
    expect([over.status, over.body["error"], Number(over.headers.get("retry-after"))]).toEqual([429, error, 60]);
    expect((await at.ask(path, form, { client: "10.0.0.8" })).status).toBe(usual);
  }
  await at.clock.advance(60_000);
  expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
});

test("what strangers ask is read and written beside what keys and sessions are read by, and what is no key is not looked for", async () => {
  const at = await setup();
  at.records.isAway = () => true;
  const { deviceCode } = await at.begin();
  expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
  const token = "zak_00000000000000000000000000000000";
  expect((await at.ask("/revoke", { username: "alice", token })).status).toBe(200);
  at.strangers.isAway = () => true;
  expect((await at.ask("/revoke", { username: "alice", token: `${token}0` })).status).toBe(200);
  expect((await at.ask("/revoke", { username: "alice", token })).status).toBe(503);
  expect((await at.poll("A".repeat(43))).error).toBe("temporarily_unavailable");
});

test("a process that begins anew goes on with what terminals asked the one before", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  at.restart();
  await at.decide(userCode, "approve");
  at.restart();
  expect((await at.poll(deviceCode)).status).toBe(200);
});

test("who has as many keys as one may have is told so where he approves, and the terminal goes on waiting", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  const made = [];
  for (let count = 0; count < keysMax; count++)
    made.push(
      (
        await at.keys.create({
          owner: "alice",
          account: "htpasswd",
          voucher: { by: "htpasswd" },
          label: "x",
          expiresAtMs: undefined,
          scope: undefined,
          creator: "test",
        })
      ).key,
    );
  expect((await at.decide(userCode, "approve")).kind).toBe("too many keys");
  expect((await at.poll(deviceCode)).error).toBe("authorization_pending");
  await at.keys.revoke("alice", made[0]?.id ?? "");
  expect((await at.decide(userCode, "approve")).kind).toBe("approved");
});

test("a key that cannot be kept is 503, and the terminal gets it when it asks again", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  await at.decide(userCode, "approve");
  at.strangers.isAway = ([kind]) => kind === "api-keys" || kind === "api-key-owners";
  const away = await at.poll(deviceCode);
  expect([away.status, away.error]).toEqual([503, "temporarily_unavailable"]);
  at.strangers.isAway = () => false;
  await at.clock.advance(5_000);
  expect((await at.poll(deviceCode)).status).toBe(200);
  expect(await at.keys.list("alice")).toHaveLength(1);
});

test("while nothing can be kept no terminal begins, nobody decides, and both are told so", async () => {
  const at = await setup();
  const { userCode } = await at.begin();
  at.records.isAway = at.strangers.isAway = () => true;
  const away = await at.ask("", { client_id });
  expect([away.status, away.headers.get("retry-after")]).toEqual([503, "5"]);
  for (let asked = 0; asked < 30; asked++) expect((await at.decide(userCode, "refuse")).kind).toBe("unavailable");
  expect(at.log.lines).toEqual([expect.stringContaining("a terminal asks to log in")]);
  // A right code that nobody could look up was no wrong one.
  at.records.isAway = () => false;
  expect((await at.decide(userCode, "refuse")).kind).toBe("refused");
});

test("whoever has a key ends it, and only with its owner's name; what is no key is ended already", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  await at.decide(userCode, "approve");
  const token = String((await at.poll(deviceCode)).body["access_token"]);
  for (const form of [
    { username: "bob", token },
    { username: "alice", token: "zak_00000000000000000000000000000000" },
    { username: "alice", token: "../x" },
  ]) {
    expect((await at.ask("/revoke", form)).status).toBe(200);
    expect(await at.keys.list("alice")).toHaveLength(1);
  }
  expect((await at.ask("/revoke", { username: "alice" })).status).toBe(400);
  expect((await at.ask("/revoke", { username: "alice", token })).status).toBe(200);
  expect(await at.keys.find("alice", token)).toBeUndefined();
});

test.each([
  ["whose approvals an operator has ended", (at: At) => dropConsents("alice", at.records)],
  ["whose password is another", (at: At) => Object.assign(at.standing, { stamp: "two" })],
  ["whom nobody vouches for any more", (at: At) => Object.assign(at.standing, { stamp: undefined })],
  ["whose sessions ended with everybody's", (at: At) => new Sessions({ ...at, keys: { hashKey: undefined, encryptKey: undefined } }).revokeEverybodys()],
])("a terminal that somebody let in %s meanwhile gets no key", async (_, revoke) => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  expect((await at.decide(userCode, "approve")).kind).toBe("approved");
  await revoke(at);
  expect(await at.poll(deviceCode)).toMatchObject({ status: 400, error: "access_denied" });
  expect(await at.keys.list("alice")).toEqual([]);
  await at.clock.advance(5_000);
  expect((await at.poll(deviceCode)).error).toBe("invalid_grant");
});

test("a key that is being made while its approval is ended is given to nobody", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  await at.decide(userCode, "approve");
  at.strangers.onWrite = async ([kind]) => {
    if (kind === "api-keys") await dropConsents("alice", at.records);
  };
  expect((await at.poll(deviceCode)).error).toBe("access_denied");
  expect(await at.keys.list("alice")).toEqual([]);
});

test("what others have had ended ends nobody else's approval", async () => {
  const at = await setup();
  const { deviceCode, userCode } = await at.begin();
  await at.decide(userCode, "approve");
  await dropConsents("bob", at.records);
  expect((await at.poll(deviceCode)).status).toBe(200);
});

type At = Awaited<ReturnType<typeof setup>>;
