/** `auth.openid`: zot's documented blocks and RomM's variables are read, and what means nothing is said, while nobody can sign in by them yet. */
import { describe, expect, test } from "vitest";
import { problemsOf } from "./load-text.ts";

const scopes = ["openid", "profile", "email"];
const issuer = "https://auth.example.com/application/o/registry/";
const oidc = { issuer, clientid: "id", clientsecret: "s3cr3t", scopes };
const externalUrl = "https://registry.example.com";
const social = { clientid: "id", clientsecret: "secret", scopes: ["openid", "email"] };

function ofProviders(providers: object, more: object = {}) {
  return { externalUrl, auth: { openid: { providers, ...more } } };
}

const problems = async (providers: object, more: object = {}): Promise<string> => (await problemsOf(JSON.stringify(ofProviders(providers, more)))).join("\n");
const notYet = "config.yaml:1: not supported yet: auth.openid (line 1)";

test.each([
  ["Authentik's", { oidc: { ...oidc, name: "authentik", scopes: [...scopes, "groups"] } }],
  ["dex's", { oidc: { ...oidc, name: "Corporate SSO", issuer: "http://zot.example.com:5556/dex", keypath: "" } }],
  ["Google's and GitLab's", { google: { ...social, issuer: "https://accounts.google.com" }, gitlab: { ...social, issuer: "https://gitlab.com" } }],
  ["GitHub's", { github: { ...social, scopes: ["read:org", "user", "repo"] } }],
])("%s documented block has nothing wrong with it", async (_, providers) => {
  expect(await problems(providers)).toBe(notYet);
});

describe("a provider", () => {
  test.each<[string, object, string]>([
    ["without an issuer", { oidc: { ...oidc, issuer: undefined } }, "auth.openid.providers.oidc has no issuer (OIDC_SERVER_APPLICATION_URL), such as https://"],
    ["without a client", { oidc: { ...oidc, clientid: "" } }, "has no clientid (OIDC_CLIENT_ID), and no credentialsFile"],
    ["without scopes", { oidc: { ...oidc, scopes: [] } }, "has no scopes: [openid, profile, email]"],
    ["of GitHub without scopes", { github: { clientid: "a", clientsecret: "b" } }, 'has no scopes: ["read:org", "user:email"]'],
    ["with two secrets", { oidc: { ...oidc, clientsecretFile: "/f" } }, "has clientsecret and clientsecretFile: one is enough"],
    ["with a secret and a key", { oidc: { ...oidc, keypath: "/k.pem" } }, "has clientsecret and keypath: one is enough"],
    ["of GitHub without a secret", { github: { clientid: "a", scopes: ["user"] } }, "has no clientsecret, without which GitHub gives no token"],
    ["of GitHub with an issuer", { github: { clientid: "a", clientsecret: "b", scopes: ["user"], issuer } }, "takes no issuer"],
    ["of GitHub Enterprise by half", { github: { clientid: "a", clientsecret: "b", scopes: ["user"], authurl: "https://ghe/a" } }, "needs both, and apiurl"],
    ["with keys that are GitHub's", { oidc: { ...oidc, tokenurl: "https://a/t" } }, "takes no tokenurl"],
    [
      "with two authorities",
      { oidc: { ...oidc, certificateAuthority: "x", certificateAuthorityFile: "y" } },
      "certificateAuthority and certificateAuthorityFile: one is enough",
    ],
    ["that nobody knows", { okta: oidc }, "unknown key auth.openid.providers.okta"],
    ["that is asked too seldom to say", { oidc: { ...oidc, userinfoCheck: "sometimes" } }, "must be never, always, or every="],
    ["whose issuer is no address", { oidc: { ...oidc, issuer: "auth.example.com" } }, "must be a url"],
  ])("%s is refused", async (_, providers, words) => {
    expect(await problems(providers)).toContain(words);
  });

  test("there is to be one at least", async () => {
    expect(await problems({})).toContain("auth.openid names no provider: oidc, google, gitlab, github");
  });
});

describe("people who have names of ours", () => {
  test.each<[object, string]>([
    [{ alice: "alice" }, "auth.openid.users.alice is no e-mail address"],
    [{ alice: "a@example.com", bob: "A@example.com" }, "auth.openid.users.bob has the e-mail address of alice"],
    [{ " ": "a@example.com" }, "has an empty name"],
  ])("%j is refused", async (users, words) => {
    expect(await problems({ oidc }, { users })).toContain(words);
  });
});

describe("RomM's variables", () => {
  const romm = {
    OIDC_ENABLED: "true",
    OIDC_PROVIDER: "authentik",
    OIDC_CLIENT_ID: "client-id",
    OIDC_CLIENT_SECRET: "client-secret",
    OIDC_REDIRECT_URI: "http://registry.host.local/api/oauth/openid",
    OIDC_SERVER_APPLICATION_URL: "http://authentik.host.local/application/o/registry",
  };

  test.each([
    ["true", true],
    [" YES ", true],
    ["off", false],
    ["", false],
  ])("count when OIDC_ENABLED is %j: %j", async (OIDC_ENABLED, counts) => {
    expect((await problemsOf("{}", { environment: { ...romm, OIDC_ENABLED } })).join()).toBe(
      counts ? "config.yaml:1: not supported yet: auth.openid (line 1)" : "",
    );
  });

  test("of which one is missing are refused by its name", async () => {
    const { OIDC_CLIENT_ID: _, ...others } = romm;
    expect((await problemsOf("{}", { environment: others })).join()).toContain("OIDC_CLIENT_ID");
    const { OIDC_SERVER_APPLICATION_URL: __, ...nowhere } = romm;
    expect((await problemsOf("{}", { environment: nowhere })).join()).toContain("OIDC_SERVER_APPLICATION_URL");
  });
});
