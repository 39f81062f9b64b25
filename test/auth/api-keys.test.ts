/** API keys: what is kept of them and what not, whom they let in, and when that ends; over records in real files. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ApiKeys, keysMax, looksLikeKey, namesakesKeysMax, TooManyKeys } from "../../src/auth/api-keys.ts";
import type { StoredKey } from "../../src/auth/api-key-records.ts";
import type { PasswordBackend, PasswordVerdict } from "../../src/auth/authenticator.ts";
import { FileRecords } from "../../src/auth/file-records.ts";
import { Htpasswd } from "../../src/auth/htpasswd.ts";
import { KeyLogins } from "../../src/auth/key-logins.ts";
import { readKeyScope } from "../../src/auth/key-scope.ts";
import { Passwords, type LoginVerdict } from "../../src/auth/passwords.ts";
import { methodOf, People, personLifeMs } from "../../src/auth/people.ts";
import type { Principal, Voucher } from "../../src/auth/principal.ts";
import { userKeyOf } from "../../src/auth/user-key.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { KeptLog } from "../support/kept-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { passwordLine } from "../support/token-service.ts";

const day = 86_400_000;
const never = new AbortController().signal;
const unknownKey = `zak_${"0".repeat(32)}`;
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const order = (more: Partial<StoredKey> = {}): Omit<StoredKey, "createdAtMs"> => ({
  owner: "alice",
  account: "service",
  label: "laptop",
  expiresAtMs: undefined,
  scope: undefined,
  creator: "a test",
  ...more,
});

async function setup() {
  const temporary = await temporaryFolder();
  closing.push(() => temporary[Symbol.asyncDispose]());
  const folder = join(temporary.path, "records");
  const clock = new TestClock();
  const background = new Background(silentLog);
  /** One more process of the same registry. */
  const open = () => {
    const records = new FileRecords({ folder, clock, background });
    closing.push(() => records[Symbol.asyncDispose]());
    return { keys: new ApiKeys({ records, clock, background }), people: new People({ records, clock }) };
  };
  const files = async (): Promise<readonly string[]> => {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  };
  return { folder, clock, background, open, files, ...open() };
}

