import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { hashSync } from "bcryptjs";
import type { Evidence, PasswordBackend, PasswordVerdict } from "../../src/auth/authenticator.ts";
import { basicHeader } from "../../src/auth/basic.ts";
import { Htpasswd } from "../../src/auth/htpasswd.ts";
import { openLdap, type Ldap } from "../../src/auth/ldap.ts";
import { Passwords, type LoginVerdict } from "../../src/auth/passwords.ts";
import { Background } from "../../src/oci/background.ts";
import type { Clock } from "../../src/oci/clock.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { requirePrograms } from "../support/programs.ts";
import { directoryBase, searcher, startSlapd, type Slapd } from "../support/slapd.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const never = new AbortController().signal;
const address = "192.0.2.1";
const line = (user: string, password: string, cost = 4): string => `${user}:${hashSync(password, cost)}`;
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Tells what reaches the file, and when it has answered. */
class RecordedHtpasswd extends Htpasswd {
  readonly asked: string[] = [];
  readonly verdicts: Promise<PasswordVerdict>[] = [];

  override verify(...[login, signal, how]: Parameters<Htpasswd["verify"]>): Promise<PasswordVerdict> {
    this.asked.push(`${login.user}:${login.password}`);
    const verdict = super.verify(login, signal, how);
    this.verdicts.push(verdict);
    return verdict;
  }
}

function arrange({
  lines,
  directory,
  clock = new TestClock(),
  budget = { perUser: 30, perAddress: 600 },
}: {
  lines?: readonly string[];
  directory?: PasswordBackend;
  clock?: Clock;
  budget?: { perUser: number; perAddress: number };
}) {
  const htpasswd = lines && new RecordedHtpasswd({ text: lines.join("\n"), path: "htpasswd", clock, log: silentLog });
  const passwords = new Passwords({ htpasswd, directory, budget, clock, background: new Background(silentLog) });
  closing.push(
    () => passwords.close(),
    async () => htpasswd?.[Symbol.asyncDispose](),
  );
  const check = (user: string, password: string, client = address): Promise<LoginVerdict> => passwords.check({ user, password }, client, never);
  const kinds = async (...logins: readonly (readonly [user: string, password: string])[]): Promise<readonly string[]> =>
    (await Promise.all(logins.map(([user, password]) => check(user, password)))).map(({ kind }) => kind);
  return { htpasswd, passwords, check, kinds };
}

function evidence(...authorization: readonly string[]): Evidence {
  return { authorization, client: address, userAgent: undefined, certificate: undefined };
}

const alice = basicHeader({ user: "alice", password: "one" });

describe("Basic authentication", () => {
  test.for([
    ["the right password", [alice], "admitted"],
    ["the right password in another spelling of the scheme", [alice.replace("Basic", "bAsIc  ")], "admitted"],
    ["a wrong one", [basicHeader({ user: "alice", password: "two" })], "refused"],
    ["an empty name", [basicHeader({ user: "", password: "pw" })], "refused"],
    ["no header", [], "none"],
    ["an empty name and an empty password", ["Basic Og=="], "none"],
    ["another scheme", ["Bearer abc"], "refused"],
    ["no base64", ["Basic %%%"], "refused"],
    ["no colon", ["Basic YWxpY2U="], "refused"],
    ["the right one twice", [alice, alice], "refused"],
  ] as const)("%s: %j is %s, then and when asked again", async ([, authorization, kind]) => {
    const { passwords } = arrange({ lines: [line("alice", "one")] });
    expect((await passwords.authenticate(evidence(...authorization), never)).kind).toBe(kind);
    expect((await passwords.authenticate(evidence(...authorization), never)).kind).toBe(kind);
    expect(passwords.recall(evidence(...authorization)) !== undefined).toBe(kind === "admitted" && authorization[0] === alice);
  });
});

