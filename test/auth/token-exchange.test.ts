/** The token of a workload, shown as a password: what comes back, and what does not. */
import { expect, test } from "vitest";
import type { Verdict } from "../../src/auth/authenticator.ts";
import { basicHeader } from "../../src/auth/basic.ts";
import { TokenExchange } from "../../src/auth/token-exchange.ts";
import { formBytesMax } from "../../src/auth/token-requests.ts";
import { TestClock } from "../support/test-clock.ts";

const address = "https://registry.test/zot/auth/token";
const clock = new TestClock();
const seconds = Math.floor(clock.now() / 1_000);

/** Knows one token, one that is over, and one that nobody can judge. */
const issuer = {
  recall: () => undefined,
  async judge(token: string): Promise<Verdict> {
    const principal = { name: "builder", groups: [], method: "oidc", claims: { exp: seconds + 600 } } as const;
    if (token === "good.token.x") return { kind: "admitted", principal };
    if (token === "old.token.x") return { kind: "refused", reason: "over", error: "invalid_token" };
    return token === "odd.token.x" ? { kind: "unavailable", reason: "away" } : { kind: "none" };
  },
};
const stranger = { recall: () => undefined, judge: async (): Promise<Verdict> => ({ kind: "none" }) };

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
  readonly waited: readonly (readonly string[])[];
}

async function ask(init: RequestInit, authorization: readonly string[] = []): Promise<Answer> {
  const waited: (readonly string[])[] = [];
  const failDelay = { wait: async (shown: readonly string[]): Promise<void> => void waited.push(shown) };
  const exchange = new TokenExchange({ realm: "registry.test", issuers: [stranger, issuer], failDelay, clock });
  const response = await exchange.handle(new Request(address, init), { authorization });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown>, waited }; // Always an object.
}

const password = (token: string): readonly string[] => [basicHeader({ user: "whoever", password: token })];
const form = (fields: Record<string, string>): RequestInit => ({ method: "POST", body: new URLSearchParams(fields) });
const given = { token: "good.token.x", access_token: "good.token.x", expires_in: 600, issued_at: new Date(clock.now()).toISOString() };

test("a good one comes back as it is, with what is left of its life, and nobody on the way may keep it", async () => {
  const { status, body, headers, waited } = await ask({}, password("good.token.x"));
  expect([status, body, waited]).toEqual([200, given, []]);
  expect(headers.get("cache-control")).toBe("no-store");
});

test.each(["password", "id_token", "access_token", "refresh_token", "token"])("it may stand in a form, as %s", async (field) => {
  expect(await ask(form({ grant_type: "password", username: "whoever", [field]: "good.token.x" }))).toMatchObject({ status: 200, body: given });
});

test("a password in the header comes before the form; what nobody knows leaves the next a chance", async () => {
  expect(await ask(form({ token: "good.token.x" }), password("old.token.x"))).toMatchObject({ status: 401 });
  expect(await ask(form({ token: "good.token.x" }), password("no token"))).toMatchObject({ status: 200, body: given });
});

test.each([
  ["nothing", {}, [], 0],
  ["an empty login", {}, ["Basic Og=="], 0],
  ["one that is over", {}, password("old.token.x"), 1],
  ["a password that is none", {}, password("secret"), 1],
  ["one that is over, in a form", form({ token: "old.token.x" }), [], 1],
  ["two Authorization headers", {}, [...password("good.token.x"), ...password("good.token.x")], 1],
  ["a token that is no password", {}, ["Bearer good.token.x"], 1],
] as const)("%s is 401, and asks for a password", async (_, init, authorization, delays) => {
  const { status, headers, body, waited } = await ask(init, authorization);
  expect([status, headers.get("www-authenticate"), waited.length]).toEqual([401, 'Basic realm="registry.test"', delays]);
  expect(body["errors"]).toEqual([{ code: "UNAUTHORIZED", message: expect.any(String) }]);
  expect(JSON.stringify(body)).not.toContain("token.x");
});

test("while nobody can judge it, it is 503, which no client takes for a wrong password", async () => {
  const { status, headers } = await ask({}, password("odd.token.x"));
  expect([status, headers.get("retry-after"), headers.get("www-authenticate")]).toEqual([503, "5", null]);
});

test.each([
  ["another method", { method: "PUT" }, 405],
  ["a form that is none", { method: "POST", body: "{}", headers: { "content-type": "application/json" } }, 400],
  ["a form without end", form({ token: "x".repeat(formBytesMax) }), 413],
] as const)("%s is %s", async (_, init, status) => {
  expect((await ask(init)).status).toBe(status);
});