describe("a key", () => {
  test("is zot's in form, and no two are the same", async () => {
    const { keys } = await setup();
    const made = [await keys.create(order()), await keys.create(order())];
    for (const { secret } of made) expect(secret).toMatch(/^zak_[0-9a-f]{32}$/);
    expect(new Set(made.map(({ secret }) => secret)).size).toBe(2);
    expect(new Set(made.map(({ key }) => key.id)).size).toBe(2);
    expect(made[0]?.key.id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });

  test.each([
    ["zak_", false],
    [`zak_${"a".repeat(31)}`, false],
    [`zak_${"A".repeat(32)}`, false],
    [`${unknownKey}\n`, false],
    [unknownKey, true],
  ])("%j looks like one: %s", (password, looks) => expect(looksLikeKey(password)).toBe(looks));

  test("stands in no file, nor in the name of one: only its hash does", async () => {
    const { keys, background, files } = await setup();
    const { secret } = await keys.create(order());
    await keys.find("alice", secret);
    await background.settled();
    const texts = await Promise.all((await files()).map(async (file) => `${file}\n${await readFile(file, "utf8")}`));
    expect(texts).toHaveLength(3);
    expect(texts.join("\n")).not.toContain(secret.slice(4));
  });

  test("is known to every process, by its owner's name and no other", async () => {
    const { keys, open } = await setup();
    const { secret, key } = await keys.create(order());
    const other = open().keys;
    expect((await other.find("alice", secret))?.id).toBe(key.id);
    for (const [owner, wrong] of [
      ["bob", secret],
      ["Alice", secret],
      ["alice ", secret],
      ["alice", unknownKey],
      ["alice", secret.slice(0, -1)],
      ["alice", `${secret}0`],
      ["alice", ""],
    ] as const)
      expect(await other.find(owner, wrong)).toBeUndefined();
  });

  test("is over at its time to the millisecond, and is listed as such for a month", async () => {
    const { keys, clock } = await setup();
    const { secret } = await keys.create(order({ expiresAtMs: clock.now() + day }));
    await clock.advance(day - 1);
    expect(await keys.find("alice", secret)).toBeDefined();
    await clock.advance(1);
    expect(await keys.find("alice", secret)).toBeUndefined();
    expect((await keys.list("alice")).map(({ isExpired }) => isExpired)).toEqual([true]);
    await clock.advance(30 * day);
    expect(await keys.list("alice")).toEqual([]);
  });

  test("without a time is good for years", async () => {
    const { keys, clock } = await setup();
    const { secret } = await keys.create(order());
    await clock.advance(50 * 365 * day);
    expect(await keys.find("alice", secret)).toBeDefined();
  });

  test("that is revoked is over in every process at its next look, and the owner's others are not", async () => {
    const { keys, open, files } = await setup();
    const [one, other] = [await keys.create(order({ label: "one" })), await keys.create(order({ label: "other" }))];
    const elsewhere = open().keys;
    expect([
      await elsewhere.revoke("bob", one.key.id),
      await elsewhere.revoke("alice", "nonsense"),
      await elsewhere.revoke("alice", one.key.id.toUpperCase()),
    ]).toEqual([false, false, true]);
    expect([await keys.find("alice", one.secret), (await keys.find("alice", other.secret))?.label]).toEqual([undefined, "other"]);
    expect(await keys.revoke("alice", one.key.id)).toBe(false);
    expect((await files()).filter((file) => file.includes("api-keys"))).toHaveLength(1);
  });

  test("that is used while it is revoked does not come back", async () => {
    const { keys, background } = await setup();
    const { secret, key } = await keys.create(order());
    await Promise.all([keys.find("alice", secret), keys.revoke("alice", key.id)]);
    await background.settled();
    expect([await keys.find("alice", secret), await keys.list("alice")]).toEqual([undefined, []]);
  });

  test("tells when it was used last, to the minute", async () => {
    const { keys, clock, background } = await setup();
    const { secret } = await keys.create(order());
    const usedAt = async () => {
      await background.settled();
      return (await keys.list("alice")).map(({ usedAtMs }) => usedAtMs);
    };
    expect(await usedAt()).toEqual([undefined]);
    const firstMs = clock.now();
    await keys.find("alice", secret);
    expect(await usedAt()).toEqual([firstMs]);
    await clock.advance(59_999);
    await keys.find("alice", secret);
    expect(await usedAt()).toEqual([firstMs]);
    await clock.advance(1);
    await keys.find("alice", secret);
    expect(await usedAt()).toEqual([firstMs + 60_000]);
  });

  test("keeps its label, its scope, and what made it", async () => {
    const { keys, open } = await setup();
    const scope = readKeyScope({ repositories: ["team/**"], actions: ["read"] });
    await keys.create(order({ label: 'a "label"', scope, creator: "curl/8" }));
    const [key] = await open().keys.list("alice");
    expect(key).toMatchObject({ owner: "alice", label: 'a "label"', creator: "curl/8", isExpired: false, scope: { actions: new Set(["read"]) } });
    expect(key?.scope?.repositories?.map(({ pattern }) => pattern)).toEqual(["team/**"]);
  });

  test("whose record was torn, or lost its scope, lets nobody in", async () => {
    const { keys, files } = await setup();
    const { secret } = await keys.create(order({ scope: readKeyScope({ actions: ["read"] }) }));
    const file = (await files()).find((path) => path.includes("/api-keys/")) ?? "";
    const { until, text } = JSON.parse(await readFile(file, "utf8")) as { until: number; text: string };
    for (const torn of [
      "",
      "{}",
      text.replace('"read"', '"dance"'),
      text.replace('["read"]', "[]"),
      text.replace("service", "king"),
      text.replace("alice", "bob"),
    ]) {
      await writeFile(file, JSON.stringify({ until, text: torn }));
      expect(await keys.find("alice", secret)).toBeUndefined();
    }
    await writeFile(file, JSON.stringify({ until, text }));
    expect(await keys.find("alice", secret)).toBeDefined();
  });

  test("one too many is told so", async () => {
    const { keys } = await setup();
    for (let count = 0; count < keysMax; count++) await keys.create(order());
    await expect(keys.create(order())).rejects.toThrow(TooManyKeys);
    const [first] = await keys.list("alice");
    await keys.revoke("alice", first?.id ?? "");
    await keys.create(order());
    expect(await keys.list("alice")).toHaveLength(keysMax);
  });

  test("one too many is one's own, and no namesake's, who are not without end either", async () => {
    const { keys, folder, clock, background } = await setup();
    const as = (subject: string) => order({ account: "person", voucher: { by: "github", subject } });
    for (let count = 0; count < keysMax; count++) await keys.create(as("666"));
    await expect(keys.create(as("666"))).rejects.toThrow(TooManyKeys);
    await keys.create(as("1"));
    await using records = new FileRecords({ folder, clock, background });
    for (let count = keysMax + 1; count < namesakesKeysMax; count++)
      await records.write(["api-keys", userKeyOf("alice"), String(count)], "{}", { lifeMs: day });
    await expect(keys.create(as("1"))).rejects.toThrow(TooManyKeys);
  });

  test("everybody's are listed by their owners, the newest first", async () => {
    const { keys, clock } = await setup();
    for (const [owner, label] of [
      ["bob", "1"],
      ["alice", "2"],
      ["alice", "3"],
      ["ci/../../team", "4"],
    ] as const) {
      await keys.create(order({ owner, label }));
      await clock.advance(1);
    }
    expect((await keys.list(undefined)).map(({ owner, label }) => `${owner} ${label}`)).toEqual(["alice 3", "alice 2", "bob 1", "ci/../../team 4"]);
    expect(await keys.list("carol")).toEqual([]);
  });
});

describe("people", () => {
  const alice = { name: "alice", groups: ["dev"], method: "ldap" } as const;

  test("are known in every process by what they were at their last login", async () => {
    const { people, open, clock } = await setup();
    await people.note(alice);
    expect(await open().people.find("alice")).toEqual({ ...alice, seenAtMs: clock.now() });
    await clock.advance(1);
    await people.note({ ...alice, groups: [], method: "oidc", provider: "gitlab", email: "alice@example.com" });
    const known = { name: "alice", groups: [], method: "oidc", provider: "gitlab", email: "alice@example.com", seenAtMs: clock.now() };
    expect(await open().people.find("alice")).toEqual(known);
    expect(await people.find("bob")).toBeUndefined();
  });

  test("who say nothing new are written once an hour, and forgotten 400 days after their last login", async () => {
    const { people, clock } = await setup();
    await people.note(alice);
    const firstMs = clock.now();
    await clock.advance(3_599_999);
    await people.note(alice);
    expect((await people.find("alice"))?.seenAtMs).toBe(firstMs);
    await clock.advance(1);
    await people.note(alice);
    expect((await people.find("alice"))?.seenAtMs).toBe(firstMs + 3_600_000);
    await clock.advance(personLifeMs - 1);
    expect(await people.find("alice")).toBeDefined();
    await clock.advance(1);
    expect(await people.find("alice")).toBeUndefined();
  });
});

describe("a key as a password", () => {
  /** Tells what reaches it. */
  class RecordedDirectory implements PasswordBackend {
    readonly method = "ldap";
    readonly asked: string[] = [];

    verify({ user, password }: { user: string; password: string }): Promise<PasswordVerdict> {
      this.asked.push(`${user}:${password}`);
      const isRight = user === "carol" && password === "carol-password";
      return Promise.resolve(isRight ? { kind: "right", principal: { name: "carol", groups: ["ops"], method: "ldap" } } : { kind: "wrong" });
    }
  }

  class RecordedHtpasswd extends Htpasswd {
    readonly asked: string[] = [];

    override verify(...[login, signal, how]: Parameters<Htpasswd["verify"]>): Promise<PasswordVerdict> {
      this.asked.push(`${login.user}:${login.password}`);
      return super.verify(login, signal, how);
    }
  }

  async function withPasswords({ budget = { perUser: 30, perAddress: 600 } } = {}) {
    const at = await setup();
    const log = new KeptLog();
    const directory = new RecordedDirectory();
    const htpasswd = new RecordedHtpasswd({ text: passwordLine("alice", "alice-password"), path: "htpasswd", clock: at.clock, log: silentLog });
    const logins = new KeyLogins({ keys: at.keys, people: at.people, htpasswd, log });
    const noted: Principal[] = [];
    const passwords = new Passwords({
      htpasswd,
      directory,
      telling: [logins],
      onLogin: (principal) => noted.push(principal),
      budget,
      clock: at.clock,
      background: at.background,
    });
    closing.push(
      () => passwords.close(),
      () => htpasswd[Symbol.asyncDispose](),
    );
    const check = (user: string, password: string, client = "192.0.2.1"): Promise<LoginVerdict> => passwords.check({ user, password }, client, never);
    return { ...at, log, directory, htpasswd, passwords, noted, check };
  }

  test("lets its owner in, with the groups of the last login, and reaches neither the file nor the directory", async () => {
    const at = await withPasswords();
    await at.people.note({ name: "carol", groups: ["ops", "dev"], method: "ldap" });
    const { secret } = await at.keys.create(order({ owner: "carol", account: "person" }));
    expect(await at.check("carol", secret)).toEqual({ kind: "admitted", principal: { name: "carol", groups: ["ops", "dev"], method: "apikey" } });
    expect([(await at.check("alice", secret)).kind, (await at.check("carol", unknownKey)).kind]).toEqual(["refused", "refused"]);
    expect([at.htpasswd.asked, at.directory.asked, at.noted]).toEqual([[], [], []]);
  });

  test("leaves passwords to whom they were for, and tells who was right by them", async () => {
    const at = await withPasswords();
    expect([(await at.check("alice", "alice-password")).kind, (await at.check("carol", "zak_short")).kind]).toEqual(["admitted", "refused"]);
    expect(at.directory.asked).toEqual(["alice:alice-password", "carol:zak_short"]);
    expect((await at.check("carol", "carol-password")).kind).toBe("admitted");
    expect(at.noted.map(({ name, groups, method }) => [name, groups, method])).toEqual([
      ["alice", [], "htpasswd"],
      ["carol", ["ops"], "ldap"],
    ]);
  });

  test("is remembered for a second, the same principal each time, and asked for again after it: a revoked one is over then", async () => {
    const at = await withPasswords();
    const { secret, key } = await at.keys.create(order());
    const authorization = [`Basic ${Buffer.from(`alice:${secret}`).toString("base64")}`];
    const evidence = { authorization, client: "192.0.2.1", userAgent: undefined, certificate: undefined };
    const admitted = await at.check("alice", secret);
    const principal = at.passwords.recall(evidence as Parameters<Passwords["recall"]>[0]); // All that is looked at.
    expect(admitted).toEqual({ kind: "admitted", principal });
    await at.open().keys.revoke("alice", key.id);
    await at.clock.advance(999);
    expect((await at.check("alice", secret)).kind).toBe("admitted");
    await at.clock.advance(1);
    expect(at.passwords.recall(evidence as Parameters<Passwords["recall"]>[0])).toBeUndefined();
    expect((await at.check("alice", secret)).kind).toBe("refused");
  });

  test("of somebody who is no longer in the password file is refused, and the log says why", async () => {
    const at = await withPasswords();
    const { secret, key } = await at.keys.create(order({ account: "htpasswd" }));
    expect((await at.check("alice", secret)).kind).toBe("admitted");
    at.htpasswd.reload(passwordLine("bob", "bob-password"));
    expect((await at.check("alice", secret)).kind).toBe("refused");
    expect(at.log.lines).toEqual([`info API key refused: its owner is no longer known {"user":"alice","key":"${key.id}","account":"htpasswd"}`]);
    at.htpasswd.reload(passwordLine("alice", "another-password"));
    expect((await at.check("alice", secret)).kind).toBe("admitted");
  });

  test("of a person nobody has seen for 400 days is refused; that of a service account is not", async () => {
    const at = await withPasswords();
    await at.people.note({ name: "carol", groups: [], method: "ldap" });
    const [person, service] = [await at.keys.create(order({ owner: "carol", account: "person" })), await at.keys.create(order({ owner: "ci" }))];
    await at.clock.advance(399 * day);
    expect([(await at.check("carol", person.secret)).kind, (await at.check("ci", service.secret)).kind]).toEqual(["admitted", "admitted"]);
    await at.clock.advance(day);
    expect([(await at.check("carol", person.secret)).kind, (await at.check("ci", service.secret)).kind]).toEqual(["refused", "admitted"]);
  });

  test("acts for who made it, and for nobody else who has the same name, at another provider, in the directory, or after a renaming", async () => {
    const at = await withPasswords();
    const eve = { by: "github", subject: "666" };
    const made = async (voucher: Voucher) => (await at.keys.create(order({ owner: "carol", account: "person", voucher }))).secret;
    const groups = async (secret: string) => {
      const verdict = await at.check("carol", secret);
      await at.clock.advance(1_000);
      return verdict.kind === "admitted" ? verdict.principal.groups : verdict.kind;
    };
    await at.people.note({ name: "carol", groups: [], ...methodOf(eve) });
    const [eves, carols, local] = [await made(eve), await made({ by: "oidc", subject: "1" }), await made({ by: "ldap" })];
    // Nobody has logged in so: nobody knows who that is.
    expect([await groups(eves), await groups(carols), await groups(local)]).toEqual([[], "refused", "refused"]);
    await at.people.note({ name: "carol", groups: ["admins"], ...methodOf({ by: "oidc", subject: "1" }) });
    await at.people.note({ name: "carol", groups: ["ops"], method: "ldap" });
    await at.people.note({ name: "carol", groups: ["dev"], ...methodOf({ by: "github", subject: "7" }) });
    expect([await groups(eves), await groups(carols), await groups(local)]).toEqual([[], ["admins"], ["ops"]]);
    // By now she is somebody else here.
    await at.people.note({ name: "eve", groups: [], ...methodOf(eve) });
    expect([await groups(eves), await groups(carols), await groups(local)]).toEqual(["refused", ["admins"], ["ops"]]);
  });

  test("that was made before it was noted who made it goes by the name, as it did", async () => {
    const at = await withPasswords();
    const { secret } = await at.keys.create(order({ owner: "carol", account: "person" }));
    await at.people.note({ name: "carol", groups: ["dev"], ...methodOf({ by: "oidc", subject: "1" }) });
    expect(await at.check("carol", secret)).toMatchObject({ kind: "admitted", principal: { groups: ["dev"] } });
  });

  test("is none once nobody can read who made it", async () => {
    const at = await withPasswords();
    const { secret } = await at.keys.create(order({ voucher: { by: "oidc", subject: "1" } }));
    const file = (await at.files()).find((path) => path.includes("/api-keys/")) ?? "";
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace(String.raw`\"by\":\"oidc\"`, String.raw`\"by\":7`));
    expect(await readFile(file, "utf8")).not.toBe(text);
    expect((await at.check("alice", secret)).kind).toBe("refused");
  });

  test("brings its scope along", async () => {
    const at = await withPasswords();
    const { secret } = await at.keys.create(order({ scope: readKeyScope({ repositories: ["team/**"], actions: ["read"] }) }));
    expect(await at.check("alice", secret)).toMatchObject({ kind: "admitted", principal: { scope: { actions: new Set(["read"]) } } });
  });

  test("guessed at counts as a wrong password does, and the right one from elsewhere passes", async () => {
    const at = await withPasswords({ budget: { perUser: 3, perAddress: 600 } });
    const { secret } = await at.keys.create(order());
    const guess = (digit: number) => `zak_${String(digit).repeat(32)}`;
    const kinds = [];
    for (const digit of [1, 2, 3, 4]) kinds.push((await at.check("alice", guess(digit))).kind);
    expect(kinds).toEqual(["refused", "refused", "refused", "throttled"]);
    expect((await at.check("alice", secret)).kind).toBe("throttled");
    expect((await at.check("alice", secret, "198.51.100.7")).kind).toBe("admitted");
  });

  test("that cannot be looked up is not wrong: nobody can tell just now", async () => {
    const at = await withPasswords();
    const { secret } = await at.keys.create(order());
    const file = (await at.files()).find((path) => path.includes("/api-keys/")) ?? "";
    await writeFile(join(at.folder, "people"), "a file where a folder should be");
    await at.keys.revoke("alice", "nonsense");
    expect((await at.check("alice", secret)).kind).toBe("admitted"); // A service account needs no person.
    const person = await at.keys.create(order({ owner: "carol", account: "person" }));
    expect(await at.check("carol", person.secret)).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("API keys cannot be checked") });
    expect(file).not.toBe("");
  });
});
