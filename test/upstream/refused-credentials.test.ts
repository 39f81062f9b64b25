/** What the operator hears of a credential that a registry does not take. */
import { expect, test } from "vitest";
import { Secret } from "../../src/oci/secret.ts";
import type { UpstreamRegistryOptions } from "../../src/upstream/upstream-options.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { passwordAuth } from "../support/password-auth.ts";
import { TestClock } from "../support/test-clock.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

type Line = Readonly<Record<string, unknown>>;

async function setUp(registry: Partial<UpstreamRegistryOptions>) {
  const stack = new AsyncDisposableStack();
  const clock = new TestClock();
  const fake = stack.use(await startFakeUpstream());
  fake.authentication = { kind: "basic", name: "robot", password: "right" };
  fake.putImage("team/app", "latest");
  fake.putImage("other/app", "latest");
  const lines: Line[] = [];
  const warn = (fields: unknown, message: string): number => lines.push({ ...(fields as Line), message }); // Every line of ours has fields.
  const log = { debug() {}, info() {}, warn, error() {} };
  const upstreams = stack.use(startUpstreams([listedAs(fake, registry)], { clock, log }));
  const pull = (path = "team/app") => upstreams.getManifest(repositoryAt(fake.host, path), reference(), call());
  return { fake, clock, lines, pull, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test("a password that is refused is told of once in ten minutes, with who refused it, for what, and where to look", async () => {
  await using set = await setUp({ auth: passwordAuth("robot", "wrong") });
  await failureOf(set.pull(), "DENIED");
  await failureOf(set.pull("other/app"), "DENIED");
  const line = {
    upstream: set.fake.host,
    repository: "team/app",
    credential: "password: user robot",
    problem: `${set.fake.host} answered 401: check user and password in its auth, and what that user may read; or there is no such repository, which many registries do not tell apart`,
    message: "credential refused",
  };
  expect(set.lines).toEqual([line]);
  await set.clock.advance(600_000);
  await failureOf(set.pull("other/app"), "DENIED");
  expect(set.lines).toEqual([line, { ...line, repository: "other/app" }]);
});

test("each of a registry's credentials is told of by itself, and one that is taken not at all", async () => {
  const scopedAuth = [{ match: "team/*", matches: (path: string) => path.startsWith("team/"), auth: passwordAuth("robot", "right") }];
  await using set = await setUp({ auth: { credential: { kind: "static", token: new Secret("cm9ib3Q6d3Jvbmc="), scheme: "basic" } }, scopedAuth });
  await set.pull();
  expect(set.lines).toEqual([]);
  await failureOf(set.pull("other/app"), "DENIED");
  expect(set.lines).toMatchObject([{ repository: "other/app", credential: "static: user robot", problem: expect.stringContaining("staticFile") as string }]);
});

test("one that buys no token is told of with who sells none", async () => {
  await using tokens = await startFakeTokenService();
  await using set = await setUp({ auth: passwordAuth("robot", "wrong", [tokens.host]) });
  set.fake.authentication = { kind: "bearer", tokens };
  tokens.users.set("robot", "right");
  await failureOf(set.pull(), "DENIED");
  await failureOf(set.pull(), "DENIED");
  expect(set.lines).toMatchObject([
    { upstream: set.fake.host, problem: expect.stringContaining(`${tokens.host} gives no token for ${set.fake.host}`) as string },
  ]);
  expect(set.lines).toHaveLength(1);
});

test("one whose token does not open the repository is told of too", async () => {
  await using tokens = await startFakeTokenService();
  await using set = await setUp({ auth: passwordAuth("robot", "right", [tokens.host]) });
  set.fake.authentication = { kind: "bearer", tokens };
  tokens.users.set("robot", "right");
  tokens.givesUselessTokens = true;
  await failureOf(set.pull(), "DENIED");
  expect(set.lines).toMatchObject([{ credential: "password: user robot", problem: expect.stringContaining(`${set.fake.host} answered 401`) as string }]);
});

test("who asks as anybody and is refused is told of to nobody: there is nothing to mend", async () => {
  await using set = await setUp({});
  await failureOf(set.pull(), "DENIED");
  expect(set.lines).toEqual([]);
});
