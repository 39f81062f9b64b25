/** What a provider's claims make of somebody. */
import { describe, expect, test } from "vitest";
import { readPerson, type PersonRules } from "../../src/auth/openid/person.ts";

const rules: PersonRules = {
  claims: { username: "email", groups: "groups" },
  requireVerifiedEmail: false,
  hostedDomain: undefined,
  users: new Map(),
  isOfFile: () => false,
};
const linked: PersonRules = { ...rules, users: new Map([["alice@example.com", "alice"]]) };

describe("a name", () => {
  test.each<[string, readonly Record<string, unknown>[], Partial<PersonRules>, string]>([
    ["is the e-mail address, unless it is said otherwise", [{ email: "a@example.com", preferred_username: "a" }], {}, "a@example.com"],
    [
      "is the claim that is configured",
      [{ email: "a@example.com", preferred_username: "a" }],
      { claims: { username: "preferred_username", groups: "groups" } },
      "a",
    ],
    [
      "is the address where that claim is missing",
      [{ email: "a@example.com" }],
      { claims: { username: "preferred_username", groups: "groups" } },
      "a@example.com",
    ],
    ["is the address where that claim is empty", [{ email: "a@example.com", nick: "" }], { claims: { username: "nick", groups: "groups" } }, "a@example.com"],
    ["comes from whom is asked first", [{ email: "new@example.com" }, { email: "old@example.com" }], {}, "new@example.com"],
    ["comes from the token where userinfo has none", [{ sub: "1" }, { email: "a@example.com" }], {}, "a@example.com"],
  ])("%s", (_, sources, change, name) => {
    expect(readPerson(sources, { ...rules, ...change })).toMatchObject({ kind: "person", person: { name } });
  });

  test.each<[string, Record<string, unknown>, Partial<PersonRules>]>([
    ["nothing", {}, {}],
    ["blanks", { email: "  " }, {}],
    ["what is no text", { email: 7 }, {}],
    ["more than one line", { email: "a\nb" }, {}],
    ["what objects inherit", {}, { claims: { username: "constructor", groups: "groups" } }],
  ])("is not made of %s", (_, claims, change) => {
    expect(readPerson([claims], { ...rules, ...change })).toMatchObject({ kind: "refused", hint: expect.stringContaining("claimMapping.username") });
  });
});

describe("groups", () => {
  test.each<[string, readonly Record<string, unknown>[], readonly string[]]>([
    ["of token and userinfo together, each once, in order", [{ groups: ["c", "a"] }, { groups: ["a", "b"] }], ["a", "b", "c"]],
    ["that are one text", [{ groups: "one" }], ["one"]],
    ["that are numbers", [{ groups: [7] }], ["7"]],
    ["that are something else, or empty", [{ groups: [null, {}, "", true, "kept"] }], ["kept"]],
    ["that are not there", [{}], []],
  ])("%s", (_, sources, groups) => {
    const read = readPerson([{ email: "a@example.com" }, ...sources], rules);
    expect(read).toMatchObject({ kind: "person", person: { groups } });
  });

  test("beyond a thousand are refused", () => {
    const groups = Array.from({ length: 1_001 }, (_, index) => `g${index}`);
    expect(readPerson([{ email: "a@example.com", groups }], rules)).toMatchObject({ kind: "refused", reason: expect.stringContaining("at most 1000") });
  });
});

describe("a verified address", () => {
  test.each([
    [true, "person"],
    ["true", "person"],
    [false, "refused"],
    ["false", "refused"],
    [undefined, "refused"],
    [1, "refused"],
  ])("is demanded where it is required: %j", (email_verified, kind) => {
    expect(readPerson([{ email: "a@example.com", email_verified }], { ...rules, requireVerifiedEmail: true }).kind).toBe(kind);
    expect(readPerson([{ email: "a@example.com", email_verified }], rules).kind).toBe("person");
  });

  test("is demanded of nobody's absence too", () => {
    const byName = { claims: { username: "preferred_username", groups: "groups" }, requireVerifiedEmail: true };
    expect(readPerson([{ preferred_username: "a" }], { ...rules, ...byName }).kind).toBe("refused");
  });
});

describe("a name of ours", () => {
  test("is that of whose address is linked to it, whatever its case", () => {
    expect(readPerson([{ email: "Alice@Example.com", email_verified: true }], linked)).toMatchObject({
      person: { name: "alice", otherNames: ["Alice@Example.com", "Alice@Example.com"] },
    });
  });

  test.each([false, undefined, "no"])("is not that of whose address nobody has verified: %j", (email_verified) => {
    expect(readPerson([{ email: "alice@example.com", email_verified }], linked)).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("linked to a name here"),
      hint: expect.stringContaining("Authentik"),
    });
  });

  test("is nobody else's, who is called so at the provider", () => {
    const byName = { ...linked, claims: { username: "preferred_username", groups: "groups" } };
    expect(readPerson([{ email: "mallory@example.com", preferred_username: "alice" }], byName)).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("linked"),
    });
    expect(readPerson([{ preferred_username: "alice" }], byName).kind).toBe("refused");
    expect(readPerson([{ email: "mallory@example.com", preferred_username: "mallory" }], byName)).toMatchObject({ person: { name: "mallory" } });
  });
});

describe("a name of the file of passwords", () => {
  const named: PersonRules = { ...rules, claims: { username: "preferred_username", groups: "groups" }, isOfFile: (name) => name === "root" };

  test("is nobody's who is called so at the provider, and the reason says how it could be", () => {
    const refused = { kind: "refused", reason: expect.stringContaining("auth.htpasswd"), hint: expect.stringContaining("auth.openid.users") };
    expect(readPerson([{ preferred_username: "root", email: "mallory@example.com", email_verified: true }], named)).toMatchObject(refused);
    expect(readPerson([{ email: "root", email_verified: true }], { ...named, claims: rules.claims })).toMatchObject(refused);
  });

  test("is told of with whether the provider calls the address verified, and the reason says how that is mended", () => {
    const verified = { ...named, claims: rules.claims, isOfFile: (name: string, isVerified: boolean) => name === "root" && !isVerified };
    expect(readPerson([{ email: "root" }], verified)).toMatchObject({ kind: "refused", reason: expect.stringContaining("email_verified") });
    expect(readPerson([{ email: "root", email_verified: true }], verified)).toMatchObject({ person: { name: "root" } });
  });

  test("is that of whose verified address is linked to it", () => {
    const claims = { preferred_username: "somebody", email: "root@example.com", email_verified: true };
    expect(readPerson([claims], { ...named, users: new Map([["root@example.com", "root"]]) })).toMatchObject({ person: { name: "root", isLinked: true } });
  });
});

test("people of another domain are refused", () => {
  const domain = { ...rules, hostedDomain: "example.com" };
  expect(readPerson([{ email: "a@example.com", hd: "example.com" }], domain).kind).toBe("person");
  expect(readPerson([{ email: "a@example.com", hd: "evil.example" }], domain).kind).toBe("refused");
  expect(readPerson([{ email: "a@example.com" }], domain).kind).toBe("refused");
});
