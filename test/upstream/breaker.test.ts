import { describe, expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { OciError } from "../../src/oci/errors.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Breaker } from "../../src/upstream/breaker.ts";
import { ConnectFailure } from "../../src/upstream/errors.ts";
import { TestClock } from "../support/test-clock.ts";

const refused = new ConnectFailure("UPSTREAM_UNAVAILABLE", "connection refused by r", { source: "upstream" });
const silent = new OciError("UPSTREAM_TIMEOUT", "no answer from r", { source: "upstream" });
const ill = new OciError("UPSTREAM_UNAVAILABLE", "r answered 503", { source: "upstream" });
const throttled = (retryAfterMs: number) => new OciError("UPSTREAM_THROTTLED", "r answered 429", { source: "upstream", retryAfterMs });

function setUp() {
  const clock = new TestClock();
  const upstream = { health: "away" as "away" | "ill" | "well", probes: [] as number[] };
  const probe = async () => {
    upstream.probes.push(clock.elapsed());
    if (upstream.health === "away") throw refused;
    return upstream.health;
  };
  const changes: string[] = [];
  const breaker = new Breaker({ clock, background: new Background(silentLog), probe, onChange: ({ kind }) => changes.push(kind) });
  return { clock, upstream, breaker, changes };
}

describe("a breaker", () => {
  test.each([refused, silent])("opens at once when %s", (error) => {
    const { breaker } = setUp();
    breaker.enter().failed(error);
    expect(() => breaker.enter()).toThrow(error.message);
    expect(breaker.status()).toMatchObject({ state: "failing", reason: error.message, retryInMs: 1_000 });
  });

  test("opens after three failures in a row that might each pass", () => {
    const { breaker } = setUp();
    for (const outcome of ["fail", "fail", "succeed", "fail", "fail"]) {
      if (outcome === "fail") breaker.enter().failed(ill);
      else breaker.enter().succeeded();
    }
    expect(breaker.status().state).toBe("ready");
    breaker.enter().failed(ill);
    expect(() => breaker.enter()).toThrow("503");
  });

  test("counts what told nothing neither way", () => {
    const { breaker } = setUp();
    breaker.enter().failed(ill);
    breaker.enter().failed(ill);
    breaker.enter().abstained();
    breaker.enter().failed(ill);
    expect(breaker.status().state).toBe("failing");
  });

  test("answers with the error that opened it and the time until the next attempt", async () => {
    const { breaker, clock } = setUp();
    breaker.enter().failed(silent);
    await clock.advance(400);
    try {
      breaker.enter();
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "UPSTREAM_TIMEOUT", source: "upstream", retryAfterMs: 1_000, cause: silent });
    }
  });

  test("probes by itself, and finds a recovery within five seconds", async () => {
    const { breaker, clock, upstream } = setUp();
    breaker.enter().failed(refused);
    await clock.advance(60_000);
    expect(upstream.probes.slice(0, 4)).toEqual([1_000, 3_000, 5_000, 7_000]);
    upstream.health = "well";
    await clock.advance(5_000);
    expect(breaker.status().state).toBe("ready");
    breaker.enter().succeeded();
    breaker.enter();
    breaker.enter();
  });

  test("lets one request through on trial; if it fails, nobody else waits", async () => {
    const { breaker, clock, upstream, changes } = setUp();
    breaker.enter().failed(ill);
    breaker.enter().failed(refused);
    upstream.health = "well";
    await clock.advance(1_000);
    const trial = breaker.enter();
    expect(() => breaker.enter()).toThrow();
    trial.failed(ill);
    expect(() => breaker.enter()).toThrow("503");
    await clock.advance(2_000);
    const second = breaker.enter();
    second.abstained();
    breaker.enter().succeeded();
    breaker.enter();
    expect(changes).toEqual(["opened", "closed"]);
  });

  test("is tried now and then though its probe only shows that it is ill", async () => {
    const { breaker, clock, upstream } = setUp();
    breaker.enter().failed(refused);
    upstream.health = "ill";
    await clock.advance(10_000);
    expect(() => breaker.enter()).toThrow("refused");
    await clock.advance(10_000);
    breaker.enter().succeeded();
    expect(breaker.status().state).toBe("ready");
  });

  test("does not wait for ever for a trial that nobody reports", async () => {
    const { breaker, clock, upstream } = setUp();
    breaker.enter().failed(refused);
    upstream.health = "well";
    await clock.advance(1_000);
    breaker.enter();
    expect(() => breaker.enter()).toThrow();
    await clock.advance(30_000);
    breaker.enter().succeeded();
    expect(breaker.status().state).toBe("ready");
  });

  test("stops probing when nobody has asked for ten minutes, and tries when somebody does", async () => {
    const { breaker, clock, upstream } = setUp();
    breaker.enter().failed(refused);
    await clock.advance(3_600_000);
    expect(upstream.probes.at(-1)).toBeLessThan(602_000);
    expect(clock.waiting).toBe(0);
    breaker.enter().succeeded();
    expect(breaker.status().state).toBe("ready");
  });

  test("pauses for as long as a 429 asks, and is then open to all", async () => {
    const { breaker, clock, changes } = setUp();
    breaker.enter().failed(throttled(60_000));
    expect(breaker.status()).toEqual({ state: "throttled", reason: "r answered 429", retryInMs: 60_000 });
    await clock.advance(59_999);
    try {
      breaker.enter();
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "UPSTREAM_THROTTLED", retryAfterMs: 1_000 });
    }
    await clock.advance(1);
    breaker.enter();
    breaker.enter();
    expect(changes).toEqual(["throttled", "closed"]);
  });

  test("never asks a client to stay away longer than thirty seconds", () => {
    const { breaker } = setUp();
    breaker.enter().failed(throttled(86_400_000));
    try {
      breaker.enter();
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ retryAfterMs: 30_000 });
    }
  });

  test("that is closed probes no more, whatever a probe on its way says", async () => {
    const { breaker, clock, upstream } = setUp();
    breaker.enter().failed(refused);
    const probing = clock.advance(1_000);
    breaker.close();
    await probing;
    await clock.advance(60_000);
    expect(upstream.probes.length).toBeLessThanOrEqual(1);
    expect(clock.waiting).toBe(0);
  });

  test("hears a passage once", () => {
    const { breaker } = setUp();
    const passage = breaker.enter();
    passage.succeeded();
    passage.failed(refused);
    expect(breaker.status().state).toBe("ready");
  });
});
