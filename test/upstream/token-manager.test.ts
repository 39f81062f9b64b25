/** The life of one credential, by a clock of the test's. */
import { describe, expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { OciError } from "../../src/oci/errors.ts";
import type { Log, LogFields } from "../../src/oci/log.ts";
import type { Credential, IssuedCredential } from "../../src/upstream/credentials.ts";
import { TokenManager, type TokenManagerOptions } from "../../src/upstream/token-manager.ts";
import { TestClock } from "../support/test-clock.ts";

const { signal } = new AbortController();
const minute = 60_000;
const hour = 60 * minute;

/** A provider that does what it is told, and keeps count. */
class Provider {
  readonly description = "a provider";
  readonly fetchedAt: number[] = [];
  readonly clock: TestClock;
  lifeMs: number | undefined = 12 * hour;
  failure: OciError | undefined;
  /** Until it resolves, fetches hang. */
  gate: Promise<void> | undefined;
  token: string | undefined;
  /** It has none to give. */
  isEmpty = false;

  constructor(clock: TestClock) {
    this.clock = clock;
  }

  async fetch(): Promise<IssuedCredential> {
    this.fetchedAt.push(this.clock.elapsed());
    const number = this.fetchedAt.length;
    await this.gate;
    if (this.failure) throw this.failure;
    if (this.isEmpty) return { content: undefined, expiresAtMs: undefined };
    return {
      content: { kind: "bearer", token: this.token ?? `token ${number}` },
      expiresAtMs: this.lifeMs === undefined ? undefined : this.clock.now() + this.lifeMs,
    };
  }
}

function setUp<C extends TestClock = TestClock>({ testClock, ...options }: Partial<TokenManagerOptions> & { testClock?: C } = {}) {
  const clock = testClock ?? new TestClock();
  const provider = new Provider(clock);
  const lines: { level: string; fields: LogFields; message: string }[] = [];
  const at =
    (level: string) =>
    (fields: LogFields, message: string): void =>
      void lines.push({ level, fields, message });
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const manager = new TokenManager({ provider, clock, log, background: new Background(log), random: () => 0, ...options });
  const current = async (): Promise<string | undefined> => tokenOf(await manager.current("a", signal));
  return { clock, provider, manager, lines, current, [Symbol.dispose]: () => manager.close() };
}

function tokenOf(credential: Credential | undefined): string | undefined {
  return credential?.kind === "bearer" ? credential.token : undefined;
}

/** What the manager holds, which is something. */
async function heldBy(manager: TokenManager): Promise<Credential> {
  const credential = await manager.current("a", signal);
  if (!credential) throw new Error("nothing is held");
  return credential;
}

const away = new OciError("UPSTREAM_UNAVAILABLE", "a provider: nobody there");

describe("a credential", () => {
  test("is fetched before anybody asks, and once for all who wait", async () => {
    using set = setUp();
    const gate = Promise.withResolvers<void>();
    set.provider.gate = gate.promise;
    expect(set.manager.status()).toMatchObject({ state: "none" });
    set.manager.start();
    expect(set.manager.status()).toMatchObject({ state: "fetching" });
    const waiting = Array.from({ length: 200 }, () => set.current());
    gate.resolve();
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["token 1"]));
    expect(set.provider.fetchedAt).toEqual([0]);
    expect(set.manager.status()).toEqual({ description: "a provider", state: "held", expiresAtMs: set.clock.now() + 12 * hour, reason: undefined });
  });

  test.each([
    ["half of its life", undefined, 12 * hour, 6 * hour],
    ["the configured expiry", 2 * hour, 12 * hour, 2 * hour],
    ["half of its life, though more is configured", 12 * hour, 12 * hour, 6 * hour],
    ["an hour before its end", undefined, 1.5 * hour, 0.5 * hour],
    ["half of its life, when that is short", undefined, hour, 0.5 * hour],
    ["half of its life, when that is very short", undefined, 10 * minute, 5 * minute],
    ["half a minute, when its provider says less", undefined, 40_000, 20_000],
    ["six hours, when nobody said when it ends", undefined, undefined, 6 * hour],
  ])("is renewed after %s", async (_, expiryMs, lifeMs, refreshMs) => {
    using set = setUp({ expiryMs });
    set.provider.lifeMs = lifeMs;
    await set.current();
    await set.clock.advance(refreshMs - 1);
    expect(set.provider.fetchedAt).toEqual([0]);
    await set.clock.advance(1);
    expect(set.provider.fetchedAt).toEqual([0, refreshMs]);
    expect(await set.current()).toBe("token 2");
  });

  test("is renewed a little earlier by chance, so that many of us do not renew in step", async () => {
    using set = setUp({ random: () => 1 });
    await set.current();
    await set.clock.advance(5.4 * hour);
    expect(set.provider.fetchedAt).toEqual([0, 5.4 * hour]);
  });

  test("serves on while it is being renewed: nobody waits", async () => {
    using set = setUp();
    await set.current();
    set.provider.gate = new Promise(() => {});
    await set.clock.advance(6 * hour);
    expect(set.manager.status()).toMatchObject({ state: "refreshing" });
    expect(await set.current()).toBe("token 1");
  });

  test("serves to its end while renewing fails, with longer and longer pauses; then nothing is served, and why is said", async () => {
    using set = setUp();
    await set.current();
    set.provider.failure = away;
    await set.clock.advance(6 * hour + 20 * minute);
    const pauses = set.provider.fetchedAt.slice(1).map((atMs, index, all) => atMs - (all[index - 1] ?? 6 * hour));
    expect(pauses).toEqual([0, 5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
    expect(await set.current()).toBe("token 1");
    expect(set.manager.status()).toMatchObject({ state: "failing", reason: "a provider: nobody there" });
    await set.clock.advance(5 * hour + 40 * minute - 10_001);
    expect(await set.current()).toBe("token 1");
    await set.clock.advance(1);
    await expect(set.current()).rejects.toBe(away);
    expect(set.manager.status()).toEqual({ description: "a provider", state: "failing", expiresAtMs: undefined, reason: "a provider: nobody there" });
    set.provider.failure = undefined;
    await set.clock.advance(300_000);
    expect(await set.current()).toMatch(/^token \d+$/);
    expect(set.manager.status()).toMatchObject({ state: "held" });
  });

  test("that cannot be had fails those who ask at once, until the next try is due", async () => {
    using set = setUp();
    set.provider.failure = away;
    set.manager.start();
    for (let again = 0; again < 3; again++) await expect(set.current()).rejects.toBe(away);
    expect(set.provider.fetchedAt).toEqual([0]);
    set.provider.failure = undefined;
    await set.clock.advance(5_000);
    expect(await set.current()).toBe("token 2");
  });

  test("that its provider does not have is no failure: the registry is asked as anybody, and the provider again later", async () => {
    using set = setUp({ expiryMs: 10 * minute });
    set.provider.isEmpty = true;
    expect(await set.manager.current("a", signal)).toBeUndefined();
    expect(set.manager.status()).toMatchObject({ state: "held", reason: undefined });
    set.provider.isEmpty = false;
    await set.clock.advance(10 * minute);
    expect(await set.current()).toBe("token 2");
    set.provider.isEmpty = true;
    await set.clock.advance(10 * minute);
    expect(await set.manager.current("a", signal)).toBeUndefined();
  });

  test("that does not come in time is given up, for all who wait", async () => {
    using set = setUp({ fetchMs: 8_000 });
    set.provider.gate = new Promise(() => {});
    const waiting = [set.current(), set.current()].map((one) => one.catch((error: unknown) => error));
    await set.clock.advance(8_000);
    for (const error of await Promise.all(waiting))
      expect(error).toMatchObject({ code: "UPSTREAM_TIMEOUT", message: "a provider: no credential within 8000 ms" });
  });

  test("whose provider hangs again after it has failed is waited for a second in each try, and then nobody waits", async () => {
    using set = setUp();
    set.provider.failure = away;
    await expect(set.current()).rejects.toBe(away);
    const gate = Promise.withResolvers<void>();
    set.provider.gate = gate.promise;
    await set.clock.advance(5_000);
    let isTold = false;
    const early = set.current().catch((error: unknown) => {
      isTold = true;
      return error;
    });
    await set.clock.advance(999);
    expect(isTold).toBe(false);
    await set.clock.advance(1);
    expect(await early).toBe(away);
    await expect(set.current()).rejects.toBe(away);
    set.provider.failure = undefined;
    gate.resolve();
    await set.clock.advance(0);
    expect(await set.current()).toBe("token 2");
    expect(set.provider.fetchedAt).toEqual([0, 5_000]);
  });

  test("is not waited for by one whose client has left", async () => {
    using set = setUp();
    set.provider.gate = new Promise(() => {});
    const abort = new AbortController();
    const waiting = set.manager.current("a", abort.signal);
    abort.abort(new Error("left"));
    await expect(waiting).rejects.toThrow("left");
  });

  test("that has ended when it comes is not taken", async () => {
    using set = setUp();
    set.provider.lifeMs = -1;
    await expect(set.current()).rejects.toMatchObject({
      code: "UPSTREAM_UNAVAILABLE",
      message: expect.stringContaining("check this machine's clock") as string,
    });
  });

  test.each([
    ["ends after the last day that a date can be", Number.MAX_SAFE_INTEGER],
    ["ends after more than a number can say", Number.POSITIVE_INFINITY],
    ["ends at a time that is none", Number.NaN],
  ])("that %s is kept as one whose end nobody told", async (_, lifeMs) => {
    using set = setUp();
    set.provider.lifeMs = lifeMs;
    expect(await set.current()).toBe("token 1");
    expect(await set.current()).toBe("token 1");
    expect(set.manager.status()).toMatchObject({ state: "held", expiresAtMs: undefined });
    await set.clock.advance(6 * hour);
    expect(set.provider.fetchedAt).toEqual([0, 6 * hour]);
    expect(set.lines.map(({ level, message }) => `${level} ${message}`)).toEqual(["info credential fetched"]);
  });

  test("of a machine that slept for a day is renewed by the first who asks", async () => {
    const clock = new SleepyClock();
    using set = setUp({ testClock: clock });
    set.provider.lifeMs = 36 * hour;
    await set.current();
    clock.sleep(24 * hour);
    expect(await set.current()).toBe("token 1");
    await clock.advance(0);
    expect(set.provider.fetchedAt).toHaveLength(2);
    clock.sleep(48 * hour);
    expect(await set.current()).toBe("token 3");
  });
});

/** Its timers and `elapsed` stand still while it sleeps; the wall clock does not. */
class SleepyClock extends TestClock {
  #sleptMs = 0;

  override now(): number {
    return super.now() + this.#sleptMs;
  }

  sleep(forMs: number): void {
    this.#sleptMs += forMs;
  }
}

describe("a credential that the registry refused", () => {
  test("is fetched anew once, for all who were refused", async () => {
    using set = setUp();
    const held = await heldBy(set.manager);
    expect(await Promise.all(Array.from({ length: 20 }, () => set.manager.renew(held, "a", signal)))).toEqual(Array.from({ length: 20 }, () => true));
    expect(set.provider.fetchedAt).toEqual([0, 0]);
    expect(await set.current()).toBe("token 2");
  });

  test("is fetched anew at most twice a minute", async () => {
    using set = setUp();
    let held = await heldBy(set.manager);
    expect(await set.manager.renew(held, "a", signal)).toBe(true);
    held = await heldBy(set.manager);
    expect(await set.manager.renew(held, "a", signal)).toBe(false);
    await set.clock.advance(29_999);
    expect(await set.manager.renew(held, "a", signal)).toBe(false);
    await set.clock.advance(1);
    expect(await set.manager.renew(held, "a", signal)).toBe(true);
    expect(set.provider.fetchedAt).toEqual([0, 0, 30_000]);
  });

  test("needs no fetch when a newer one is here already", async () => {
    using set = setUp();
    const old = await heldBy(set.manager);
    await set.clock.advance(6 * hour);
    expect(await set.manager.renew(old, "a", signal)).toBe(true);
    expect(set.provider.fetchedAt).toHaveLength(2);
  });

  test("is no better when the provider gives the same again, or fails; the old one stays", async () => {
    using set = setUp();
    set.provider.token = "same";
    const held = await heldBy(set.manager);
    expect(await set.manager.renew(held, "a", signal)).toBe(false);
    set.provider.failure = away;
    await set.clock.advance(30_000);
    expect(await set.manager.renew(held, "a", signal)).toBe(false);
    expect(await set.current()).toBe("same");
  });
});

test("a closed manager fetches no more, and leaves no timer", async () => {
  using set = setUp();
  await set.current();
  set.manager.close();
  expect(set.clock.waiting).toBe(0);
  await set.clock.advance(24 * hour);
  expect(set.provider.fetchedAt).toEqual([0]);
});

test("what is told names the provider, when it ends and what to mend, and no secret", async () => {
  using set = setUp();
  await set.current();
  set.provider.failure = new OciError("DENIED", "a provider: not permitted");
  await set.clock.advance(6 * hour);
  set.provider.failure = undefined;
  await set.clock.advance(5_000);
  expect(set.lines).toEqual([
    { level: "info", fields: { credential: "a provider", expiresAt: "2026-01-01T12:00:00.000Z" }, message: "credential fetched" },
    {
      level: "warn",
      fields: { credential: "a provider", problem: "a provider: not permitted", expiresAt: "2026-01-01T12:00:00.000Z", retryInMs: 5_000 },
      message: "credential not fetched",
    },
    { level: "info", fields: { credential: "a provider", expiresAt: "2026-01-01T18:00:05.000Z" }, message: "credential fetched" },
  ]);
  expect(JSON.stringify(set.lines)).not.toContain("token ");
});
