/** Where people make keys: zot's route in zot's words, and who is refused there. */
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import { ApiKeyService, keyRequestBytesMax, type KeyVisit } from "../../src/auth/api-key-service.ts";
import { ApiKeys, keysMax } from "../../src/auth/api-keys.ts";
import { FileRecords } from "../../src/auth/file-records.ts";
import { readKeyScope } from "../../src/auth/key-scope.ts";
import { OwnOrigin } from "../../src/auth/own-origin.ts";
import { People } from "../../src/auth/people.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { Background } from "../../src/oci/background.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { KeptLog } from "../support/kept-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const alice: Principal = { name: "alice", groups: ["dev"], method: "ldap" };

interface Asked {
  readonly method?: string;
  readonly body?: string | object;
  readonly query?: string;
  readonly principal?: Principal;
  readonly visit?: Partial<KeyVisit>;
}

async function setup() {
  const temporary = await temporaryFolder();
  closing.push(() => temporary[Symbol.asyncDispose]());
  const clock = new TestClock();
  const log = new KeptLog();
  const background = new Background(log);
  const folder = join(temporary.path, "records");
  const records = new FileRecords({ folder, clock, background });
  closing.push(() => records[Symbol.asyncDispose]());
  const [keys, people] = [new ApiKeys({ records, clock, background }), new People({ records, clock })];
  const names = new RegistryNames({ defaultNs: "docker.io", registries: [{ name: "docker.io", aliases: ["hub"], scheme: "https" }] });
  const own = new OwnOrigin({ externalUrl: "https://registry.example.com", secureSession: false, callbackAllowOrigins: [] });
  const service = new ApiKeyService({ keys, people, own, names: () => names, clock, log });
  const ask = async ({ method = "GET", body, query = "", principal = alice, visit = {} }: Asked = {}) => {
    const text = typeof body === "object" ? JSON.stringify(body) : body;
    const request = new Request(`http://127.0.0.1/zot/auth/apikey${query}`, { method, ...(text === undefined ? {} : { body: text }) });
    const response = await service.handle(request, {
      origin: "http://127.0.0.1",
      pageOrigin: undefined,
      fetchSite: undefined,
      userAgent: "curl/8",
      ...visit,
      principal,
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> }; // Every answer of ours is an object.
  };
  return { clock, log, keys, people, folder, ask };
}

const goZero = "0001-01-01T00:00:00Z";

test("a key is made in zot's words, shown once, and listed without its secret", async () => {
  const at = await setup();
  const expirationDate = "2026-02-01T00:00:00Z";
  const made = await at.ask({ method: "POST", body: { label: "laptop", scopes: [], expirationDate } });
  expect([made.status, made.headers.get("content-type"), made.headers.get("cache-control")]).toEqual([201, "application/json", "no-store"]);
  const { apiKey, ...described } = made.body;
  expect(apiKey).toMatch(/^zak_[0-9a-f]{32}$/);
  expect(described).toEqual({
    createdAt: "2026-01-01T00:00:00.000Z",
    expirationDate: "2026-02-01T00:00:00.000Z",
    isExpired: false,
    creatorUa: "curl/8",
    generatedBy: "manual",
    lastUsed: goZero,
    label: "laptop",
    scopes: [],
    uuid: expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  const listed = await at.ask();
  expect([listed.status, listed.body]).toEqual([200, { apiKeys: [described] }]);
  expect((await at.keys.find("alice", String(apiKey)))?.account).toBe("person");
  expect(at.log.lines.join("\n")).not.toContain(String(apiKey).slice(4));
});

test("a key without anything said is good until it is revoked, for all that its owner may", async () => {
  const at = await setup();
  const { body } = await at.ask({ method: "POST", body: {} });
  expect(body).toMatchObject({ label: "", expirationDate: goZero, scopes: [] });
  expect(body).not.toHaveProperty("scope");
});

test.each([
  [{ scopes: ["team/**"] }, { repositories: ["team/**"] }],
  [{ scope: { repositories: ["team/**"], actions: ["read"] } }, { repositories: ["team/**"], actions: ["read"] }],
])("a scope holds in our words and in zot's: %j", async (said, scope) => {
  const at = await setup();
  const { status, body } = await at.ask({ method: "POST", body: { label: "x", ...said } });
  expect([status, body["scopes"], body["scope"]]).toEqual([201, ["team/**"], scope]);
});

test.each([
  ["", /JSON/],
  ["{", /JSON/],
  ["[]", /JSON/],
  [{ label: 1 }, /label/],
  [{ label: "two\nlines" }, /label/],
  [{ label: "x".repeat(257) }, /label/],
  [{ lable: "x" }, /"lable" means nothing/],
  [{ label: "x", scopse: ["team/**"] }, /"scopse" means nothing/],
  [{ label: "x", scopes: "team/**" }, /list/],
  [{ label: "x", scopes: ["team/**"], scope: { actions: ["read"] } }, /one is enough/],
  [{ label: "x", scope: {} }, /narrows nothing/],
  [{ label: "x", scope: { repositories: ["hub/team"] } }, /docker.io\/team/],
  [{ label: "x", expirationDate: "2025-12-31T23:59:59Z" }, /past/],
  [{ label: "x", expirationDate: "2026-01-01T00:00:00Z" }, /past/],
  [{ label: "x", expirationDate: "tomorrow" }, /RFC 3339/],
  [{ label: "x", expirationDate: "2026-13-01T00:00:00Z" }, /RFC 3339/],
  [{ label: "x", expirationDate: 1_800_000_000 }, /RFC 3339/],
])("what makes no sense is 400 and says why: %j", async (body, words) => {
  const at = await setup();
  const answer = await at.ask({ method: "POST", body });
  expect([answer.status, answer.body]).toEqual([400, { errors: [{ code: "REQUEST_INVALID", message: expect.stringMatching(words) }] }]);
  expect(await at.keys.list(undefined)).toEqual([]);
});

test("a body of 8 KiB is read, and one byte more is 413", async () => {
  const at = await setup();
  const padded = (bytes: number) => JSON.stringify({ label: "x" }).padEnd(bytes);
  expect((await at.ask({ method: "POST", body: padded(keyRequestBytesMax) })).status).toBe(201);
  expect((await at.ask({ method: "POST", body: padded(keyRequestBytesMax + 1) })).status).toBe(413);
});

test("one ends one's own keys, and no one else's; an id that means nothing is no error, none at all is", async () => {
  const at = await setup();
  const { body } = await at.ask({ method: "POST", body: { label: "x" } });
  const query = `?id=${String(body["uuid"])}`;
  const bob: Principal = { ...alice, name: "bob" };
  expect((await at.ask({ method: "DELETE", query, principal: bob })).status).toBe(200);
  expect(await at.keys.list("alice")).toHaveLength(1);
  expect((await at.ask({ principal: bob })).body).toEqual({ apiKeys: [] });
  expect([
    (await at.ask({ method: "DELETE", query })).status,
    (await at.ask({ method: "DELETE", query })).status,
    (await at.ask({ method: "DELETE" })).status,
  ]).toEqual([200, 200, 400]);
  expect(await at.keys.list("alice")).toEqual([]);
});

const limited = readKeyScope({ actions: ["read"] });
test.each<[string, Principal]>([
  ["an API key", { ...alice, method: "apikey" }],
  ["an API key with a scope", { ...alice, method: "apikey", ...(limited ? { scope: limited } : {}) }],
  ["a token of ours", { ...alice, method: "token", access: [] }],
  ["a token of another service", { ...alice, method: "bearer", access: [] }],
  ["a workload", { ...alice, method: "oidc" }],
])("%s neither makes keys, nor shows, nor ends them", async (_, principal) => {
  const at = await setup();
  const { body } = await at.ask({ method: "POST", body: { label: "x" } });
  const query = `?id=${String(body["uuid"])}`;
  for (const asked of [{ method: "GET" }, { method: "POST", body: { label: "more" } }, { method: "DELETE", query }]) {
    expect((await at.ask({ ...asked, principal })).status).toBe(403);
  }
  expect((await at.keys.list("alice")).map(({ label }) => label)).toEqual(["x"]);
});

test.each<[string, Partial<KeyVisit>, number]>([
  ["another site's page", { fetchSite: "cross-site", pageOrigin: "https://evil.example" }, 403],
  ["a page of another name of the same site", { fetchSite: "same-site", pageOrigin: "https://other.example.com" }, 403],
  ["another site's page in an old browser", { pageOrigin: "https://evil.example" }, 403],
  ["a page without an origin", { pageOrigin: "null" }, 403],
  ["our own page", { fetchSite: "same-origin", pageOrigin: "https://registry.example.com" }, 201],
  ["our own page in an old browser", { pageOrigin: "https://registry.example.com" }, 201],
  ["no browser", {}, 201],
])("a key that %s asks for: %s", async (_, visit, status) => {
  const at = await setup();
  expect((await at.ask({ method: "POST", body: { label: "x" }, visit })).status).toBe(status);
  const [key] = await at.keys.list("alice");
  expect((await at.ask({ method: "DELETE", query: `?id=${key?.id ?? "none"}`, visit })).status).toBe(status === 201 ? 200 : 403);
});

test.each([
  ["htpasswd", "htpasswd"],
  ["gitlab", "person"],
])("a page of whose session began by %s makes a key that needs an account of the kind %s", async (by, account) => {
  const at = await setup();
  await at.ask({ method: "POST", body: { label: "x" }, principal: { ...alice, method: "session", voucher: { by } } });
  expect((await at.keys.list("alice")).map((key) => key.account)).toEqual([account]);
});

test("one key too many is 429, another method 405, and records that cannot be kept 503", async () => {
  const at = await setup();
  for (let count = 0; count < keysMax; count++) expect((await at.ask({ method: "POST", body: {} })).status).toBe(201);
  expect((await at.ask({ method: "POST", body: {} })).status).toBe(429);
  const wrong = await at.ask({ method: "PUT", body: {} });
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, POST, DELETE, OPTIONS"]);
  const fresh = await setup();
  await writeFile(fresh.folder, "a file where a folder should be");
  expect([
    (await fresh.ask()).status,
    (await fresh.ask({ method: "POST", body: {} })).status,
    (await fresh.ask({ method: "DELETE", query: "?id=x" })).status,
  ]).toEqual([503, 503, 503]);
});

test("whom a provider vouches for sees and ends his own keys, and none of his namesakes; whom the file or the directory names, all of the name", async () => {
  const at = await setup();
  const by = (provider: string, subject: string): Principal => ({ name: "alice", groups: [], method: "session", voucher: { by: provider, subject } });
  const [eve, other] = [by("github", "666"), by("oidc", "1")];
  const labels = async (principal: Principal) =>
    (((await at.ask({ principal })).body["apiKeys"] ?? []) as { label: string }[]).map(({ label }) => label).toSorted(); // As zot's.
  const make = async (principal: Principal, label: string) => String((await at.ask({ method: "POST", body: { label }, principal })).body["uuid"]);
  await make(eve, "eve's");
  const [others, local] = [await make(other, "other's"), await make(alice, "local")];
  await at.keys.create({ owner: "alice", account: "person", label: "old", expiresAtMs: undefined, scope: undefined, creator: "" });
  expect(await Promise.all([eve, other, alice].map(labels))).toEqual([
    ["eve's", "old"],
    ["old", "other's"],
    ["eve's", "local", "old", "other's"],
  ]);
  for (const id of [others, local]) expect((await at.ask({ method: "DELETE", query: `?id=${id}`, principal: eve })).status).toBe(200);
  expect(await labels(alice)).toEqual(["eve's", "local", "old", "other's"]);
  await at.ask({ method: "DELETE", query: `?id=${others}`, principal: other });
  await at.ask({ method: "DELETE", query: `?id=${local.toUpperCase()}` });
  expect(await labels(alice)).toEqual(["eve's", "old"]);
});
