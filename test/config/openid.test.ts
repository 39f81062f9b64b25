/** `auth.openid`: zot's documented blocks, what they come to mean, and what is said of those that mean nothing. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readProviderCredentials } from "../../src/config/openid-credentials.ts";
import { loadText, problemsOf, withoutFolder } from "./load-text.ts";

const scopes = ["openid", "profile", "email"];
const issuer = "https://auth.example.com/application/o/registry/";
const oidc = { issuer, clientid: "id", clientsecret: "s3cr3t", scopes };
const externalUrl = "https://registry.example.com";

async function load(config: object, environment: Record<string, string> = {}) {
  const { config: read, notices } = await loadText(JSON.stringify(config), { environment });
  return { ...read, openid: read.auth?.openid, notices: notices.map(withoutFolder) };
}

function ofProviders(providers: object, more: object = {}) {
  return { externalUrl, auth: { openid: { providers, ...more } } };
}

const problems = async (providers: object, more: object = {}): Promise<string> => (await problemsOf(JSON.stringify(ofProviders(providers, more)))).join("\n");
const example = (name: string): Promise<string> => readFile(join(import.meta.dirname, "examples", name), "utf8");

describe("zot's documented blocks", () => {
  test("Authentik, beside a file of users", async () => {
    const { config, notices } = await loadText(await example("zot-authentik.yaml"));
    expect(config.auth).toMatchObject({ htpasswd: { path: "/etc/zot/htpasswd" }, failDelayMs: 5_000 });
    expect(config.auth?.openid?.providers).toMatchObject([
      {
        name: "oidc",
        title: "authentik",
        issuer,
        client: { kind: "given", id: "client-id" },
        scopes: ["openid", "profile", "email", "groups"],
        claims: { username: "email", groups: "groups" },
        requireVerifiedEmail: false,
        userinfoCheck: "never",
      },
    ]);
    expect(notices.join("\n")).toMatch(/Authentik's own mapping for the scope email says email_verified: False/);
    expect(notices.join("\n")).toMatch(/auth\.openid without externalUrl/);
  });

  test("dex, over plain http and with an empty keypath", async () => {
    const { config, notices } = await loadText(await example("zot-dex.json"));
    expect(config.auth?.openid?.providers).toMatchObject([{ title: "Corporate SSO", issuer: "http://zot.example.com:5556/dex", keyPath: undefined }]);
    expect(notices.join("\n")).toMatch(/is reached by plain http/);
  });

  test("four at once, in the order of their buttons", async () => {
    const { config } = await loadText(await example("zot-social-login.json"));
    const providers = config.auth?.openid?.providers ?? [];
    expect(providers.map(({ name, title, requireVerifiedEmail }) => [name, title, requireVerifiedEmail])).toEqual([
      ["oidc", "OpenID Connect", false],
      ["google", "Google", true],
      ["gitlab", "GitLab", true],
      ["github", "GitHub", true],
    ]);
    expect(providers.find(({ name }) => name === "github")).toMatchObject({
      authorizationUrl: "https://github.com/login/oauth/authorize",
      tokenUrl: "https://github.com/login/oauth/access_token",
      apiUrl: "https://api.github.com",
      scopes: ["read:org", "user", "repo"],
    });
  });

  test("behind a proxy, with nothing to be said of its address", async () => {
    const { config, notices } = await loadText(await example("zot-behind-proxy.json"));
    expect(config.externalUrl).toBe("https://zot.example.com");
    expect(notices.join("\n")).not.toContain("externalUrl");
  });
});

describe("a provider", () => {
  test("is asked for openid, whether that is written or not", async () => {
    const { openid } = await load(ofProviders({ oidc: { ...oidc, scopes: ["email"] } }));
    expect(openid?.providers[0]?.scopes).toEqual(["openid", "email"]);
  });

  test("of Google or GitLab needs no issuer", async () => {
    const plain = { clientid: "id", clientsecret: "s", scopes };
    const { openid } = await load(ofProviders({ google: { ...plain, hostedDomain: "example.com" }, gitlab: plain }));
    expect(openid?.providers).toMatchObject([{ issuer: "https://accounts.google.com", hostedDomain: "example.com" }, { issuer: "https://gitlab.com" }]);
  });

  test("keeps its secret to itself", async () => {
    const { openid } = await load(ofProviders({ oidc }));
    expect(JSON.stringify(openid)).not.toContain("s3cr3t");
  });

  test.each([
    ["never", "never"],
    ["always", "always"],
    ["every=60s", 60_000],
    ["", "never"],
  ])("is asked about tokens %j", async (written, meant) => {
    expect((await load(ofProviders({ oidc: { ...oidc, userinfoCheck: written } }))).openid?.providers[0]).toMatchObject({ userinfoCheck: meant });
  });

  test("is written in any case, our own keys in one", async () => {
    expect(
      (await load({ HTTP: { Auth: { OpenID: { Providers: { OIDC: { ...oidc, clientid: undefined, ClientID: "Id" } } } } } })).openid?.providers,
    ).toMatchObject([{ client: { id: "Id" } }]);
    expect(await problems({ oidc: { ...oidc, RequireVerifiedEmail: true } })).toContain("did you mean requireVerifiedEmail?");
  });

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
  test("are known by their address, whatever its case", async () => {
    const { openid } = await load(ofProviders({ oidc }, { users: { alice: "Alice@Example.com" } }));
    expect(openid?.users).toEqual({ "alice@example.com": "alice" });
  });

  test.each<[object, string]>([
    [{ alice: "alice" }, "auth.openid.users.alice is no e-mail address"],
    [{ alice: "a@example.com", bob: "A@example.com" }, "auth.openid.users.bob has the e-mail address of alice"],
    [{ " ": "a@example.com" }, "has an empty name"],
  ])("%j is refused", async (users, words) => {
    expect(await problems({ oidc }, { users })).toContain(words);
  });
});

describe("a link to the directory", () => {
  const ldap = { address: "ldap.example.com", baseDN: "dc=example", userAttribute: "uid" };

  test("is made when it is asked for, by the attribute that is named", async () => {
    const written = (openid: object, more: object = {}) => ({ externalUrl, auth: { ldap: { ...ldap, ...more }, openid: { providers: { oidc }, ...openid } } });
    expect((await load(written({}))).auth).toMatchObject({ ldap: { mailAttribute: "mail" }, openid: { linksLdapMail: false } });
    const linked = await load(written({ linkLdapMail: true }, { mailAttribute: "rfc822Mailbox" }));
    expect(linked.auth).toMatchObject({ ldap: { mailAttribute: "rfc822Mailbox" }, openid: { linksLdapMail: true } });
  });

  test("is refused where there is none", async () => {
    expect(await problems({ oidc }, { linkLdapMail: true })).toContain("auth.openid.linkLdapMail needs auth.ldap");
  });
});

describe("what is perhaps not meant", () => {
  test("addresses that nobody verified, while people are known by them", async () => {
    const notices = async (change: object): Promise<string> => (await load(ofProviders({ oidc: { ...oidc, ...change } }))).notices.join("\n");
    expect(await notices({})).toContain("does not call verified");
    expect(await notices({ requireVerifiedEmail: true })).toBe("");
    expect(await notices({ claimMapping: { username: "preferred_username" } })).toBe("");
  });

  test("names that people choose, while policies name people", async () => {
    const repositories = { "team/**": { policies: [{ users: ["alice", "bob"], actions: ["read"] }] } };
    const accessControl = {
      repositories,
      adminPolicy: { users: ["root"], actions: ["read"] },
      groups: { ops: { users: ["carol"] } },
      metrics: { users: ["prom"] },
    };
    const notices = async (claimMapping: object, more: object = {}): Promise<string> => {
      const openid = { providers: { oidc: { ...oidc, requireVerifiedEmail: true, claimMapping } }, ...more };
      return (await load({ externalUrl, accessControl, auth: { openid } })).notices.join("\n");
    };
    expect(await notices({ username: "preferred_username" })).toMatch(
      /auth\.openid\.providers\.oidc takes names from the claim "preferred_username".*\(alice, bob, root, carol, prom\)\. List .* in auth\.openid\.users, or set claimMapping\.username: email/,
    );
    const users = Object.fromEntries(["alice", "bob", "root", "carol", "prom"].map((name) => [name, `${name}@example.com`]));
    for (const said of [await notices({}), await notices({ username: "sub" }), await notices({ username: "preferred_username" }, { users })])
      expect(said).not.toContain("takes names");
    expect(await notices({ username: "preferred_username" }, { users: { alice: "a@example.com" } })).toContain("(bob, root, carol, prom)");
  });

  test("sessions in Redis, while what providers gave is sealed by nothing else", async () => {
    const sessionDriver = { name: "redis", url: "redis://127.0.0.1:6379" };
    const notices = async (more: object): Promise<string> =>
      (await load({ externalUrl, auth: { openid: { providers: { oidc: { ...oidc, requireVerifiedEmail: true } } }, ...more } })).notices.join("\n");
    expect(await notices({ sessionDriver })).toMatch(/auth\.sessionDriver is redis, without auth\.sessionKeysFile.*encryptKey/);
    expect(await notices({ sessionDriver, sessionKeysFile: "/keys" })).toBe("");
    expect(await notices({})).toBe("");
  });

  test("a provider beside tokens that replace it", async () => {
    const bearer = { realm: "https://a/token", service: "s", cert: "c" };
    const { notices } = await load({ externalUrl, auth: { bearer, openid: { providers: { oidc: { ...oidc, requireVerifiedEmail: true } } } } });
    expect(notices.join("\n")).toContain("auth.bearer replaces auth.openid");
  });

  test("a clientid beside a file of credentials", async () => {
    expect((await load(ofProviders({ oidc: { ...oidc, credentialsFile: "/f" } }))).notices.join("\n")).toContain("credentialsFile wins");
  });
});

describe("a file of credentials", () => {
  test("is JSON or YAML, in any case", () => {
    expect(readProviderCredentials("k", '{"clientid":"id","clientsecret":"${s}"}')).toMatchObject({ id: "id" });
    expect(readProviderCredentials("k", "clientId: id\nClientSecret: s\n").secret.reveal()).toBe("s");
  });

  test.each([
    ['{"clientid":"id"}', "k: it needs clientid and clientsecret"],
    ['{"clientid":"id","clientsecret":"","x":"y"}', "k: it needs clientid and clientsecret"],
    ['{"clientid":"id","clientsecret":"s","scopes":"planted"}', "k: it has a key that is neither clientid nor clientsecret"],
    ["{planted", "k: it is neither JSON nor YAML"],
  ])("that says something else is refused, and not quoted: %s", (text, words) => {
    expect(() => readProviderCredentials("k", text)).toThrow(words);
    expect(() => readProviderCredentials("k", text)).not.toThrow(/planted/);
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

  test("are accepted as they are, with no file", async () => {
    const { openid } = await load({}, romm);
    expect(openid?.providers).toMatchObject([
      {
        name: "oidc",
        title: "authentik",
        client: { kind: "given", id: "client-id" },
        issuer: undefined,
        metadataUrl: "http://authentik.host.local/application/o/registry/.well-known/openid-configuration",
        redirectUri: "http://registry.host.local/api/oauth/openid",
        scopes: ["openid", "profile", "email"],
        requireVerifiedEmail: false,
      },
    ]);
  });

  test("take the address with a slash too, and that of the document before it", async () => {
    const of = async (more: object) => (await load({}, { ...romm, ...more })).openid?.providers[0];
    expect(await of({ OIDC_SERVER_APPLICATION_URL: "http://a/o/r//" })).toMatchObject({ metadataUrl: "http://a/o/r/.well-known/openid-configuration" });
    expect(await of({ OIDC_SERVER_METADATA_URL: "http://a/document" })).toMatchObject({ metadataUrl: "http://a/document" });
  });

  test.each([
    ["1", true],
    [" YES ", true],
    ["on", true],
    ["false", false],
    ["", false],
    ["0", false],
  ])("count when OIDC_ENABLED is %j: %j", async (OIDC_ENABLED, counts) => {
    expect((await load({}, { ...romm, OIDC_ENABLED })).openid !== undefined).toBe(counts);
  });

  test("win over the file, which may say more", async () => {
    const { openid } = await load(ofProviders({ oidc: { ...oidc, scopes: ["openid"] } }, { users: { alice: "a@example.com" } }), romm);
    expect(openid).toMatchObject({ users: { "a@example.com": "alice" }, providers: [{ title: "authentik", issuer: undefined, scopes: ["openid"] }] });
  });

  test("of which one is missing are refused by its name", async () => {
    const { OIDC_CLIENT_ID: _, ...others } = romm;
    await expect(load({}, others)).rejects.toThrow(/OIDC_CLIENT_ID/);
    const { OIDC_SERVER_APPLICATION_URL: __, ...nowhere } = romm;
    await expect(load({}, nowhere)).rejects.toThrow(/OIDC_SERVER_APPLICATION_URL/);
  });
});