describe("what was right a moment ago", () => {
  test("is recalled, the same principal each time, for a minute, and hashed again after it", async () => {
    const clock = new TestClock();
    const { passwords, htpasswd } = arrange({ lines: [line("alice", "one")], clock });
    expect(passwords.recall(evidence(alice))).toBeUndefined();
    const verdict = await passwords.authenticate(evidence(alice), never);
    const recalled = passwords.recall(evidence(alice));
    expect(recalled).toEqual({ name: "alice", groups: [], method: "htpasswd" });
    expect(verdict.kind === "admitted" && verdict.principal === recalled).toBe(true);
    await clock.advance(59_999);
    expect(passwords.recall(evidence(alice))).toBe(recalled);
    await clock.advance(1);
    expect(passwords.recall(evidence(alice))).toBeUndefined();
    await passwords.authenticate(evidence(alice), never);
    expect(htpasswd?.asked).toEqual(["alice:one", "alice:one"]);
  });

  test("is not recalled with a second header beside it", async () => {
    const { passwords } = arrange({ lines: [line("alice", "one")] });
    await passwords.authenticate(evidence(alice), never);
    expect(passwords.recall(evidence(alice, "Bearer x"))).toBeUndefined();
  });

  test("is forgotten at once when the file says otherwise, for those of whom it does", async () => {
    const [one, two] = [line("alice", "one"), line("bob", "two")];
    const { passwords, htpasswd, kinds } = arrange({ lines: [one, two] });
    const bob = basicHeader({ user: "bob", password: "two" });
    expect(await kinds(["alice", "one"], ["bob", "two"])).toEqual(["admitted", "admitted"]);
    htpasswd?.reload(one);
    expect(passwords.recall(evidence(bob))).toBeUndefined();
    expect(passwords.recall(evidence(alice))).toBeDefined();
    expect(await kinds(["bob", "two"])).toEqual(["refused"]);
    htpasswd?.reload("broken");
    expect(passwords.recall(evidence(alice))).toBeDefined();
  });

  test("is not remembered when the file changed while it was hashed", async () => {
    const { passwords, htpasswd, check } = arrange({ lines: [line("alice", "one", 8)] });
    const verdict = check("alice", "one");
    htpasswd?.reload(line("alice", "two"));
    await verdict;
    expect(passwords.recall(evidence(alice))).toBeUndefined();
  });

  test("however many show the same at once, from however many addresses, it is hashed once", async () => {
    const { htpasswd, check } = arrange({ lines: [line("alice", "one", 8)] });
    const verdicts = await Promise.all(Array.from({ length: 200 }, (_, index) => check("alice", "one", `192.0.2.${index % 50}`)));
    expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(["admitted"]));
    expect(htpasswd?.asked).toEqual(["alice:one"]);
  });

  test("one caller who leaves takes nobody along", async () => {
    const { passwords, check } = arrange({ lines: [line("alice", "one", 8)] });
    const leaving = new AbortController();
    const left = passwords.check({ user: "alice", password: "one" }, address, leaving.signal);
    const stayed = check("alice", "one");
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    expect((await stayed).kind).toBe("admitted");
  });
});

