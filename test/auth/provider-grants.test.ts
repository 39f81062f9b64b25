/** What a provider says of somebody, for all of his sessions and logins: asked as seldom as may be, by one at a time, and never lost. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FileRecords } from "../../src/auth/file-records.ts";
import { LoginRefused, ProviderUnavailable, type ProviderIdentity } from "../../src/auth/openid/provider.ts";
import { ProviderGrants, type GrantHolder, type ProviderGrantsOptions } from "../../src/auth/provider-grants.ts";
import { loginsKeptMax } from "../../src/auth/provider-logins.ts";
import { RecordsUnavailable, type RecordPath } from "../../src/auth/records.ts";
import { SealingKeys } from "../../src/auth/sealing-keys.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { KeptLog } from "../support/kept-log.ts";
import { StrictProvider } from "../support/strict-provider.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const groupsTtlMs = 900_000;
const alice: GrantHolder = { user: "alice", by: "oidc", subject: "1" };

let folder: TemporaryFolder;
let clock: TestClock;
let provider: StrictProvider;

beforeEach(async () => {
  folder = await temporaryFolder();
  clock = new TestClock();
  provider = new StrictProvider();
});
afterEach(() => folder[Symbol.asyncDispose]());

/** On a disk that takes nothing more once it is full, and with others at work in between. */
class FillingRecords extends FileRecords {
  isFull = false;
  /** Done once, by somebody else: after it was looked who asks, and before a word is removed. */
  afterLooking: (() => Promise<void>) | undefined;
  beforeRemoving: (() => Promise<void>) | undefined;

  override async read(...call: Parameters<FileRecords["read"]>): Promise<string | undefined> {
    const text = await super.read(...call);
    const work = call[0][0] === "provider-questions" ? this.afterLooking : undefined;
    if (work) this.afterLooking = undefined;
    await work?.();
    return text;
  }

  override async take(...call: Parameters<FileRecords["take"]>): Promise<string | undefined> {
    await this.#meanwhile(call[0]);
    return await super.take(...call);
  }

  override async remove(...call: Parameters<FileRecords["remove"]>): Promise<boolean> {
    await this.#meanwhile(call[0]);
    return await super.remove(...call);
  }

  override write(...call: Parameters<FileRecords["write"]>): Promise<void> {
    return this.isFull ? Promise.reject(new RecordsUnavailable(folder.path, new Error("ENOSPC: no space left on device"))) : super.write(...call);
  }

  async #meanwhile([kind]: RecordPath): Promise<void> {
    const work = kind === "provider-words" ? this.beforeRemoving : undefined;
    if (work) this.beforeRemoving = undefined;
    await work?.();
  }
}

/** One process: several share the folder. */
function open({ given, ...options }: Partial<ProviderGrantsOptions> & { readonly given?: Secret } = {}) {
  const background = new Background(silentLog);
  const records = new FillingRecords({ folder: join(folder.path, "records"), clock, background });
  const keyRecords = new FileRecords({ folder: join(folder.path, "keys"), clock, background });
  const keys = new SealingKeys({ given, records: keyRecords, clock });
  const grants = new ProviderGrants({ providers: [provider], records, keys, groupsTtlMs, onWord: () => {}, clock, log: silentLog, ...options });
  const look = async (holder: GrantHolder = alice): Promise<readonly string[] | "over"> => {
    const verdict = await grants.check(holder);
    return verdict.kind === "holds" ? verdict.groups : "over";
  };
  const stamp = async (): Promise<string | undefined> => {
    const verdict = await grants.check(alice);
    return verdict.kind === "holds" ? verdict.stamp : undefined;
  };
  return { grants, records, look, stamp };
}

