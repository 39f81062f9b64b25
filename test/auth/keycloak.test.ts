import { expect, test } from "vitest";
import { AccessTokens } from "../../src/auth/access-tokens.ts";
import type { Verdict } from "../../src/auth/authenticator.ts";
import { basicHeader } from "../../src/auth/basic.ts";
import { BearerAuthenticator, bearerChallenge, repositoryScope } from "../../src/auth/bearer.ts";
import { fetchJson } from "../../src/auth/json-fetch.ts";
import { RemoteKeys } from "../../src/auth/remote-keys.ts";
import { tokenAllows } from "../../src/auth/token-access.ts";
import { parseTokenKeys, type TokenKeys } from "../../src/auth/token-keys.ts";
import { tokenNameOf } from "../../src/auth/token-names.ts";
import { TokenVerifier } from "../../src/auth/token-verifier.ts";
import { Background } from "../../src/oci/background.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import { startFakeKeycloak, type FakeKeycloak } from "../support/fake-keycloak.ts";
import { publicPem, rsaKey } from "../support/signed-tokens.ts";

const clock = systemClock;
const names = new RegistryNames({
  defaultNs: "docker.io",
  registries: [
    { name: "docker.io", scheme: "https", aliases: [] },
    { name: "harbor.corp:8443", scheme: "https", aliases: ["harbor"] },
  ],
});

async function start(): Promise<FakeKeycloak> {
  const keycloak = await startFakeKeycloak();
  keycloak.clients.add("registry").add("other");
  keycloak.users.set("alice", "secret");
  return keycloak;
}

/** Ours, told of it by its four variables: with its certificate, or with none and its key set. */
function registryOf(keycloak: FakeKeycloak, keys: TokenKeys): BearerAuthenticator {
  const verifier = new TokenVerifier({ keys, issuer: keycloak.issuer, audiences: ["registry"], clock });
  return new BearerAuthenticator({ issuers: [new AccessTokens({ verifier, clock, method: "bearer" })], otherSchemes: "refused" });
}

function keySetOf(keycloak: FakeKeycloak): RemoteKeys {
  const load = (): Promise<Readonly<Record<string, unknown>>> => fetchJson(keycloak.keySetUrl, { fetch: ({ url, ...init }) => fetch(url, init), clock });
  return new RemoteKeys({ source: keycloak.keySetUrl, load, clock, background: new Background(silentLog), log: silentLog });
}

/** What a client does with our challenge. */
async function answer(keycloak: FakeKeycloak, challenge: string, password = "secret"): Promise<Response> {
  const [, realm = "", service = "", scope = ""] = /realm="([^"]*)",service="([^"]*)",scope="([^"]*)"/.exec(challenge) ?? [];
  expect(realm).toBe(keycloak.tokenUrl);
  const url = new URL(realm);
  url.search = new URLSearchParams({ account: "alice", service, scope }).toString();
  return fetch(url, { headers: { authorization: basicHeader({ user: "alice", password }) } });
}

async function tokenFor(keycloak: FakeKeycloak, repository: Repository, written?: string, service = "registry"): Promise<string> {
  const scope = repositoryScope(tokenNameOf(repository, written, names));
  const response = await answer(keycloak, bearerChallenge({ realm: keycloak.tokenUrl, service, scope }));
  expect(response.status).toBe(200);
  const body = (await response.json()) as Record<string, unknown>; // The fake answers objects.
  expect(body).not.toHaveProperty("access_token");
  return String(body["token"]);
}

function show(registry: BearerAuthenticator, token: string): Promise<Verdict> {
  const evidence = { authorization: [`Bearer ${token}`], client: "127.0.0.1", userAgent: undefined, certificate: undefined };
  return registry.authenticate(evidence, new AbortController().signal);
}

function repository(host: string, path: string): Repository {
  return repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
}

test("its token is taken by the key of its certificate, and by its key set, in which its key has another name", async () => {
  await using keycloak = await start();
  const app = repository("docker.io", "team/app");
  for (const keys of [parseTokenKeys(publicPem(keycloak.key)), keySetOf(keycloak)]) {
    const verdict = await show(registryOf(keycloak, keys), await tokenFor(keycloak, app));
    expect(verdict).toMatchObject({ kind: "admitted", principal: { name: "alice", groups: [], access: [{ name: "team/app", actions: ["pull"] }] } });
  }
  const scope = "scope=repository%3Ateam%2Fapp%3Apull";
  const asked = `GET /realms/corp/protocol/docker-v2/auth?account=alice&service=registry&${scope}`;
  expect(keycloak.requests).toEqual([asked, asked, "GET /realms/corp/protocol/openid-connect/certs"]);
});

test("a registry with a port is asked for by its alias, since Keycloak fails on a second colon", async () => {
  await using keycloak = await start();
  const registry = registryOf(keycloak, keySetOf(keycloak));
  const app = repository("harbor.corp:8443", "team/app");
  const verdict = await show(registry, await tokenFor(keycloak, app, "harbor/team/app"));
  expect(verdict.kind === "admitted" && tokenAllows(verdict.principal.access ?? [], app, "read", names)).toBe(true);
  expect(verdict.kind === "admitted" && tokenAllows(verdict.principal.access ?? [], repository("docker.io", "team/app"), "read", names)).toBe(false);
  const withPort = bearerChallenge({ realm: keycloak.tokenUrl, service: "registry", scope: repositoryScope("harbor.corp:8443/team/app") });
  expect((await answer(keycloak, withPort)).status).toBe(500);
});

test("a token of another client of the same realm is refused", async () => {
  await using keycloak = await start();
  const token = await tokenFor(keycloak, repository("docker.io", "team/app"), undefined, "other");
  expect(await show(registryOf(keycloak, keySetOf(keycloak)), token)).toMatchObject({ kind: "refused", error: "invalid_token" });
});

test("a wrong password gives no token", async () => {
  await using keycloak = await start();
  const challenge = bearerChallenge({ realm: keycloak.tokenUrl, service: "registry", scope: repositoryScope("team/app") });
  expect((await answer(keycloak, challenge, "wrong")).status).toBe(401);
});

test("after the realm's key was exchanged, its tokens are taken by the key set, and no more by the old certificate", async () => {
  await using keycloak = await start();
  const app = repository("docker.io", "team/app");
  const [byFile, bySet] = [registryOf(keycloak, parseTokenKeys(publicPem(keycloak.key))), registryOf(keycloak, keySetOf(keycloak))];
  const old = await tokenFor(keycloak, app);
  expect(await show(bySet, old)).toMatchObject({ kind: "admitted" });
  keycloak.key = rsaKey();
  const renewed = await tokenFor(keycloak, app);
  expect(await show(bySet, renewed)).toMatchObject({ kind: "admitted" });
  expect(await show(byFile, renewed)).toMatchObject({ kind: "refused" });
});