describe("brute force", () => {
  test("after 30 wrong passwords nobody looks at the next, right or wrong, until the minute is over; another address may", async () => {
    const clock = new TestClock();
    const { htpasswd, check } = arrange({ lines: [line("alice", "one")], clock });
    const verdicts: LoginVerdict[] = [];
    for (let guess = 0; guess < 40; guess++) verdicts.push(await check("alice", `guess${guess}`));
    expect(verdicts.map(({ kind }) => kind).lastIndexOf("refused")).toBe(29);
    expect(verdicts[30]).toEqual({ kind: "throttled", reason: `too many wrong passwords for "alice" from ${address}`, retryAfterMs: 60_000 });
    expect((await check("alice", "one")).kind).toBe("throttled");
    expect(htpasswd?.asked.length).toBe(30);
    expect((await check("alice", "one", "192.0.2.2")).kind).toBe("admitted");
    await clock.advance(60_000);
    expect((await check("alice", "guess")).kind).toBe("refused");
  });

  test("over the budget Basic is refused, not told to wait", async () => {
    const { passwords, check } = arrange({ lines: [line("alice", "one")], budget: { perUser: 1, perAddress: 600 } });
    await check("alice", "guess");
    expect((await passwords.authenticate(evidence(alice), never)).kind).toBe("refused");
  });

  test("a thousand wrong passwords at once reach the file thirty times, and whoever was here keeps nobody waiting and waits for nobody", async () => {
    const clock = new TestClock();
    const { htpasswd, check } = arrange({ lines: [line("alice", "one", 8), line("bob", "two", 8), line("carol", "three", 8)], clock });
    await check("bob", "two");
    await clock.advance(3_600_000);
    const guesses = Array.from({ length: 1_000 }, (_, index) => check("alice", `guess${index}`));
    let over = 0;
    for (const guess of guesses) void guess.then(() => over++);
    const known = await check("bob", "two").then((verdict) => ({ kind: verdict.kind, hashed: over - 970 }));
    expect(known.kind).toBe("admitted");
    expect(known.hashed).toBeLessThanOrEqual(3);
    const fromElsewhere = await check("carol", "three", "192.0.2.9").then((verdict) => ({ kind: verdict.kind, hashed: over - 970 }));
    expect(fromElsewhere.kind).toBe("admitted");
    expect(fromElsewhere.hashed).toBeLessThanOrEqual(6);
    await Promise.all(guesses);
    expect(htpasswd?.asked.filter((asked) => asked.startsWith("alice")).length).toBe(30);
  });

  test("what is remembered passes whatever the budgets say, and so does what was right within a day", async () => {
    const clock = new TestClock();
    const { check, passwords } = arrange({ lines: [line("alice", "one")], clock, budget: { perUser: 2, perAddress: 4 } });
    await check("alice", "one");
    for (let guess = 0; guess < 10; guess++) await check(`user${guess}`, "x");
    expect(passwords.recall(evidence(alice))).toBeDefined();
    await clock.advance(61_000);
    for (let guess = 0; guess < 10; guess++) await check(`user${guess}`, "x");
    expect((await check("alice", "one")).kind).toBe("admitted");
    expect((await check("bob", "x")).kind).toBe("throttled");
  });
});

const isAble = requirePrograms("slapd", "ldapmodify");

