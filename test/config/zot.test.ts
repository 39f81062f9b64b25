/** zot's blocks as its users paste them: where they may stand, how their keys may be spelt, what they come to mean. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadText, problemsOf, withoutFolder } from "./load-text.ts";

const examples = join(import.meta.dirname, "examples");
const htpasswd = { auth: { htpasswd: { path: "/etc/htpasswd" } } };

async function load(config: object, environment: Record<string, string> = {}) {
  const { config: read, notices } = await loadText(JSON.stringify(config), { environment });
  return { ...read, notices: notices.map(withoutFolder) };
}

const problems = (config: object, environment: Record<string, string> = {}) => problemsOf(JSON.stringify(config), { environment });

describe("zot's documented blocks", async () => {
  const files = await readdir(examples);

  test.each(files)("%s loads whole", async (file) => {
    expect(await problemsOf(await readFile(join(examples, file), "utf8"))).toEqual([]);
  });

  test("mean the same at the top and under http", async () => {
    for (const file of files.filter((name) => name.endsWith(".json"))) {
      const { http } = JSON.parse(await readFile(join(examples, file), "utf8"));
      const { externalUrl, auth, accessControl } = http;
      const top = { externalUrl, auth, accessControl };
      const [under, above] = [await load({ http: top }), await load(top)];
      expect(above.auth, file).toEqual(under.auth);
      expect(above.accessControl, file).toEqual(under.accessControl);
    }
  });

  test("the directory of the LDAP example is spoken to by StartTLS, with a notice", async () => {
    const { auth, notices } = await load(JSON.parse(await readFile(join(examples, "zot-ldap.json"), "utf8")));
    expect(auth?.ldap).toMatchObject({ transport: "starttls", port: 389, bind: { kind: "file", path: "examples/config-ldap-credentials.json" } });
    expect(notices.join("\n")).toContain("StartTLS is used, and a directory that offers none gets no password");
  });

  test("cacert alone asks clients for a certificate, and knows them by their common name", async () => {
    const { serverTls, auth } = await load(JSON.parse(await readFile(join(examples, "zot-mtls.json"), "utf8")));
    expect(serverTls).toEqual({ cert: "/etc/zot/certs/server.cert", key: "/etc/zot/certs/server.key", ca: "/etc/zot/certs/ca.cert", clientAuth: "request" });
    expect(auth?.mtls?.identityAttributes).toEqual(["CommonName"]);
  });

  test("a failDelay is in seconds", async () => {
    expect((await load({ auth: { ...htpasswd.auth, failDelay: 5 } })).auth?.failDelayMs).toBe(5_000);
  });
});

describe("http.allowOrigin", () => {
  test.each([
    ["", undefined],
    ["*", "any"],
    ["https://ui.example.com", ["https://ui.example.com"]],
    ["https://UI.example.com:8443/, http://localhost:3000", ["https://ui.example.com:8443", "http://localhost:3000"]],
  ])("%j", async (allowOrigin, expected) => {
    expect((await load({ http: { allowOrigin } })).allowedOrigins).toEqual(expected);
  });

  test.each([
    "ui.example.com",
    "https://ui.example.com/app",
    "https://*.example.com",
    "https://ui.example.com:443",
    "null",
    "ftp://a",
    "*, https://a.example",
    "https://u@a.example",
  ])("%s is none", async (allowOrigin) => {
    expect(await problems({ http: { allowOrigin } })).toEqual([
      expect.stringContaining(`http.allowOrigin is "${allowOrigin}", which is not an origin such as https://ui.example.com`),
    ]);
  });
});

describe("keys of zot", () => {
  test("are read without regard to case, values and names of the user's own are not", async () => {
    const config = {
      HTTP: {
        Auth: { HTPasswd: { PATH: "/X" } },
        AccessControl: { Groups: { Ops: { USERS: ["Ann"] } }, repositories: { "A/**": { DefaultPolicy: ["read"] } } },
      },
    };
    const { auth, accessControl } = await load(config);
    expect(auth?.htpasswd).toEqual({ path: "/X" });
    expect(accessControl).toMatchObject({ groups: { Ops: { users: ["Ann"] } }, repositories: { "A/**": { defaultPolicy: ["read"] } } });
  });

  test("must not be there twice in two spellings", async () => {
    expect(await problems({ auth: { htpasswd: { path: "a" }, HTPASSWD: { path: "b" } } })).toEqual([
      "config.yaml:1: auth.htpasswd is written twice, once as HTPASSWD",
    ]);
  });

  test("our own keys are exact", async () => {
    expect((await problems({ auth: { ...htpasswd.auth, TokenService: "builtin" } })).join()).toContain(
      "unknown key auth.TokenService, did you mean tokenService?",
    );
    expect((await problems({ accessControl: { Fetch: "readers" } })).join()).toContain("unknown key accessControl.Fetch, did you mean fetch?");
  });

  test("unknown ones are told by the line where they stand", async () => {
    const text = "http:\n  auth:\n    htpasswd:\n      path: a\n      patth: b\n";
    expect(await problemsOf(text)).toEqual(["config.yaml:5: unknown key auth.htpasswd.patth, did you mean path? (line 5)"]);
  });

  test("other keys under http are refused by name", async () => {
    expect((await problems({ http: { compat: ["docker2s2"] } })).join()).toContain("unknown key http.compat");
  });

  test.each([
    ["auth", { http: htpasswd, ...htpasswd }],
    ["accessControl", { http: { accessControl: {} }, accessControl: {} }],
    ["port", { http: { port: "8080" }, port: 8081 }],
    ["host", { http: { address: "127.0.0.1" }, host: "::" }],
    ["serverTlsConfig", { http: { tls: { cert: "a", key: "b" } }, serverTlsConfig: { cert: "a", key: "b" } }],
  ])("%s in both places is an error", async (key, config) => {
    expect((await problems(config)).join()).toMatch(new RegExp(`http\\.\\w+ and ${key} say the same`));
  });

  test("address, port, externalUrl and realm have their place under http", async () => {
    const { host, port, externalUrl, auth } = await load({
      http: { address: "127.0.0.1", port: "5000", externalUrl: "https://r.example.com/", realm: "ours", ...htpasswd },
    });
    expect({ host, port, externalUrl, realm: auth?.realm }).toEqual({ host: "127.0.0.1", port: 5000, externalUrl: "https://r.example.com", realm: "ours" });
  });

  test("a flag wins over http.port", async () => {
    const { config } = await loadText('{"http":{"port":"5000"}}', { flags: { port: "0" } });
    expect(config.port).toBe(0);
  });
});

describe("what would let people in by mistake", () => {
  test.each(["cert", "service", "realm"])("bearer without %s is an error", async (missing) => {
    const { [missing]: _, ...bearer }: Record<string, string> = { realm: "https://a/token", service: "s", cert: "c" };
    expect((await problems({ auth: { bearer } })).join()).toContain(`auth.bearer has no ${missing}`);
  });

  test("an empty bearer is an error", async () => {
    const both = { realm: "https://kc/token", service: "r", cert: "/k.pem", jwksUri: "https://kc/keys" };
    expect((await problems({ auth: { bearer: both } })).join()).toContain("auth.bearer has cert and jwksUri");
    expect((await problems({ auth: { bearer: {} } })).join()).toContain("auth.bearer has no realm and no service and no cert");
  });

  test("a workload issuer without an audience is an error", async () => {
    expect((await problems({ auth: { bearer: { oidc: [{ issuer: "https://i", audiences: [] }] } } })).join()).toContain("a token for anybody would do");
  });

  test.each(["accessControl:\n", "auth:\n  htpasswd:\n", "accessControl:\n  repositories:\n    locked/**:\n", "http:\n  Auth:\n    ldap:\n"])(
    "a key without a value is an error: %j",
    async (text) => {
      expect((await problemsOf(text)).join()).toContain("has no value");
    },
  );

  test("an entry that is empty stays, and so does an accessControl", async () => {
    expect((await load({ ...htpasswd, accessControl: { repositories: { "locked/**": {} } } })).accessControl?.repositories["locked/**"]).toEqual({
      policies: [],
      defaultPolicy: [],
      anonymousPolicy: [],
    });
    expect((await load({ accessControl: {} })).accessControl).toBeDefined();
  });

  test("an accessControl without a method loads with a notice", async () => {
    const { auth, notices } = await load({ accessControl: { repositories: { "**": { anonymousPolicy: ["read"] } } } });
    expect(auth).toBeUndefined();
    expect(notices.join()).toContain("only anonymousPolicy can match");
  });

  test("mtls without clients that are asked for a certificate is an error", async () => {
    expect((await problems({ auth: { mtls: {} } })).join()).toContain("auth.mtls needs clients that are asked for a certificate");
  });

  test.each([
    [{ bindDN: "cn=a" }, "has a bindDN and no bindPassword"],
    [{ bindPassword: "p" }, "has a bindPassword and no bindDN"],
    [{ bindDN: "cn=a", bindPassword: "p", bindPasswordFile: "f" }, "one is enough"],
  ])("half a bind is an error: %j", async (bind, words) => {
    expect((await problems({ auth: { ldap: { address: "a", baseDN: "b", userAttribute: "uid", ...bind } } })).join()).toContain(words);
  });

  test.each([
    [{}, "ldaps", 636],
    [{ port: 389 }, "starttls", 389],
    [{ port: 389, insecure: true }, "plain", 389],
    [{ insecure: true, startTLS: true }, "starttls", 389],
    [{ port: 10636 }, "ldaps", 10636],
  ])("ldap with %j is spoken by %s", async (said, transport, port) => {
    expect((await load({ auth: { ldap: { address: "a", baseDN: "b", userAttribute: "uid", ...said } } })).auth?.ldap).toMatchObject({ transport, port });
  });
});

describe("Keycloak's variables", () => {
  const variables = {
    REGISTRY_AUTH_TOKEN_REALM: "https://kc.example.com/auth/realms/R/protocol/docker-v2",
    REGISTRY_AUTH_TOKEN_SERVICE: "registry",
    REGISTRY_AUTH_TOKEN_ISSUER: "https://kc.example.com/auth/realms/R",
  };

  test("are accepted as they are; without a certificate the realm's own keys are asked for", async () => {
    const { auth, notices } = await load({}, variables);
    expect(auth?.bearer?.traditional).toEqual({
      realm: "https://kc.example.com/auth/realms/R/protocol/docker-v2/auth",
      service: "registry",
      issuer: "https://kc.example.com/auth/realms/R",
      certPath: undefined,
      jwksUri: "https://kc.example.com/auth/realms/R/protocol/openid-connect/certs",
    });
    expect(notices.join()).toContain("where Keycloak answers");
  });

  test("a certificate is what signs them", async () => {
    const { auth } = await load({}, { ...variables, REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: "/opt/certs/trust.pem" });
    expect(auth?.bearer?.traditional).toMatchObject({ certPath: "/opt/certs/trust.pem", jwksUri: undefined });
  });

  test("half of them is an error, not an open door", async () => {
    expect((await problems({}, { REGISTRY_AUTH_TOKEN_REALM: "https://kc/realms/R/protocol/docker-v2/auth" })).join()).toContain("auth.bearer has no service");
  });
});

test("as soon as clients are told apart, registries that are not listed are denied", async () => {
  const { resolveUnlisted } = await import("../../src/config/unlisted-registries.ts");
  expect(resolveUnlisted(await load(htpasswd), {})).toMatchObject({ policy: "deny" });
  expect(resolveUnlisted(await load({ accessControl: {} }), {})).toMatchObject({ policy: "deny" });
});
