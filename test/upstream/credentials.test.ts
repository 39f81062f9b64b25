/** Credentials of every kind, as sources will give them: what the registry and its token service see of each. */
import { describe, expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { AddressPolicy, ListedAddresses } from "../../src/upstream/address-policy.ts";
import { Authenticator } from "../../src/upstream/authenticator.ts";
import { BearerTokens } from "../../src/upstream/bearer-tokens.ts";
import { anonymous, passwordSource, type Credential } from "../../src/upstream/credentials.ts";
import { HttpClient } from "../../src/upstream/http-client.ts";
import { NameLookup } from "../../src/upstream/name-lookup.ts";
import { Origins } from "../../src/upstream/origins.ts";
import { Proxies } from "../../src/upstream/proxies.ts";
import { fetchToken } from "../../src/upstream/token-service.ts";
import { defaultDeadlines } from "../../src/upstream/upstream-options.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";

const { signal } = new AbortController();

async function setUp(credential: Credential) {
  const stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeUpstream());
  const tokens = stack.use(await startFakeTokenService());
  fake.authentication = { kind: "bearer", tokens };
  const own = new URL(fake.url);
  const listed = new ListedAddresses();
  listed.addUrl(own);
  const background = new Background(silentLog);
  const common = { clock: systemClock, background, log: silentLog, userAgent: "test" };
  const policy = new AddressPolicy({ listed: () => listed, own, isListed: true });
  const names = new NameLookup({ clock: systemClock, background, lookupMs: 1_000 });
  const client = new HttpClient({ policy, names, proxies: new Proxies(), tls: undefined, clock: systemClock, background, deadlines: defaultDeadlines });
  stack.defer(() => client.close());
  const origins = new Origins({ ...common, client, own });
  const bearerTokens = new BearerTokens({ ...common, tokenMs: 1_000, fetch: (request, until) => fetchToken(request, until, { ...common, origins }) });
  const authenticator = new Authenticator({
    own,
    credentials: {
      ...anonymous,
      current: () => Promise.resolve(credential),
      renew() {
        renewals++;
        return Promise.resolve(false);
      },
    },
    realmHosts: () => [tokens.host],
    origins,
    tokens: bearerTokens,
    refused: { tell() {} },
    userAgent: "test",
  });
  let renewals = 0;
  /** What is sent after the registry's 401. */
  const answer = async () => {
    const first = await authenticator.first("team/app", signal);
    const headers: Record<string, string> = first.header === undefined ? {} : { authorization: first.header };
    const reply = await origins.send({ url: new URL("/v2/team/app/manifests/latest", own), method: "GET", headers, lane: "metadata", signal });
    reply.body.discard();
    return authenticator.next(reply, first, "team/app", signal);
  };
  return {
    fake,
    tokens,
    authenticator,
    answer,
    get renewals() {
      return renewals;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

describe("a credential that is", () => {
  test("a registry's own token is sent as it is, and no token service is asked", async () => {
    await using set = await setUp({ kind: "bearer", id: "one", token: "mine" });
    expect(await set.authenticator.first("team/app", signal)).toMatchObject({ header: "Bearer mine", isPrivileged: true });
    expect(await set.answer()).toBeUndefined();
    expect(set.tokens.requests).toEqual([]);
  });

  test("shown unasked buys a token where the registry names who sells one, and no other is fetched for that", async () => {
    await using set = await setUp({ kind: "basic", id: "one", user: "AWS", password: "p", isShownUnasked: true });
    set.tokens.users.set("AWS", "p");
    expect(await set.answer()).toMatchObject({ header: "Bearer token-1", isPrivileged: true });
    expect(set.fake.log.map(({ headers }) => headers.authorization?.split(" ")[0])).toEqual(["Basic"]);
    expect(set.renewals).toBe(0);
  });

  test("a refresh token buys by POST", async () => {
    await using set = await setUp({ kind: "identity", id: "one", token: "refresh me" });
    set.tokens.when({ kind: "token" }, { status: 200, body: '{"access_token":"bought"}' });
    expect(await set.answer()).toMatchObject({ header: "Bearer bought", isPrivileged: true });
    const [{ method, body } = { method: "", body: "" }] = set.tokens.log;
    expect(method).toBe("POST");
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      grant_type: "refresh_token",
      client_id: "ociregistry",
      service: "fake",
      scope: "repository:team/app:pull",
      refresh_token: "refresh me",
    });
    expect(set.tokens.log[0]?.url).toBe("/token");
  });

  test("a refresh token buys by GET where POST is not known", async () => {
    await using set = await setUp({ kind: "identity", id: "one", token: "refresh" });
    set.tokens.users.set("<token>", "refresh");
    expect(await set.answer()).toMatchObject({ header: "Bearer token-1", isPrivileged: true });
    expect(set.tokens.log.map(({ method }) => method)).toEqual(["POST", "GET"]);
  });
});

test("another password is another credential, and neither can be read from its id", async () => {
  const [first, second] = await Promise.all(
    ["one", "two"].map((password) => passwordSource({ user: "robot", password: new Secret(password) }).current("team/app", signal)),
  );
  expect([first?.id === second?.id, JSON.stringify([first?.id, second?.id]).includes("two")]).toEqual([false, false]);
  expect(second).toMatchObject({ kind: "basic", user: "robot", password: "two" });
});