describe("a provider's word on somebody", () => {
  test("is that of the login until it is as old as it may be, then that of now, asked for once by however many", async () => {
    const here = open();
    await here.grants.keep(provider.login("first"));
    await clock.advance(groupsTtlMs - 1);
    expect(await here.look()).toEqual(["dev"]);
    expect(provider.shown).toEqual([]);
    await clock.advance(1);
    expect(await Promise.all(Array.from({ length: 10 }, () => here.look()))).toEqual(Array.from({ length: 10 }, () => ["ops"]));
    expect(provider.shown).toEqual(["first"]);
    await clock.advance(groupsTtlMs);
    expect(await here.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first", "first+"]);
  });

  test("is asked for as often as was wished, however often that is", async () => {
    const here = open({ groupsTtlMs: 1_000 });
    await here.grants.keep(provider.login("first"));
    for (let second = 0; second < 5; second++) {
      await clock.advance(1_000);
      await here.look();
    }
    expect(provider.shown).toHaveLength(5);
  });

  test("is that of the login for good where it is never to be asked for again, until that is a month ago", async () => {
    const here = open({ groupsTtlMs: Infinity });
    await here.grants.keep(provider.login("first"));
    await clock.advance(30 * 86_400_000);
    // A word that nobody waits for is never late.
    expect(await here.grants.check(alice)).toMatchObject({ kind: "holds", groups: ["dev"], unheardMs: 0 });
    await clock.advance(86_400_000);
    expect(await here.look()).toBe("over");
    expect(provider.shown).toEqual([]);
  });

  test("is asked for by one of two processes, and known to the other within a second", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("first"));
    const { promise, resolve } = Promise.withResolvers<void>();
    provider.answering = promise;
    await clock.advance(groupsTtlMs);
    const asking = here.look();
    await expect.poll(() => provider.shown).toEqual(["first"]);
    // The other one goes on with what it has, and hears of the answer by and by.
    expect(await there.look()).toEqual(["dev"]);
    resolve();
    expect(await asking).toEqual(["ops"]);
    await clock.advance(1_000);
    expect(await there.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first"]);
  });

  test("is asked for once by many processes that come at the same moment", async () => {
    const processes = Array.from({ length: 8 }, () => open());
    await processes[0]?.grants.keep(provider.login("first"));
    for (let round = 0; round < 10; round++) {
      await clock.advance(groupsTtlMs);
      await Promise.all(processes.map(({ look }) => look()));
      await clock.advance(1_000);
      for (const { look } of processes) expect(await look()).toEqual(["ops"]);
    }
    expect(provider.shown).toEqual(Array.from({ length: 10 }, (_, round) => `first${"+".repeat(round)}`));
  });

  test("is one for all of his logins, and the others go on when one is ended at the provider", async () => {
    const here = open();
    const stamps = [await here.grants.keep(provider.login("laptop"))];
    await clock.advance(60_000);
    stamps.push(await here.grants.keep(provider.login("desktop")));
    expect(new Set(stamps).size).toBe(1);
    await clock.advance(groupsTtlMs);
    expect(await here.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["desktop"]);
    provider.good.delete("desktop+");
    await clock.advance(groupsTtlMs);
    expect(await here.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["desktop", "desktop+", "laptop"]);
    expect(await here.stamp()).toBe(stamps[0]);
  });

  test("is asked for by the last few logins only", async () => {
    const here = open();
    for (let login = 0; login < loginsKeptMax + 3; login++) {
      await here.grants.keep(provider.login(`login-${login}`));
      await clock.advance(1);
    }
    provider.good.clear();
    await clock.advance(groupsTtlMs);
    expect(await here.look()).toBe("over");
    expect(provider.shown).toEqual(["login-7", "login-6", "login-5", "login-4", "login-3"]);
  });

  test("goes on while the provider is away, which is asked again every half minute and has the last word", async () => {
    const here = open();
    await here.grants.keep(provider.login("first"));
    provider.failure = new ProviderUnavailable("oidc", "no answer");
    await clock.advance(groupsTtlMs);
    for (let at = 0; at < 5; at++) expect(await here.look()).toEqual(["dev"]);
    expect(provider.shown).toEqual(["first"]);
    await clock.advance(30_000);
    expect(await here.look()).toEqual(["dev"]);
    provider.failure = undefined;
    await clock.advance(30_000);
    expect(await here.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first", "first", "first"]);
  });

  test("goes on by the newest refresh token where the provider failed after it had given it", async () => {
    const here = open();
    await here.grants.keep(provider.login("first"));
    provider.failure = new ProviderUnavailable("oidc", "no userinfo", { refreshToken: new Secret("second") });
    await clock.advance(groupsTtlMs);
    expect(await here.look()).toEqual(["dev"]);
    provider.failure = undefined;
    provider.good.add("second");
    await clock.advance(30_000);
    expect(await here.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first", "second"]);
  });

  test.each([
    ["knows none of his logins any more", () => provider.good.clear()],
    ["refuses him", () => (provider.failure = new LoginRefused("disabled"))],
    ["calls him by another name", () => (provider.person = "bob")],
    ["says it is somebody else", () => (provider.subject = "2")],
  ])("is over once the provider %s, and the next one is another", async (_, change) => {
    const [here, there] = [open(), open()];
    const before = await here.grants.keep(provider.login("first"));
    await clock.advance(groupsTtlMs);
    change();
    expect(await here.look()).toBe("over");
    expect(await there.look()).toBe("over");
    Object.assign(provider, { failure: undefined, person: "alice", subject: "1" });
    const after = await there.grants.keep(provider.login("second"));
    // What was begun before that does not come to life again.
    expect(after).not.toBe(before);
    await clock.advance(1_000);
    expect(await here.stamp()).toBe(after);
  });

  test("is asked for after another login as after the first, however soon that comes", async () => {
    const here = open({ groupsTtlMs: 1_000 });
    await here.grants.keep(provider.login("first"));
    provider.good.clear();
    await clock.advance(1_000);
    expect(await here.look()).toBe("over");
    await here.grants.keep(provider.login("second"));
    provider.good.clear();
    await clock.advance(1_000);
    expect(await here.look()).toBe("over");
    expect(provider.shown).toEqual(["first", "second"]);
  });

  test("is that of a login which came while an older one was being refused", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("first"));
    const { promise, resolve } = Promise.withResolvers<void>();
    provider.answering = promise;
    provider.good.clear();
    await clock.advance(groupsTtlMs);
    const asking = here.look();
    await expect.poll(() => provider.shown).toEqual(["first"]);
    await there.grants.keep(provider.login("second", ["new"]));
    resolve();
    expect(await asking).toEqual(["new"]);
    await clock.advance(1_000);
    expect(await here.look()).toEqual(["new"]);
  });

  test("is over when who had what it gave in hand has died: nobody can ask any more", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("first"));
    provider.answering = new Promise(() => {});
    await clock.advance(groupsTtlMs);
    here.look().catch(() => {}); // It never ends.
    await expect.poll(() => provider.shown).toEqual(["first"]);
    expect(await there.look()).toEqual(["dev"]);
    await clock.advance(30_000);
    expect(await there.look()).toEqual(["dev"]);
    await clock.advance(30_000);
    expect(await there.look()).toBe("over");
  });

  test("is asked for by another login when who had the newest in hand has died", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("laptop"));
    await clock.advance(1);
    await here.grants.keep(provider.login("desktop"));
    provider.answering = new Promise(() => {});
    await clock.advance(groupsTtlMs);
    here.look().catch(() => {}); // As above.
    await expect.poll(() => provider.shown).toEqual(["desktop"]);
    provider.answering = Promise.resolve();
    await clock.advance(30_000);
    expect(await there.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["desktop", "laptop"]);
  });

  test("uses nothing up while nothing can be kept, and is asked for again when it can", async () => {
    const here = open();
    await here.grants.keep(provider.login("first"));
    here.records.isFull = true;
    await clock.advance(groupsTtlMs);
    expect(await here.look()).toEqual(["dev"]);
    expect(provider.shown).toEqual([]);
    here.records.isFull = false;
    await clock.advance(30_000);
    expect(await here.look()).toEqual(["ops"]);
  });

  test("is not lost where the disk takes nothing more from the moment at which the provider gave it", async () => {
    const here = open();
    await here.grants.keep(provider.login("first"));
    const { promise, resolve } = Promise.withResolvers<void>();
    provider.answering = promise;
    await clock.advance(groupsTtlMs);
    const asking = here.look();
    await expect.poll(() => provider.shown).toEqual(["first"]);
    here.records.isFull = true;
    resolve();
    await expect(asking).rejects.toThrow(RecordsUnavailable);
    here.records.isFull = false;
    await clock.advance(30_000);
    expect(await here.look()).toEqual(["ops"]);
    expect(provider.shown).toEqual(["first", "first+"]);
  });

  test("is nobody's whose provider gave nothing to ask by, who is called otherwise, or whose provider is here no more", async () => {
    const here = open();
    expect(await here.grants.keep(provider.login(undefined))).toBeUndefined();
    expect(await here.look()).toBe("over");
    await here.grants.keep(provider.login("first"));
    expect(await here.look({ ...alice, user: "bob" })).toBe("over");
    expect(await here.look({ ...alice, subject: "2" })).toBe("over");
    expect(await here.look({ ...alice, by: "gitlab" })).toBe("over");
    expect(await open({ providers: [] }).look()).toBe("over");
    expect(await here.look()).toEqual(["dev"]);
  });

  test("is no word of a provider that has taken the name of another, which is shown nothing of what that one gave", async () => {
    await open().grants.keep(provider.login("first"));
    const another = new StrictProvider("https://another.example.test");
    const [lasting, asking] = [open({ providers: [another], groupsTtlMs: Infinity }), open({ providers: [another] })];
    expect(await lasting.look()).toBe("over");
    await clock.advance(groupsTtlMs);
    expect(await asking.look()).toBe("over");
    expect(another.shown).toEqual([]);
    expect(await open().look()).toEqual(["ops"]);
  });

  test("is not over because another process has asked at the same moment, however often that is", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("first"));
    const collide = async (known: string): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      provider.answering = promise;
      const shown = provider.shown.length;
      let asking: Promise<unknown> | undefined;
      there.records.afterLooking = async () => {
        asking = here.look();
        await expect.poll(() => provider.shown.length).toBe(shown + 1);
      };
      await clock.advance(groupsTtlMs);
      expect(await there.look()).toEqual([known]);
      resolve();
      expect(await asking).toEqual(["ops"]);
    };
    await collide("dev");
    for (let hour = 0; hour < 8; hour++) {
      await clock.advance(groupsTtlMs);
      expect(await here.look()).toEqual(["ops"]);
      await clock.advance(1_000);
      expect(await there.look()).toEqual(["ops"]);
    }
    await collide("ops");
    await clock.advance(1_000);
    expect([await here.look(), await there.look()]).toEqual([["ops"], ["ops"]]);
  });

  test("is not over because another process asked at the same moment as the provider was away, and asks again", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("first"));
    provider.failure = new ProviderUnavailable("oidc", "no answer");
    await clock.advance(groupsTtlMs);
    for (let at = 0; at < 3; at++) {
      const { promise, resolve } = Promise.withResolvers<void>();
      provider.answering = promise;
      let asking: Promise<unknown> | undefined;
      there.records.afterLooking = async () => {
        asking = here.look();
        await expect.poll(() => provider.shown.length).toBe(at + 1);
      };
      expect(await there.look()).toEqual(["dev"]);
      resolve();
      expect(await asking).toEqual(["dev"]);
      await clock.advance(30_000);
    }
  });

  test("is that of a login which came in the moment in which it was found to be over", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("first"));
    provider.good.clear();
    await clock.advance(groupsTtlMs);
    here.records.beforeRemoving = async () => void (await there.grants.keep(provider.login("second", ["new"])));
    expect(await here.look()).toEqual(["new"]);
    await clock.advance(1_000);
    expect([await here.look(), await there.look()]).toEqual([["new"], ["new"]]);
  });

  test("stays over where another process ended it while the provider was being asked", async () => {
    const [here, there] = [open(), open()];
    await here.grants.keep(provider.login("first"));
    const { promise, resolve } = Promise.withResolvers<void>();
    provider.answering = promise;
    await clock.advance(groupsTtlMs);
    const asking = here.look();
    await expect.poll(() => provider.shown).toEqual(["first"]);
    for (let at = 0; at < 3; at++) {
      await clock.advance(30_000);
      await there.look();
    }
    expect(await there.look()).toBe("over");
    resolve();
    expect(await asking).toBe("over");
    await clock.advance(1_000);
    expect([await here.look(), await there.look()]).toEqual(["over", "over"]);
  });

  test("is told of, and the log says why it stays or is over, without a token", async () => {
    const log = new KeptLog();
    const told: ProviderIdentity[] = [];
    const here = open({ log, onWord: (identity) => told.push(identity) });
    await here.grants.keep(provider.login("first"));
    await clock.advance(groupsTtlMs);
    await here.look();
    expect(told.map(({ name, groups }) => [name, groups])).toEqual([["alice", ["ops"]]]);
    provider.failure = new ProviderUnavailable("oidc", "no answer");
    await clock.advance(groupsTtlMs);
    await here.look();
    provider.failure = new LoginRefused("disabled");
    await clock.advance(30_000);
    await here.look();
    expect(log.lines).toEqual([
      'warn openid: somebody\'s groups could not be asked for: they stay as they were {"provider":"oidc","user":"alice","problem":"openid provider oidc: no answer"}',
      'info openid: somebody is to sign in again {"user":"alice","by":"oidc","reason":"the provider says so"}',
    ]);
  });
});

