import { request as httpRequest } from "node:http";
import { describe, expect, test } from "vitest";
import { AccessTokens } from "../../src/auth/access-tokens.ts";
import { basicHeader } from "../../src/auth/basic.ts";
import type { Verdict } from "../../src/auth/authenticator.ts";
import type { Grants } from "../../src/auth/token-service.ts";
import { TokenVerifier } from "../../src/auth/token-verifier.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { passwordLine, startTokenService, type OwnTokenService, type OwnTokenServiceOptions } from "../support/token-service.ts";

/** Everybody may read public/, alice private/ too, and write there. */
const grants: Grants = {
  admitsAnonymous: true,
  allowsCatalog: (principal) => principal !== undefined,
  allows: (principal, action, repository) => {
    const name = repositoryName(repository);
    if (name.startsWith("docker.io/public/")) return action === "read";
    return principal?.name === "alice" && name.startsWith("docker.io/private/") && action !== "delete";
  },
};
const aliceLine = passwordLine("alice", "secret");
const alice = { authorization: basicHeader({ user: "alice", password: "secret" }) };
const wrong = { authorization: basicHeader({ user: "alice", password: "wrong" }) };

interface Setup extends AsyncDisposable {
  readonly clock: TestClock;
  readonly service: OwnTokenService;
  get(query: string, headers?: Record<string, string>): Promise<Answer>;
  post(form: Record<string, string>, headers?: Record<string, string>): Promise<Answer>;
  judge(token: unknown): Promise<Verdict>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function setup(more: Partial<OwnTokenServiceOptions> = {}): Promise<Setup> {
  const folder = await temporaryFolder();
  const clock = new TestClock();
  const service = await startTokenService({ folder: folder.path, grants, passwords: [aliceLine], clock, ...more });
  const verifier = new TokenVerifier({ keys: service.keys, issuer: service.issuer, audiences: [service.service], clock });
  const tokens = new AccessTokens({ verifier, clock, method: "token" });
  const read = async (response: Response): Promise<Answer> => ({
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>, // Every answer of ours is an object.
  });
  return {
    clock,
    service,
    get: async (query, headers = {}) => read(await fetch(`${service.realm}${query}`, { headers })),
    post: async (form, headers = {}) => read(await fetch(service.realm, { method: "POST", body: new URLSearchParams(form), headers })),
    judge: (token) => tokens.judge(String(token), new AbortController().signal),
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function pull(name: string, actions: readonly string[] = ["pull"]): object {
  return { type: "repository", name, actions };
}

describe("a token", () => {
  test("in somebody's name says what that one may of what was asked, and is taken by us", async () => {
    await using at = await setup();
    const { status, headers, body } = await at.get("?service=registry.test&scope=repository:private/app:pull,push,delete&account=alice", alice);
    expect(status).toBe(200);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(body).toEqual({ token: body["access_token"], access_token: expect.any(String), expires_in: 300, issued_at: "2026-01-01T00:00:00.000Z" });
    expect(await at.judge(body["token"])).toEqual({
      kind: "admitted",
      principal: { name: "alice", groups: [], method: "token", access: [pull("private/app", ["pull", "push"])] },
    });
  });

  test("in nobody's name says what everybody may", async () => {
    await using at = await setup();
    const shown: readonly Record<string, string>[] = [{}, { authorization: "Basic Og==" }];
    for (const headers of shown) {
      const { body } = await at.get("?service=registry.test&scope=repository:public/app:pull&scope=repository:private/app:pull", headers);
      expect(await at.judge(body["token"])).toEqual({ kind: "anonymous", access: [pull("public/app")] });
    }
  });

  test("that nothing is permitted by is given all the same", async () => {
    await using at = await setup();
    const { status, body } = await at.get("?scope=repository:private/app:pull");
    expect(status).toBe(200);
    expect(await at.judge(body["token"])).toEqual({ kind: "anonymous", access: [] });
  });

  test("for nobody is not given where there is nothing for people without a name", async () => {
    await using at = await setup({ grants: { ...grants, admitsAnonymous: false } });
    const { status, headers, body } = await at.get("?scope=repository:public/app:pull");
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toBe('Basic realm="registry.test"');
    expect(body).toEqual({ errors: [{ code: "UNAUTHORIZED", message: expect.any(String) }] });
  });

  test("ends after five minutes, and counts for no other service and after no longer time", async () => {
    await using at = await setup();
    const { body } = await at.get("?scope=repository:public/app:pull", alice);
    expect(await at.judge(body["token"])).toMatchObject({ kind: "admitted" });
    await at.clock.advance(360_000);
    expect(await at.judge(body["token"])).toMatchObject({ kind: "refused", error: "invalid_token" });
    const elsewhere = new TokenVerifier({ keys: at.service.keys, issuer: at.service.issuer, audiences: ["other"], clock: at.clock });
    const { body: fresh } = await at.get("", alice);
    expect(await elsewhere.verify(String(fresh["token"]), new AbortController().signal)).toMatchObject({ kind: "bad" });
  });

  test("keeps the name by which it was asked for, when that means something", async () => {
    const names = new RegistryNames({ defaultNs: "docker.io", registries: [{ name: "docker.io", scheme: "https", aliases: ["hub"] }] });
    await using at = await setup({ names });
    for (const name of ["public/app", "hub/public/app", "docker.io/public/app"]) {
      expect(await at.judge((await at.get(`?scope=repository:${name}:pull`)).body["token"])).toEqual({ kind: "anonymous", access: [pull(name)] });
    }
    for (const name of ["quay.io/public/app", "Public/app", "public/../app", "127.0.0.1:5000/public/app"]) {
      expect(await at.judge((await at.get(`?scope=repository:${name}:pull`)).body["token"])).toEqual({ kind: "anonymous", access: [] });
    }
  });

  test("for a star is one for what is permitted, and the catalog is asked for by one", async () => {
    await using at = await setup();
    const { body } = await at.get("?scope=repository:private/app:*%20registry:catalog:*", alice);
    const access = [pull("private/app", ["pull", "push"]), { type: "registry", name: "catalog", actions: ["*"] }];
    expect(await at.judge(body["token"])).toMatchObject({ principal: { access } });
    expect(await at.judge((await at.get("?scope=registry:catalog:*")).body["token"])).toEqual({ kind: "anonymous", access: [] });
  });

  test("for what was asked twice says it once, and a scope may have a class and a port", async () => {
    await using at = await setup();
    const { body } = await at.get("?scope=repository:public/app:pull&scope=repository:public/app:pull%20repository(plugin):public/b:pull,pull");
    expect(await at.judge(body["token"])).toEqual({ kind: "anonymous", access: [pull("public/app"), pull("public/b")] });
    expect((await at.get("?scope=repository:127.0.0.1:5000/public/app:pull")).status).toBe(200);
  });

  test("carries the groups that count", async () => {
    await using at = await setup({ groups: ["ops"] });
    expect(await at.judge((await at.get("", alice)).body["token"])).toMatchObject({ principal: { groups: ["ops"] } });
    expect(await at.judge((await at.get("")).body["token"])).toEqual({ kind: "anonymous", access: [] });
  });
});

describe("what clients send", () => {
  test("docker login: GET without a scope, and a refresh token that stands for the password from then on", async () => {
    await using at = await setup();
    const login = await at.get("?account=alice&client_id=docker&offline_token=true&service=registry.test", alice);
    const refreshToken = String(login.body["refresh_token"]);
    expect(await at.judge(login.body["token"])).toMatchObject({ principal: { name: "alice", access: [] } });
    const form = {
      grant_type: "refresh_token",
      refresh_token: refreshToken,
      service: "registry.test",
      client_id: "docker",
      scope: "repository:private/app:pull",
    };
    const later = await at.post(form);
    expect(later).toMatchObject({ status: 200, body: { scope: "repository:private/app:pull", expires_in: 300 } });
    expect(later.body["refresh_token"]).toBe(refreshToken);
    expect(await at.judge(later.body["access_token"])).toMatchObject({ principal: { name: "alice", access: [pull("private/app")] } });
  });

  test("podman, skopeo and crane: GET with and without a scope, and no refresh token that nobody asked for", async () => {
    await using at = await setup();
    for (const query of ["?account=alice&service=registry.test", "?account=alice&scope=repository:private/app:pull,push&service=registry.test"]) {
      const { status, body } = await at.get(query, alice);
      expect(status).toBe(200);
      expect(body).not.toHaveProperty("refresh_token");
      expect(body).not.toHaveProperty("scope");
    }
  });

  test("containerd: a form with the password", async () => {
    await using at = await setup();
    const form = { client_id: "containerd-client", grant_type: "password", service: "registry.test", username: "alice", password: "secret" };
    const { status, body } = await at.post({ ...form, scope: "repository:private/app:pull repository:private/base:pull" });
    expect(status).toBe(200);
    expect(body["scope"]).toBe("repository:private/app:pull repository:private/base:pull");
    expect(await at.judge(body["token"])).toMatchObject({ principal: { access: [pull("private/app"), pull("private/base")] } });
    expect((await at.post({ ...form, password: "wrong" })).status).toBe(401);
    expect((await at.post({ ...form, scope: "" })).body["scope"]).toBe("");
    expect((await at.post({ ...form, access_type: "offline" })).body["refresh_token"]).toMatch(/^ocr_/);
  });
});

describe("a refusal", () => {
  test("of a wrong password is 401 with a challenge, whoever it was for, and never a token for nobody", async () => {
    await using at = await setup();
    const known = await at.get("?scope=repository:public/app:pull", wrong);
    const unknown = await at.get("?scope=repository:public/app:pull", { authorization: basicHeader({ user: "bob", password: "wrong" }) });
    expect(known).toMatchObject({ status: 401, body: { errors: [{ code: "UNAUTHORIZED" }], error: "invalid_grant" } });
    expect(known.headers.get("www-authenticate")).toBe('Basic realm="registry.test"');
    expect(unknown.body).toEqual(known.body);
  });

  test("of an Authorization that cannot be read is 401 too", async () => {
    await using at = await setup();
    for (const authorization of ["Bearer x", "Basic %%%", "Basic YWxpY2U=", "Basic OnNlY3JldA=="]) {
      expect((await at.get("?scope=repository:public/app:pull", { authorization })).status).toBe(401);
    }
  });

  test("of too many wrong passwords is 429, and says how long", async () => {
    await using at = await setup({ budget: { perUser: 3, perAddress: 100 } });
    for (let count = 0; count < 3; count++) expect((await at.get("", wrong)).status).toBe(401);
    const { status, headers, body } = await at.get("", alice);
    expect(status).toBe(429);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    expect(body).toMatchObject({ errors: [{ code: "TOOMANYREQUESTS" }] });
    expect((await at.get("?scope=repository:public/app:pull")).status).toBe(200);
  });

  const forms: readonly (readonly [string, Record<string, string>, number, string])[] = [
    ["no grant_type", {}, 400, "invalid_request"],
    ["another grant_type", { grant_type: "client_credentials" }, 400, "unsupported_grant_type"],
    ["no username", { grant_type: "password", password: "secret" }, 400, "invalid_request"],
    ["a username of blanks", { grant_type: "password", username: " ", password: "secret" }, 400, "invalid_request"],
    ["no refresh token", { grant_type: "refresh_token" }, 400, "invalid_request"],
    ["a refresh token of nobody", { grant_type: "refresh_token", refresh_token: "ocr_x" }, 401, "invalid_grant"],
    ["a scope that is none", { grant_type: "password", username: "alice", password: "secret", scope: "pull" }, 400, "invalid_scope"],
    ["another service", { grant_type: "password", username: "alice", password: "secret", service: "other" }, 400, "invalid_request"],
  ];
  test.each(forms)("of a form with %s: %o -> %d %s", async (_, form, status, error) => {
    await using at = await setup();
    const answer = await at.post(form);
    expect(answer).toMatchObject({ status, body: { error, error_description: expect.any(String), errors: [{ code: expect.any(String) }] } });
  });

  test("of a form in another format, another method, another service, and too many scopes", async () => {
    await using at = await setup();
    const asJson = await fetch(at.service.realm, { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
    expect(asJson.status).toBe(400);
    const put = await fetch(at.service.realm, { method: "PUT" });
    expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, POST"]);
    expect((await at.get("?service=other", alice)).status).toBe(400);
    expect((await at.get(`?${Array.from({ length: 65 }, (_, index) => `scope=repository:a${index}:pull`).join("&")}`, alice)).body["error"]).toBe(
      "invalid_scope",
    );
    expect((await at.get("?service=registry.test&service=other", alice)).status).toBe(400);
  });

  test("of a form over 64 KiB is 413, whether its size was said or not", async () => {
    await using at = await setup();
    expect((await at.post({ grant_type: "password", username: "alice", password: "x".repeat(70_000) })).status).toBe(413);
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const request = httpRequest(at.service.realm, { method: "POST", headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on("error", reject);
    for (let count = 0; count < 70; count++) request.write("x".repeat(1_024));
    request.end();
    expect(await promise).toBe(413);
  });

  test("of a form that never ends comes after ten seconds", async () => {
    await using at = await setup();
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const request = httpRequest(at.service.realm, { method: "POST", headers }, (response) => resolve(response.statusCode)).on("error", reject);
    request.write("grant_type=");
    await expect.poll(() => at.clock.waiting).toBe(1);
    await at.clock.advance(10_000);
    expect(await promise).toBe(408);
    request.destroy();
  });
});

describe("a refresh token", () => {
  async function login(at: Setup): Promise<() => Promise<Answer>> {
    const { body } = await at.get("?offline_token=true", alice);
    const form = { grant_type: "refresh_token", refresh_token: String(body["refresh_token"]), scope: "repository:private/app:pull" };
    return () => at.post(form);
  }

  test("is over when its user's password is another, and stays so when it is the old one again", async () => {
    await using at = await setup();
    const refresh = await login(at);
    expect((await refresh()).status).toBe(200);
    at.service.htpasswd.reload(passwordLine("alice", "another"));
    expect((await refresh()).status).toBe(401);
    at.service.htpasswd.reload(aliceLine);
    expect((await refresh()).status).toBe(401);
  });

  test("is over when its user is gone", async () => {
    await using at = await setup();
    const refresh = await login(at);
    at.service.htpasswd.reload(passwordLine("bob", "secret"));
    expect((await refresh()).status).toBe(401);
  });

  test("is over when it is revoked", async () => {
    await using at = await setup();
    const { body } = await at.get("?offline_token=true", alice);
    await at.service.refreshTokens.revoke(String(body["refresh_token"]));
    expect((await at.post({ grant_type: "refresh_token", refresh_token: String(body["refresh_token"]) })).status).toBe(401);
  });

  test("is not given to nobody", async () => {
    await using at = await setup();
    expect((await at.get("?offline_token=true&scope=repository:public/app:pull")).body).not.toHaveProperty("refresh_token");
  });

  test("is no token for pulling", async () => {
    await using at = await setup();
    const { body } = await at.get("?offline_token=true", alice);
    expect(await at.judge(body["refresh_token"])).toMatchObject({ kind: "refused" });
  });
});
