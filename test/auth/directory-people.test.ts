/** Whose verified e-mail address one person of the directory has is that person, and nobody becomes anybody else because the directory is away. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openLdap, type Ldap, type LdapOptions } from "../../src/auth/ldap.ts";
import { identifyPerson, type PersonRules } from "../../src/auth/openid/person.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { Secret } from "../../src/oci/secret.ts";
import { requirePrograms } from "../support/programs.ts";
import { directoryBase, searcher, startSlapd, type Slapd } from "../support/slapd.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const people = `ou=people,${directoryBase}`;
const named: PersonRules = {
  claims: { username: "preferred_username", groups: "groups" },
  requireVerifiedEmail: false,
  hostedDomain: undefined,
  users: new Map(),
  isOfFile: () => false,
};

/** Somebody who is called otherwise there. */
const claims = (mail: string, more: object = {}) => ({
  sub: "1",
  email: mail,
  email_verified: true,
  preferred_username: "somebody",
  groups: ["theirs"],
  ...more,
});

describe.runIf(requirePrograms("slapd", "ldapmodify"))("people of a directory", () => {
  let folder: TemporaryFolder;
  let slapd: Slapd;
  const opened: Ldap[] = [];

  beforeAll(async () => {
    folder = await temporaryFolder();
    slapd = await startSlapd(folder.path);
    const person = (uid: string, mails: readonly string[], more = "") =>
      `dn: uid=${uid},${people}\nobjectClass: inetOrgPerson\nuid: ${uid}\ncn: ${uid}\nsn: ${uid}\n${mails.map((mail) => `mail: ${mail}\n`).join("")}${more}\n`;
    await slapd.add(
      [
        person("carol", ["Carol@Example.com", "c@example.com"], "title: boss\n"),
        person("dave", ["shared@example.com"]),
        person("erin", ["shared@example.com"]),
        person("frank", ["frank@example.com"], "uid: francis\n"),
        person("gone", ["gone@example.com"], "employeeType: former\n"),
      ].join("\n"),
    );
    await slapd.add(`dn: cn=ops,${directoryBase}\nobjectClass: groupOfNames\ncn: ops\nmember: uid=carol,${people}\n`);
  });
  afterAll(async () => {
    await slapd?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    for (const ldap of opened.splice(0)) ldap.close();
    await slapd.asked();
  });

  async function open({ port }: { readonly port: number } = slapd, options: Partial<LdapOptions> = {}): Promise<Ldap> {
    const ldap = await openLdap({
      host: "127.0.0.1",
      port,
      transport: "plain",
      authority: undefined,
      skipVerify: false,
      baseDn: people,
      userAttribute: "uid",
      userFilter: undefined,
      userGroupAttribute: "memberOf",
      mailAttribute: "mail",
      subtreeSearch: true,
      service: { dn: searcher.dn, password: new Secret(searcher.password) },
      clock: systemClock,
      log: silentLog,
      ...options,
    });
    opened.push(ldap);
    return ldap;
  }

  test("are found by any of their addresses, whatever its case, under the name and with the groups that the directory gives", async () => {
    const directory = await open();
    for (const mail of ["carol@example.com", "CAROL@EXAMPLE.COM", "c@example.com"]) {
      expect(await identifyPerson([claims(mail)], { ...named, directory })).toMatchObject({
        kind: "person",
        person: { name: "carol", groups: [`cn=ops,${directoryBase}`, "ops", "theirs"], isLinked: true, otherNames: ["somebody", mail, "somebody", "1"] },
      });
    }
    expect(await slapd.asked()).toEqual([
      `BIND dn="${searcher.dn}" method=128`,
      `SRCH base="${people}" scope=2 deref=0 filter="(mail=carol@example.com)"`,
      `SRCH base="${people}" scope=2 deref=0 filter="(mail=carol@example.com)"`,
      `SRCH base="${people}" scope=2 deref=0 filter="(mail=c@example.com)"`,
    ]);
  });

  test("are found by another attribute where it is that one, and not at all where the filter leaves them out", async () => {
    const byTitle = await open(slapd, { mailAttribute: "title" });
    expect(await identifyPerson([claims("boss")], { ...named, directory: byTitle })).toMatchObject({ person: { name: "carol" } });
    const present = await open(slapd, { userFilter: "(!(employeeType=former))" });
    expect(await identifyPerson([claims("gone@example.com")], { ...named, directory: present })).toMatchObject({
      person: { name: "somebody", isLinked: false },
    });
  });

  test.each<[string, ReturnType<typeof claims>, RegExp]>([
    ["whose address two of them have", claims("shared@example.com"), /several people/],
    ["whose entry has two names", claims("frank@example.com"), /several people/],
    ["whose address nobody has verified", claims("carol@example.com", { email_verified: false }), /linkLdapMail.*does not call it verified/],
    ["who is called as one of them, and has another address", claims("mallory@example.com", { preferred_username: "alice" }), /another e-mail address/],
    ["who is called nearly as one of them", claims("mallory@example.com", { preferred_username: "ALICE" }), /another e-mail address/],
    ["who is called as two of them", claims("mallory@example.com", { preferred_username: "twin" }), /another e-mail address/],
    [
      "who is called as one of them, and has no address",
      { ...claims("x"), email: undefined as unknown as string, preferred_username: "alice" },
      /another e-mail address/,
    ],
  ])("are nobody %s", async (_, shown, reason) => {
    expect(await identifyPerson([shown], { ...named, directory: await open() })).toMatchObject({ kind: "refused", reason: expect.stringMatching(reason) });
  });

  test.each(["*", "carol@*", "*)(uid=carol", "carol@example.com)(uid=*", "\\2a", "a\0b", " ", "carol@example.com\n"])(
    "are found by no address that means something to a filter: %j",
    async (mail) => {
      const read = await identifyPerson([claims(mail)], { ...named, directory: await open() });
      // White space at its ends is none of an address.
      const name = mail === "carol@example.com\n" ? "carol" : "somebody";
      expect(read).toMatchObject({ kind: "person", person: { name } });
    },
  );

  test("are not asked for where an address is linked here, or where nobody wants it", async () => {
    const directory = await open();
    const users = new Map([["carol@example.com", "ours"]]);
    expect(await identifyPerson([claims("carol@example.com")], { ...named, users, directory })).toMatchObject({ person: { name: "ours", groups: ["theirs"] } });
    expect(await identifyPerson([claims("carol@example.com")], named)).toMatchObject({ person: { name: "somebody", groups: ["theirs"] } });
    expect(await slapd.asked()).toEqual([]);
  });

  test("who cannot be asked for are nobody else: it is said that nobody can tell", async () => {
    await using away = await startSlapd(folder.path);
    const directory = await open(away);
    expect(await identifyPerson([claims("nobody@example.com")], { ...named, directory })).toMatchObject({ kind: "person", person: { name: "somebody" } });
    await away[Symbol.asyncDispose]();
    for (const mail of ["carol@example.com", "nobody@example.com"])
      expect(await identifyPerson([claims(mail)], { ...named, directory })).toMatchObject({
        kind: "unavailable",
        reason: expect.stringContaining("directory"),
      });
  });
});
