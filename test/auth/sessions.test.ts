import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { FileRecords } from "../../src/auth/file-records.ts";
import { RecordsUnavailable } from "../../src/auth/records.ts";
import { Sessions, sessionIdleMs, sessionLifeMs, sessionsMax, type SessionKeys } from "../../src/auth/sessions.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const noKeys: SessionKeys = { hashKey: undefined, encryptKey: undefined };
const alice = { user: "alice", groups: ["dev"], by: "oidc" };
const tokens = { idToken: "the id token" };
const begun = { client: "192.0.2.1", userAgent: "Firefox", lifeMs: sessionLifeMs };

let folder: TemporaryFolder;
let clock: TestClock;

beforeEach(async () => {
  folder = await temporaryFolder();
  clock = new TestClock();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** One process: several share the folder. */
function open(keys = noKeys): Sessions {
  return new Sessions({ records: new FileRecords({ folder: folder.path, clock, background: new Background(silentLog) }), clock, keys });
}

/** On a disk that takes nothing more once it is full. */
class FillingRecords extends FileRecords {
  isFull = false;

  override write(...call: Parameters<FileRecords["write"]>): Promise<void> {
    return this.isFull ? Promise.reject(new RecordsUnavailable(folder.path, new Error("ENOSPC: no space left on device"))) : super.write(...call);
  }
}

describe("a session", () => {
  test("is found by what its browser holds, in this process and in others", async () => {
    const [here, there] = [open(), open()];
    const { value, session } = await here.open(alice, begun);
    for (const sessions of [here, there]) {
      expect(await sessions.find(value)).toMatchObject({
        id: session.id,
        user: "alice",
        groups: ["dev"],
        by: "oidc",
        client: "192.0.2.1",
        userAgent: "Firefox",
      });
    }
  });

  test("stands for the same principal each time, until its groups are others", async () => {
    const sessions = open();
    const { value } = await sessions.open(alice, begun);
    const first = await sessions.find(value);
    await clock.advance(90_000);
    const second = await sessions.find(value);
    expect(second?.principal).toBe(first?.principal);
    expect(first?.principal).toEqual({ name: "alice", groups: ["dev"], method: "session", voucher: { by: "oidc" } });
    if (second) expect(sessions.withGroups(second, ["dev"])).toBe(second);
    if (second) sessions.withGroups(second, ["ops"]);
    expect((await sessions.find(value))?.principal).toEqual({ name: "alice", groups: ["ops"], method: "session", voucher: { by: "oidc" } });
  });

  test.each(["", "x", ".", `${"0".repeat(32)}.${"A".repeat(43)}`, `../${"0".repeat(29)}.${"A".repeat(43)}`, "0".repeat(10_000)])(
    "is none for %j",
    async (value) => {
      const sessions = open();
      await sessions.open(alice, begun);
      expect(await sessions.find(value)).toBeUndefined();
      expect(await sessions.end(value)).toBeUndefined();
    },
  );

  test("ends when its browser stays away for two hours, and lives on while it comes now and then", async () => {
    const sessions = open();
    const [{ value: used }, { value: unused }] = [await sessions.open(alice, begun), await sessions.open(alice, begun)];
    for (let at = 0; at < 3; at++) {
      await clock.advance(sessionIdleMs - 60_000);
      expect(await sessions.find(used)).toBeDefined();
    }
    expect(await sessions.find(unused)).toBeUndefined();
    await clock.advance(sessionIdleMs);
    expect(await sessions.find(used)).toBeUndefined();
  });

  test("goes on where nothing can be written any more", async () => {
    const records = new FillingRecords({ folder: folder.path, clock, background: new Background(silentLog) });
    const sessions = new Sessions({ records, clock, keys: noKeys });
    const { value } = await sessions.open(alice, begun);
    records.isFull = true;
    await clock.advance(90_000);
    await expect(sessions.open(alice, begun)).rejects.toThrow(RecordsUnavailable);
    expect(await sessions.find(value)).toMatchObject({ user: "alice" });
  });

  test("ends with its day, however much it is used", async () => {
    const sessions = open();
    const { value } = await sessions.open(alice, begun);
    for (let atMs = 0; atMs + 3_600_000 < sessionLifeMs; atMs += 3_600_000) {
      await clock.advance(3_600_000);
      expect(await sessions.find(value)).toBeDefined();
    }
    await clock.advance(3_600_000);
    expect(await sessions.find(value)).toBeUndefined();
  });

  test("is over for good when it is ended: a use that is noted later brings nothing back", async () => {
    const [here, there] = [open(), open()];
    const { value } = await here.open(alice, { ...begun, tokens });
    await clock.advance(61_000);
    const known = await there.find(value);
    expect(await here.end(value)).toEqual(tokens);
    // The other process had it in its hands.
    if (known) there.withGroups(known, ["ops"]);
    await clock.advance(1_000);
    for (const sessions of [here, there]) expect(await sessions.find(value)).toBeUndefined();
  });

  test("is listed for its owner, newest first, and ended by name in every process within a second", async () => {
    const [here, there] = [open(), open()];
    const first = await here.open(alice, begun);
    await clock.advance(1_000);
    const second = await there.open(alice, begun);
    const other = await here.open({ ...alice, user: "bob" }, begun);
    expect((await here.list("alice")).map(({ id }) => id)).toEqual([second.session.id, first.session.id]);
    await there.find(first.value);
    expect(await here.revoke("bob", first.session.id)).toBe(false);
    expect(await here.revoke("alice", "../../x")).toBe(false);
    expect(await here.revoke("alice", first.session.id)).toBe(true);
    expect(await here.find(first.value)).toBeUndefined();
    await clock.advance(1_000);
    expect(await there.find(first.value)).toBeUndefined();
    expect(await here.revokeAll("alice")).toBe(1);
    expect(await here.find(second.value)).toBeUndefined();
    expect(await here.find(other.value)).toBeDefined();
  });

  test("is over in every process within a second when everybody's are ended, and those that begin later are not", async () => {
    const [here, there] = [open(), open()];
    const { value } = await here.open(alice, begun);
    await there.find(value);
    await here.revokeEverybodys();
    expect(await here.find(value)).toBeUndefined();
    await clock.advance(1_000);
    expect(await there.find(value)).toBeUndefined();
    expect(await there.list("alice")).toEqual([]);
    const later = await there.open(alice, begun);
    expect(await here.find(later.value)).toBeDefined();
    await clock.advance(sessionLifeMs);
    expect(await here.find(value)).toBeUndefined();
  });

  test("makes room for another of the same person by the oldest", async () => {
    const sessions = open();
    const first = await sessions.open(alice, begun);
    for (let at = 0; at < sessionsMax; at++) {
      await clock.advance(1);
      await sessions.open(alice, begun);
    }
    expect(await sessions.list("alice")).toHaveLength(sessionsMax);
    expect(await sessions.find(first.value)).toBeUndefined();
  });

  test("is no room for a namesake", async () => {
    const sessions = open();
    const first = await sessions.open({ ...alice, subject: "1" }, begun);
    for (let at = 0; at < sessionsMax; at++) {
      await clock.advance(1);
      await sessions.open({ ...alice, by: "github", subject: "666" }, begun);
    }
    expect(await sessions.find(first.value)).toBeDefined();
  });
});

describe("what is kept", () => {
  async function everythingOnDisk(): Promise<string> {
    const entries = await readdir(folder.path, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    const modes = await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).mode & 0o077));
    expect(modes.every((mode) => mode === 0)).toBe(true);
    const texts = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), "utf8")));
    return [...entries.map(({ name }) => name), ...texts].join("\n");
  }

  test("opens no session, and shows no token of the provider", async () => {
    const sessions = open();
    const { value } = await sessions.open(alice, { ...begun, tokens });
    const kept = await everythingOnDisk();
    expect(kept).toContain("alice");
    for (const secret of [value, value.split(".")[1] ?? "?", tokens.idToken]) expect(kept).not.toContain(secret);
  });

  test("is given back to whoever ends it, once", async () => {
    const [here, there] = [open(), open()];
    const { value } = await here.open(alice, { ...begun, tokens });
    expect([await here.end(value), await there.end(value)]).toEqual([tokens, undefined]);
  });

  test("means nothing once the keys are others", async () => {
    const keys = { hashKey: new Secret("h"), encryptKey: new Secret("e") };
    const { value } = await open(keys).open(alice, { ...begun, tokens });
    expect(await open(keys).find(value)).toBeDefined();
    expect(await open({ ...keys, hashKey: new Secret("other") }).find(value)).toBeUndefined();
    expect(await open().find(value)).toBeUndefined();
    expect(await open({ ...keys, encryptKey: new Secret("other") }).end(value)).toBeUndefined();
  });
});
