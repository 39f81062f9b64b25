/** A provider for signing in with, and a directory that knows the same people: whose verified e-mail address it has is that person there, groups and all. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { defaultRedirectUri, startOpenidProvider, type OpenidProvider } from "../support/openid-provider.ts";
import { requirePrograms } from "../support/programs.ts";
import { directoryBase, searcher, startSlapd, type Slapd } from "../support/slapd.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const externalUrl = "http://registry.example.test";
const closed = "/v2/team/app/manifests/1";
const person = (uid: string, mail: string): string =>
  `dn: uid=${uid},ou=people,${directoryBase}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\nmail: ${mail}\nuserPassword: ${uid}-secret\n`;

describe.runIf(requirePrograms("slapd", "ldapmodify"))("people of a provider whom a directory knows too", () => {
  let folder: TemporaryFolder;
  let slapd: Slapd;
  let oidc: OpenidProvider;
  let guarded: GuardedServer;

  beforeAll(async () => {
    folder = await temporaryFolder();
    slapd = await startSlapd(folder.path);
    await slapd.add([person("carol", "carol@example.com"), person("dave", "shared@example.com"), person("erin", "shared@example.com")].join("\n"));
    await slapd.add(`dn: cn=ops,${directoryBase}\nobjectClass: groupOfNames\ncn: ops\nmember: uid=carol,ou=people,${directoryBase}\n`);
    const people = new Map([
      ["1", { preferred_username: "the-one-from-accounts", email: "Carol@Example.com", email_verified: true }],
      ["2", { preferred_username: "somebody", email: "shared@example.com", email_verified: true }],
      ["3", { preferred_username: "alice", email: "mallory@example.com", email_verified: true }],
      ["4", { preferred_username: "carols-friend", email: "carol@example.com", email_verified: false }],
    ]);
    oidc = await startOpenidProvider({ people, redirectUris: [`${externalUrl}/zot/auth/callback/oidc`, defaultRedirectUri] });
    const { issuer, clientId: clientid, clientSecret: clientsecret } = oidc;
    const scopes = ["openid", "profile", "email", "offline_access"];
    const ldap = {
      address: "127.0.0.1",
      port: slapd.port,
      insecure: true,
      baseDN: `ou=people,${directoryBase}`,
      userAttribute: "uid",
      userGroupAttribute: "memberOf",
      subtreeSearch: true,
      bindDN: searcher.dn,
      bindPassword: searcher.password,
    };
    const providers = { oidc: { issuer, clientid, clientsecret, scopes, claimMapping: { username: "preferred_username" } } };
    guarded = await startGuardedServer({
      repositories: ["team/app"],
      config: {
        externalUrl,
        accessControl: {
          repositories: {
            "team/**": {
              policies: [
                { users: ["carol"], groups: ["nobody"], actions: ["read"] },
                { groups: ["ops"], actions: ["read"] },
              ],
            },
          },
        },
        auth: { ldap, openid: { providers, linkLdapMail: true, groupsTtl: "1s" } },
      },
    });
  });
  afterAll(async () => {
    await guarded?.[Symbol.asyncDispose]();
    await oidc?.[Symbol.asyncDispose]();
    await slapd?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  async function comeBack(subject: string): Promise<{ readonly browser: CookieBrowser; readonly status: number }> {
    oidc.visitor = subject;
    const browser = new CookieBrowser(guarded.server.url);
    const begun = await browser.ask("/zot/auth/login?provider=oidc&callback_ui=/home");
    const back = await oidc.visit(new URL(begun.headers.get("location") ?? ""));
    return { browser, status: (await browser.ask(`${back.pathname}${back.search}`)).status };
  }

  test("are who the directory says, in a browser and by an access token; others are let in by neither", async () => {
    const { browser, status } = await comeBack("1");
    expect([status, (await browser.ui(closed)).status]).toEqual([302, 200]);
    await guarded.server.process.waitForOutput(/"user":"carol","by":"oidc".*"signed in"/);
    expect((await guarded.get(closed, { authorization: basic("carol", await oidc.accessToken("1")) })).status).toBe(200);
    for (const [subject, reason] of [
      ["2", /several people in the directory/],
      ["3", /somebody's in the directory, who has another e-mail address/],
      ["4", /linkLdapMail.*does not call it verified/],
    ] as const) {
      expect((await comeBack(subject)).status).toBe(401);
      await guarded.server.process.waitForOutput(reason);
      expect((await guarded.get(closed, { authorization: basic("oauth2accesstoken", await oidc.accessToken(subject)) })).status).toBe(401);
    }
  });

  test("are told to try later while the directory is away, and stay signed in", async () => {
    const { browser } = await comeBack("1");
    const token = await oidc.accessToken("1");
    slapd.freeze();
    try {
      expect((await comeBack("1")).status).toBe(503);
      expect((await guarded.get(closed, { authorization: basic("carol", token) })).status).toBe(503);
      // Its groups are as old as they may be by now: they are asked for, and stay as they were.
      expect((await browser.ui(closed)).status).toBe(200);
    } finally {
      slapd.goOn();
    }
    await expect.poll(async () => (await comeBack("1")).status, { timeout: 15_000 }).toBe(302);
  });
});