describe("what a provider gave", () => {
  async function keptIn(name: string): Promise<string> {
    const entries = await readdir(join(folder.path, name), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return (await Promise.all(files.map(async (file) => file.name + (await readFile(join(file.parentPath, file.name), "utf8"))))).join("\n");
  }

  test("is sealed by a key that is not kept beside it", async () => {
    const here = open();
    await here.grants.keep(provider.login("the refresh token"));
    expect(await keptIn("records")).not.toContain("the refresh token");
    const key = /"text":"([^"]+)"/.exec(await keptIn("keys"))?.[1] ?? "";
    expect(key).toHaveLength(43);
    expect(await keptIn("records")).not.toContain(key);
  });

  test("is sealed by the operator's key where there is one, and worth nothing under another", async () => {
    const given = new Secret("the operator's key");
    await open({ given }).grants.keep(provider.login("first"));
    await clock.advance(groupsTtlMs);
    expect(await open({ given: new Secret("another") }).look()).toBe("over");
    expect(provider.shown).toEqual([]);
    await open({ given }).grants.keep(provider.login("second"));
    await clock.advance(groupsTtlMs);
    expect(await open({ given }).look()).toEqual(["ops"]);
    await expect(readdir(join(folder.path, "keys"))).rejects.toThrow("ENOENT");
  });

  test("is read by every process, whichever of them has drawn the key", async () => {
    const processes = Array.from({ length: 6 }, () => open());
    await Promise.all(processes.map(({ grants }, at) => grants.keep({ ...provider.login(`login-${at}`), subject: String(at) })));
    await clock.advance(groupsTtlMs);
    for (let at = 0; at < processes.length; at++) {
      provider.subject = String(at);
      expect(await processes[(at + 1) % processes.length]?.look({ ...alice, subject: String(at) })).toEqual(["ops"]);
    }
  });

  test("of one person is nothing of another's", async () => {
    const here = open();
    await here.grants.keep({ ...provider.login("mine"), subject: "1" });
    await here.grants.keep({ ...provider.login("yours"), subject: "2" });
    const [one = "", other = ""] = (await readdir(join(folder.path, "records", "provider-tokens"))).toSorted();
    const path = async (person: string) =>
      join(folder.path, "records", "provider-tokens", person, (await readdir(join(folder.path, "records", "provider-tokens", person)))[0] ?? "");
    const { copyFile } = await import("node:fs/promises");
    await copyFile(await path(one), await path(other));
    await clock.advance(groupsTtlMs);
    await Promise.all(["1", "2"].map((subject) => here.look({ ...alice, subject })));
    expect(provider.shown).toHaveLength(1);
  });
});
