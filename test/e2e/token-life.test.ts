/** The whole life of one token of Amazon's, from the first fetch to the last, with a cache in front that never notices most of it. */
import { afterEach, expect, test, vi } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { startFakeAws } from "../support/fake-aws.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { lookUntil } from "../support/looking.ts";
import { pullManifest, repositoryAt, startTestCache } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";
import { failureOf } from "../upstream/asking.ts";
import { one, startAwsPlace, variablesOf } from "../upstream/aws-asking.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const hourMs = 3_600_000;
const secondMs = 1_000;
const asked = `ecr:GetAuthorizationToken ${one} us-east-1`;

async function setUp() {
  vi.spyOn(Math, "random").mockReturnValue(0); // No jitter: every time is exact.
  const stack = new AsyncDisposableStack();
  const place = stack.use(await startAwsPlace());
  const clock = new TestClock();
  const aws = stack.use(await startFakeAws({ clock, signers: systemClock }));
  place.environment(variablesOf(aws.addUser(one, "puller")));
  const upstream = stack.use(await startFakeUpstream());
  upstream.authentication = { kind: "ecr", aws, account: one };
  const warned: unknown[] = [];
  const log = { debug() {}, info() {}, warn: (fields: unknown) => warned.push(fields), error() {} };
  const auth = { credential: { kind: "ecr", region: "us-east-1", endpoint: aws.url } } as const;
  const cache = stack.use(await startTestCache({ upstreams: [{ host: upstream.host, auth }], clock, upstreamClock: clock, log }));
  const status = () => cache.upstreams.status()[0]?.credential;
  let images = 0;
  return {
    clock,
    aws,
    upstream,
    warned,
    status,
    pull: (path: string) => pullManifest(cache, repositoryAt(upstream.host, path), "1"),
    /** An image that nobody has pulled before. */
    newImage: (): string => {
      const path = `team/app-${++images}`;
      upstream.putImage(path, "1");
      return path;
    },
    /** Who the upstream was last told that we are. */
    shown: () => upstream.log.at(-1)?.headers.authorization,
    /** Lets time pass until renewing has failed once more, in steps so small that each try has its answer within its deadline. */
    async untilRefused() {
      const isTrying = () => status()?.state === "fetching" || status()?.state === "refreshing";
      const before = warned.length;
      while (isTrying() || warned.length === before || !JSON.stringify(warned.at(-1)).includes("connection refused")) {
        await clock.advance(5 * secondMs);
        await lookUntil(
          () => Promise.resolve(isTrying()),
          (stillTrying) => !stillTrying,
          { waitMs: 10_000, everyMs: 5 },
        );
      }
    },
    /** Resolves when the credential stands so, and the stand-in has seen that many calls in all. */
    until: async (state: string, calls: number): Promise<void> => {
      const seen = await lookUntil(
        () => Promise.resolve([status()?.state, aws.asked.length]),
        ([stateNow, callsNow]) => stateNow === state && callsNow === calls,
        { waitMs: 10_000, everyMs: 5 },
      );
      expect(seen).toEqual([state, calls]);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

test("a token is fetched, renewed behind the scenes, outlives failures, ends closed in an outage, and comes back; a refused one is replaced", async () => {
  await using set = await setUp();
  const { clock, aws, upstream, pull, newImage, status, until, shown } = set;
  const endsInMs = (): number => (status()?.expiresAtMs ?? 0) - clock.now();

  // Fetched before anybody asks.
  await until("held", 1);
  const first = newImage();
  expect((await pull(first)).outcome).toBe("miss");
  const firstShown = shown();
  expect([endsInMs(), aws.asked]).toEqual([12 * hourMs, [asked]]);

  // Renewed at half of its life, not a second before, and nobody waits for that.
  await clock.advance(6 * hourMs - secondMs);
  expect(aws.asked).toHaveLength(1);
  const { promise: patience, resolve: answer } = Promise.withResolvers<void>();
  const behave = aws.when({}, { hold: patience });
  await clock.advance(secondMs);
  await aws.waitForRequests(2);
  expect((await pull(newImage())).outcome).toBe("miss");
  expect([status()?.state, shown() === firstShown]).toEqual(["refreshing", true]);
  behave();
  answer();
  await until("held", 2);
  expect(endsInMs()).toBe(12 * hourMs);
  expect((await pull(newImage())).outcome).toBe("miss");
  expect(shown()).not.toBe(firstShown);

  // Renewing fails three times (the SDK asks twice each time): after 5, 10 and 20 s it is tried again; pulls go on.
  aws.fail("ecr:GetAuthorizationToken", { code: "ServerException", status: 500, times: 6 });
  await clock.advance(6 * hourMs);
  await until("failing", 4);
  for (const [pauseMs, calls] of [
    [5 * secondMs, 6],
    [10 * secondMs, 8],
  ] as const) {
    await clock.advance(pauseMs - 1);
    expect(aws.asked).toHaveLength(calls - 2);
    expect((await pull(newImage())).outcome).toBe("miss");
    await clock.advance(1);
    await until("failing", calls);
  }
  expect(set.warned).toHaveLength(3);
  await clock.advance(20 * secondMs);
  await until("held", 9);
  expect(endsInMs()).toBe(12 * hourMs);

  // AWS is away from the next renewal on. The token serves to its end, and not beyond.
  await aws.refuse();
  await clock.advance(12 * hourMs - 11 * secondMs);
  expect((await pull(newImage())).outcome).toBe("miss");
  await clock.advance(secondMs);
  await set.untilRefused();
  upstream.forget();
  const absent = newImage();
  const failure = await failureOf(pull(absent), "UPSTREAM_UNAVAILABLE");
  expect(failure.message).toBe(`the credential for ${upstream.host} cannot be had now: what is wrong with it stands in the log of this server`);
  const held = await pull(first);
  expect([held.outcome, held.warnings]).toEqual([
    "stale",
    [expect.stringContaining(`upstream ${upstream.host} unavailable; served from cache, last checked 2026-`)],
  ]);
  expect(upstream.requests).toEqual([]);
  expect(set.warned.at(-1)).toMatchObject({ credential: `ecr in us-east-1`, problem: expect.stringContaining("connection refused") as string });
  expect([status()?.state, status()?.expiresAtMs]).toEqual(["failing", undefined]);

  // AWS is back: at the next try, five minutes later at most, everything is as before.
  await aws.accept();
  await clock.advance(300 * secondMs);
  await until("held", 10);
  expect((await pull(absent)).outcome).toBe("miss");
  expect(await pull(first)).toMatchObject({ warnings: [] });

  // The registry takes it no more: one call for all who were refused.
  aws.revokeTokens();
  upstream.forget();
  const refused = newImage();
  expect((await pull(refused)).outcome).toBe("miss");
  expect(upstream.requests.slice(0, 2)).toEqual([`HEAD /v2/${refused}/manifests/1`, `HEAD /v2/${refused}/manifests/1`]);
  expect(aws.asked).toEqual(Array.from({ length: 11 }, () => asked));
});