describe.runIf(isAble)("a directory and a file", () => {
  const aliceGroups = [`cn=dev,${directoryBase}`, "dev", `cn=a\\2C b,${directoryBase}`, "a, b"];
  let folder: TemporaryFolder;
  let slapd: Slapd;

  beforeAll(async () => {
    folder = await temporaryFolder();
    slapd = await startSlapd(folder.path);
  });
  afterAll(async () => {
    await slapd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  async function open(clock: Clock, { port } = slapd): Promise<Ldap> {
    const ldap = await openLdap({
      host: "127.0.0.1",
      port,
      transport: "plain",
      authority: undefined,
      skipVerify: false,
      baseDn: `ou=people,${directoryBase}`,
      userAttribute: "uid",
      userFilter: undefined,
      userGroupAttribute: "memberOf",
      mailAttribute: "mail",
      subtreeSearch: true,
      service: { dn: searcher.dn, password: new Secret(searcher.password) },
      clock,
      log: silentLog,
    });
    closing.push(() => ldap.close());
    return ldap;
  }

  test("either password admits who is in both, one of them who is in one", async () => {
    const { kinds } = arrange({ lines: [line("alice", "one"), line("carol", "three")], directory: await open(systemClock), clock: systemClock });
    expect(await kinds(["alice", "one"], ["alice", "alice-secret"], ["bob", "bob-secret"], ["carol", "three"])).toEqual([
      "admitted",
      "admitted",
      "admitted",
      "admitted",
    ]);
    expect(await kinds(["alice", "x"], ["nobody", "one"], ["carol", ""])).toEqual(["refused", "refused", "refused"]);
  });

  test("the directory's groups count, whichever of the two was faster", async () => {
    const slowFile = arrange({ lines: [line("alice", "alice-secret", 10)], directory: await open(systemClock), clock: systemClock });
    expect(await slowFile.check("alice", "alice-secret")).toMatchObject({ principal: { name: "alice", groups: aliceGroups } });
    await using slow = await startSlapd(folder.path);
    const clock = new TestClock();
    const slowDirectory = arrange({ lines: [line("alice", "alice-secret")], directory: await open(clock, slow), clock });
    slow.freeze();
    const verdict = slowDirectory.check("alice", "alice-secret");
    await slowDirectory.htpasswd?.verdicts[0];
    slow.goOn();
    expect(await verdict).toMatchObject({ principal: { name: "alice", groups: aliceGroups } });
  });

  test("a name that the file spells otherwise than the directory is the file's, whichever was faster", async () => {
    const { check } = arrange({ lines: [line("ALICE", "alice-secret", 8)], directory: await open(systemClock), clock: systemClock });
    expect(await check("ALICE", "alice-secret")).toMatchObject({ principal: { name: "ALICE", groups: aliceGroups } });
    expect(await check("Alice", "alice-secret")).toMatchObject({ principal: { name: "alice", groups: aliceGroups } });
  });

  test("a directory that is away: users of the file are admitted with the groups it last gave, those of the directory cannot be judged", async () => {
    await using mortal = await startSlapd(folder.path);
    const clock = new TestClock();
    const { check } = arrange({ lines: [line("alice", "one")], directory: await open(clock, mortal), clock });
    await check("alice", "alice-secret");
    await mortal[Symbol.asyncDispose]();
    const startMs = performance.now();
    expect(await check("alice", "one")).toMatchObject({ kind: "admitted", principal: { groups: aliceGroups } });
    expect((await check("bob", "bob-secret")).kind).toBe("unavailable");
    expect(performance.now() - startMs).toBeLessThan(2_000);
    await clock.advance(15 * 60_000);
    expect(await check("alice", "one")).toMatchObject({ kind: "admitted", principal: { groups: [] } });
  });

  test("a directory that hangs keeps users of the file waiting for less than 100 ms, and its late answer brings the groups", async () => {
    await using hanging = await startSlapd(folder.path);
    const clock = new TestClock();
    const { check, passwords, htpasswd } = arrange({ lines: [line("alice", "alice-secret")], directory: await open(clock, hanging), clock });
    hanging.freeze();
    let verdict: LoginVerdict | undefined;
    const waiting = check("alice", "alice-secret").then((given) => (verdict = given));
    // The hash takes what it takes; the wait begins after it.
    await htpasswd?.verdicts[0];
    await clock.advance(89);
    expect(verdict).toBeUndefined();
    await clock.advance(1);
    await waiting;
    expect(verdict).toMatchObject({ kind: "admitted", principal: { groups: [] } });
    hanging.goOn();
    const header = basicHeader({ user: "alice", password: "alice-secret" });
    while (passwords.recall(evidence(header))?.groups.length === 0) await new Promise(setImmediate);
    expect(passwords.recall(evidence(header))).toMatchObject({ name: "alice", groups: aliceGroups });
  });

  test("a directory that did not answer counts nobody out, and yet the file cannot be guessed at meanwhile", async () => {
    await using mortal = await startSlapd(folder.path);
    const clock = new TestClock();
    const { htpasswd, check } = arrange({ lines: [line("alice", "one")], directory: await open(clock, mortal), clock });
    await mortal[Symbol.asyncDispose]();
    await check("alice", "one");
    await clock.advance(61_000);
    const verdicts: LoginVerdict[] = [];
    for (let guess = 0; guess < 40; guess++) verdicts.push(await check("alice", `guess${guess}`));
    expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(["unavailable"]));
    expect(htpasswd?.asked.filter((asked) => asked.includes("guess")).length).toBe(30);
    // Who has been here is looked at all the same.
    expect((await check("alice", "one")).kind).toBe("admitted");
  });

  test("whoever kept trying while the directory was away is admitted once it is back", async () => {
    await using hanging = await startSlapd(folder.path);
    const clock = new TestClock();
    const { check } = arrange({ lines: [line("alice", "one")], directory: await open(clock, hanging), clock });
    hanging.freeze();
    const first = check("bob", "bob-secret");
    await clock.advance(3_000);
    expect((await first).kind).toBe("unavailable");
    for (let attempt = 0; attempt < 40; attempt++) expect((await check("bob", "bob-secret")).kind).toBe("unavailable");
    hanging.goOn();
    await clock.advance(5_000);
    expect((await check("bob", "bob-secret")).kind).toBe("admitted");
  });
});

test("what ends with the server is unavailable", async () => {
  const { passwords, check } = arrange({ lines: [line("alice", "one", 10)] });
  const verdict = check("alice", "one");
  passwords.close();
  expect((await verdict).kind).toBe("unavailable");
});
