import { describe, expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { OciError } from "../../src/oci/errors.ts";
import { silentLog } from "../../src/oci/log.ts";
import { BearerTokens, type IssuedToken, type TokenRequest } from "../../src/upstream/bearer-tokens.ts";
import { TestClock } from "../support/test-clock.ts";
import { failureOf } from "./asking.ts";

const request: TokenRequest = { realm: new URL("https://auth.example/token"), service: "s", scope: "repository:a:pull", credential: undefined };
const { signal } = new AbortController();

function setUp(issue: (clock: TestClock) => Partial<IssuedToken> | Promise<IssuedToken> = () => ({})) {
  const clock = new TestClock();
  const fetched: TokenRequest[] = [];
  const warned: string[] = [];
  const tokens = new BearerTokens({
    clock,
    background: new Background({ ...silentLog, warn: (_, message) => warned.push(message) }),
    tokenMs: 8_000,
    fetch: async (wanted) => {
      fetched.push(wanted);
      return { token: `token-${fetched.length}`, expiresInSeconds: undefined, issuedAtMs: undefined, ...(await issue(clock)) };
    },
  });
  const get = async (more: Partial<TokenRequest> = {}) => (await tokens.get({ ...request, ...more }, signal)).token.value;
  return { clock, tokens, fetched, warned, get };
}

describe("a bearer token", () => {
  test("lives for a minute when nobody says how long, ten seconds of which it is not used any more", async () => {
    const { clock, get } = setUp();
    await get();
    await clock.advance(47_000);
    expect(await get()).toBe("token-1");
    await clock.advance(3_000);
    expect(await get()).toBe("token-2");
  });

  test("is given to nobody in the last tenth of its life", async () => {
    const { clock, get, fetched } = setUp(() => ({ expiresInSeconds: 1_000 }));
    await get();
    await clock.advance(799_000);
    expect(await get()).toBe("token-1");
    expect(fetched).toHaveLength(1);
    await clock.advance(101_001);
    expect(await get()).toBe("token-2");
  });

  test("is renewed behind the scenes from four fifths of its life on", async () => {
    const { clock, get, fetched } = setUp(() => ({ expiresInSeconds: 1_000 }));
    await get();
    await clock.advance(800_000);
    expect(await get()).toBe("token-1");
    await clock.advance(0);
    expect(fetched).toHaveLength(2);
    expect(await get()).toBe("token-2");
  });

  test("stays in use while its renewal fails, and nobody is told of that", async () => {
    let isDown = false;
    const { clock, get, warned } = setUp(() => (isDown ? Promise.reject(new OciError("UPSTREAM_UNAVAILABLE", "down")) : { expiresInSeconds: 1_000 }));
    await get();
    isDown = true;
    await clock.advance(850_000);
    expect(await get()).toBe("token-1");
    await clock.advance(10);
    expect(await get()).toBe("token-1");
    expect(warned).toEqual([]);
  });

  test("counts from when it was issued, unless that clock is minutes off", async () => {
    const { clock, get } = setUp((now) => ({ expiresInSeconds: 300, issuedAtMs: now.now() - 200_000 }));
    await get();
    await clock.advance(71_000);
    expect(await get()).toBe("token-2");
    const skewed = setUp((now) => ({ expiresInSeconds: 300, issuedAtMs: now.now() - 3_600_000 }));
    await skewed.get();
    await skewed.clock.advance(71_000);
    expect(await skewed.get()).toBe("token-1");
  });

  test("is no other credential's, service's, realm's or scope's; the order of scopes does not matter", async () => {
    const { get, fetched } = setUp();
    await get();
    await get({ scope: "repository:b:pull" });
    await get({ service: "t" });
    await get({ realm: new URL("https://auth.example/other") });
    await get({ credential: { kind: "basic", id: "one", user: "u", password: "p" } });
    await get({ credential: { kind: "basic", id: "two", user: "u", password: "q" } });
    expect(fetched).toHaveLength(6);
    expect(await get({ scope: "x y" })).toBe(await get({ scope: "y x" }));
  });

  test("that was refused is dropped, but not its successor", async () => {
    const { tokens, get } = setUp();
    const { token } = await tokens.get(request, signal);
    tokens.drop(request, token);
    expect(await get()).toBe("token-2");
    tokens.drop(request, token);
    expect(await get()).toBe("token-2");
  });

  test("whose fetch fails fails all who wait, and is fetched again for the next", async () => {
    let isDown = true;
    const { get, fetched } = setUp(() => (isDown ? Promise.reject(new OciError("UPSTREAM_UNAVAILABLE", "down")) : {}));
    await Promise.all([failureOf(get()), failureOf(get())]);
    expect(fetched).toHaveLength(1);
    isDown = false;
    expect(await get()).toBe("token-2");
  });

  test("is still fetched when the one who asked has left", async () => {
    const { promise, resolve } = Promise.withResolvers<IssuedToken>();
    const { tokens, get, fetched } = setUp(() => promise);
    const leaving = new AbortController();
    const first = tokens.get(request, leaving.signal);
    leaving.abort(new Error("gone"));
    await expect(first).rejects.toThrow("gone");
    resolve({ token: "shared", expiresInSeconds: 60, issuedAtMs: undefined });
    expect(await get()).toBe("shared");
    expect(fetched).toHaveLength(1);
  });
});
