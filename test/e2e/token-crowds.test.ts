/** Tokens and crowds: how many are bought when many pull at once, and what becomes of a long pull whose token ends on the way. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { startFakeAws } from "../support/fake-aws.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { passwordAuth } from "../support/password-auth.ts";
import { pullBlob, pullManifest, repositoryAt, startTestCache, type TestCache } from "../support/test-cache.ts";
import { TestClock } from "../support/test-clock.ts";
import { one, startAwsPlace, variablesOf } from "../upstream/aws-asking.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

test("200 pulls of 20 repositories at once buy 20 tokens", async () => {
  await using upstream = await startFakeUpstream();
  await using tokens = await startFakeTokenService();
  upstream.authentication = { kind: "bearer", tokens };
  tokens.users.set("robot", "s3cret");
  const repositories = Array.from({ length: 20 }, (_, at) => `team/app-${at}`);
  const tags = Array.from({ length: 10 }, (_, at) => `${at}`);
  const images = repositories.flatMap((repository) => tags.map((tag) => ({ repository, tag })));
  for (const { repository, tag } of images) {
    tokens.privateRepositories.add(repository);
    upstream.putImage(repository, tag);
  }
  await using cache = await startTestCache({ upstreams: [{ host: upstream.host, auth: passwordAuth("robot", "s3cret", [tokens.host]) }] });
  const { promise: patience, resolve: answer } = Promise.withResolvers<void>();
  tokens.when({}, { hold: patience });
  const pulls = images.map(({ repository, tag }) => pullManifest(cache, repositoryAt(upstream.host, repository), tag));
  await Promise.all([upstream.waitForRequests(images.length), tokens.waitForRequests(repositories.length)]);
  answer();
  expect(new Set((await Promise.all(pulls)).map(({ outcome }) => outcome))).toEqual(new Set(["miss"]));
  const bought = repositories.map((repository) => `GET /token?service=fake&scope=${encodeURIComponent(`repository:${repository}:pull`)}`);
  expect(tokens.requests.toSorted()).toEqual(bought.toSorted());
});

const layers = 40;
const atOnce = 3;

/** An image of many layers, pulled as clients do, a few layers at once; `atHalf` happens when half of them have come. */
async function pullLayers(cache: TestCache, upstream: FakeUpstream, atHalf: () => void | Promise<void>): Promise<number> {
  const repository = repositoryAt(upstream.host, "team/app");
  const contents = Array.from({ length: layers }, (_, at) => seededBytes(100_000 + at, `layer ${at}`));
  const waiting: { digest: Digest; bytes: Buffer }[] = contents.map((bytes) => ({ bytes, digest: upstream.putBlob("team/app", bytes) }));
  let exact = 0;
  const pullOn = async (leftOver: number): Promise<void> => {
    while (waiting.length > leftOver) {
      const layer = waiting.shift();
      if (!layer) return;
      const { bytes } = await pullBlob(cache, repository, layer.digest);
      if (bytes.equals(layer.bytes)) exact++;
    }
  };
  for (const leftOver of [layers / 2, 0]) {
    await Promise.all(Array.from({ length: atOnce }, () => pullOn(leftOver)));
    if (leftOver > 0) await atHalf();
  }
  return exact;
}

describe("an image of 40 layers comes whole", () => {
  test.each([undefined, 400, 403] as const)("though its token ends half-way, which the registry says by %s", async (expiredStatus) => {
    await using upstream = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    upstream.authentication = { kind: "bearer", tokens, ...(expiredStatus === undefined ? {} : { expiredStatus }) };
    tokens.users.set("robot", "s3cret");
    await using cache = await startTestCache({ upstreams: [{ host: upstream.host, auth: passwordAuth("robot", "s3cret", [tokens.host]) }] });
    expect(await pullLayers(cache, upstream, () => tokens.expireAll())).toBe(layers);
    expect(tokens.requests).toHaveLength(2);
    // Those that began without a token, or with the one that had ended, are asked for twice.
    expect(upstream.requests.length).toBeLessThanOrEqual(layers + 2 * atOnce);
    expect(new Set(upstream.requests).size).toBe(layers);
  });

  test("though its token lives for half of it: the next is bought before the registry has to refuse", async () => {
    await using upstream = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    const clock = new TestClock();
    tokens.expiresInSeconds = 60;
    upstream.authentication = { kind: "bearer", tokens };
    await using cache = await startTestCache({ upstreams: [{ host: upstream.host }], upstreamClock: clock });
    const atHalf = async (): Promise<void> => {
      tokens.expireAll();
      upstream.forget();
      await clock.advance(60_000);
    };
    expect(await pullLayers(cache, upstream, atHalf)).toBe(layers);
    expect(tokens.requests).toHaveLength(2);
    expect(upstream.requests).toHaveLength(layers / 2);
  });

  test("though Amazon's registry refuses its token half-way: one more is fetched", async () => {
    await using place = await startAwsPlace();
    await using aws = await startFakeAws();
    place.environment(variablesOf(aws.addUser(one, "puller")));
    await using upstream = await startFakeUpstream();
    upstream.authentication = { kind: "ecr", aws, account: one };
    const auth = { credential: { kind: "ecr", region: "us-east-1", endpoint: aws.url } } as const;
    await using cache = await startTestCache({ upstreams: [{ host: upstream.host, auth }] });
    expect(await pullLayers(cache, upstream, () => aws.revokeTokens())).toBe(layers);
    expect(aws.asked).toEqual(Array.from({ length: 2 }, () => `ecr:GetAuthorizationToken ${one} us-east-1`));
    expect(upstream.requests.length).toBeLessThanOrEqual(layers + atOnce);
  });
});
