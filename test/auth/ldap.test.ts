import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { LdapConnection } from "../../src/auth/ldap-connection.ts";
import { ldapTransport, openLdap, type Ldap, type LdapOptions } from "../../src/auth/ldap.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { Secret } from "../../src/oci/secret.ts";
import { createTestAuthority, type TestAuthority } from "../support/certificates.ts";
import { KeptLog } from "../support/kept-log.ts";
import { freePort } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { startRelay } from "../support/relay.ts";
import { directoryBase, searcher, startSlapd, type Slapd } from "../support/slapd.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const never = new AbortController().signal;
const isAble = requirePrograms("slapd", "ldapmodify", "openssl");
const service = { dn: searcher.dn, password: new Secret(searcher.password) };
const people = `ou=people,${directoryBase}`;
const opened: Ldap[] = [];

async function open(slapd: { readonly port: number }, options: Partial<LdapOptions> = {}): Promise<{ ldap: Ldap; log: KeptLog }> {
  const log = new KeptLog();
  const ldap = await openLdap({
    host: "127.0.0.1",
    port: slapd.port,
    transport: "plain",
    authority: undefined,
    skipVerify: false,
    baseDn: people,
    userAttribute: "uid",
    userFilter: undefined,
    userGroupAttribute: "memberOf",
    mailAttribute: "mail",
    subtreeSearch: true,
    service,
    clock: systemClock,
    log,
    ...options,
  });
  opened.push(ldap);
  return { ldap, log };
}

async function ask(ldap: Ldap, user: string, password: string): Promise<string> {
  return (await ldap.verify({ user, password }, never)).kind;
}

afterEach(() => {
  for (const ldap of opened.splice(0)) ldap.close();
});

describe.runIf(isAble)("a directory", () => {
  let folder: TemporaryFolder;
  let authority: TestAuthority;
  let slapd: Slapd;

  beforeAll(async () => {
    folder = await temporaryFolder();
    authority = await createTestAuthority(folder.path);
    slapd = await startSlapd(folder.path, { tls: await authority.issue() });
  });
  afterAll(async () => {
    await slapd[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  afterEach(async () => void (await slapd.asked()));

  test("admits who knows the password, with the groups of memberOf by their DN and their cn", async () => {
    const { ldap } = await open(slapd);
    expect(await ldap.verify({ user: "alice", password: "alice-secret" }, never)).toEqual({
      kind: "right",
      principal: { name: "alice", groups: [`cn=dev,${directoryBase}`, "dev", `cn=a\\2C b,${directoryBase}`, "a, b"], method: "ldap" },
    });
    expect(await slapd.asked()).toEqual([
      `BIND dn="${searcher.dn}" method=128`,
      `SRCH base="${people}" scope=2 deref=0 filter="(uid=alice)"`,
      `BIND dn="uid=alice,${people}" method=128`,
    ]);
    expect(await ask(ldap, "alice", "wrong")).toBe("wrong");
    expect(await ask(ldap, "nobody", "alice-secret")).toBe("wrong");
  });

  test("any attribute may name groups, or none", async () => {
    const { ldap } = await open(slapd, { userGroupAttribute: "title" });
    expect(await ldap.verify({ user: "alice", password: "alice-secret" }, never)).toMatchObject({ principal: { groups: ["shift lead"] } });
    const { ldap: without } = await open(slapd, { userGroupAttribute: undefined });
    expect(await without.verify({ user: "alice", password: "alice-secret" }, never)).toMatchObject({ principal: { groups: [] } });
  });

  test("the directory's spelling of a name is who it is, however it was typed", async () => {
    const { ldap } = await open(slapd);
    for (const user of ["ALICE", "alice ", " Alice"]) {
      expect(await ldap.verify({ user, password: "alice-secret" }, never)).toMatchObject({ kind: "right", principal: { name: "alice" } });
    }
  });

  test("without subtreeSearch only the immediate children of the base are found", async () => {
    const { ldap: deep } = await open(slapd);
    const { ldap: flat } = await open(slapd, { subtreeSearch: false });
    expect([await ask(deep, "bob", "bob-secret"), await ask(flat, "bob", "bob-secret"), await ask(flat, "alice", "alice-secret")]).toEqual([
      "right",
      "wrong",
      "right",
    ]);
  });

  test("userFilter is demanded besides, and one that is none is an error", async () => {
    const { ldap } = await open(slapd, { userFilter: `(memberOf=cn=dev,${directoryBase})` });
    expect([await ask(ldap, "alice", "alice-secret"), await ask(ldap, "bob", "bob-secret")]).toEqual(["right", "wrong"]);
    await expect(open(slapd, { userFilter: "(uid=" })).rejects.toThrow('userFilter: "(uid=" is not a filter');
  });

  test("a name that two entries have is nobody's", async () => {
    const { ldap } = await open(slapd);
    expect(await ask(ldap, "twin", "twin-secret")).toBe("wrong");
  });

  test("without a service the directory is searched without a name", async () => {
    const { ldap } = await open(slapd, { service: undefined });
    expect(await ask(ldap, "alice", "alice-secret")).toBe("right");
    expect((await slapd.asked())[0]).toMatch(/^SRCH/);
  });

  test("a service whose password is wrong makes the directory unavailable, not the user wrong, and shows no password", async () => {
    const { ldap, log } = await open(slapd, { service: { dn: searcher.dn, password: new Secret("old-secret") } });
    const verdict = await ldap.verify({ user: "alice", password: "alice-secret" }, never);
    expect(verdict).toMatchObject({ kind: "unavailable", reason: expect.stringContaining(searcher.dn) as string });
    expect(log.lines.map((line) => line.split(" {")[0])).toEqual(["warn directory is away"]);
    expect(log.lines.join("")).not.toContain("secret");
  });

  test.for(["ldaps", "starttls"] as const)("%s: the certificate is verified against the authority, and the name against the certificate", async (transport) => {
    const address = { port: transport === "ldaps" ? slapd.tlsPort : slapd.port };
    const authorityText = authority.certificate;
    const { ldap: right } = await open(address, { transport, authority: authorityText });
    expect(await ask(right, "alice", "alice-secret")).toBe("right");
    expect(await ask(right, "alice", "wrong")).toBe("wrong");
    const { ldap: named } = await open(address, { transport, authority: authorityText, host: "localhost" });
    expect(await ask(named, "alice", "alice-secret")).toBe("right");
    const { ldap: strange } = await open(address, { transport });
    expect(await strange.verify({ user: "alice", password: "alice-secret" }, never)).toMatchObject({
      kind: "unavailable",
      reason: expect.stringMatching(/certificate/) as string,
    });
    const { ldap: careless } = await open(address, { transport, skipVerify: true });
    expect(await ask(careless, "alice", "alice-secret")).toBe("right");
  });

  test.for(["ldaps", "starttls"] as const)("%s: a certificate for another name gets no password", async (transport) => {
    await using other = await startSlapd(folder.path, { tls: await authority.issue({ names: ["elsewhere.example"] }) });
    await other.asked();
    const { ldap } = await open({ port: transport === "ldaps" ? other.tlsPort : other.port }, { transport, authority: authority.certificate });
    expect(await ask(ldap, "alice", "alice-secret")).toBe("unavailable");
    expect((await other.asked()).filter((line) => line.startsWith("BIND"))).toEqual([]);
  });

  test("a directory that offers no StartTLS gets no password, and the log names both cures", async () => {
    await using plain = await startSlapd(folder.path);
    await plain.asked();
    const { ldap, log } = await open(plain, { transport: "starttls" });
    expect(await ask(ldap, "alice", "alice-secret")).toBe("unavailable");
    expect((await plain.asked()).filter((line) => !line.startsWith("EXT"))).toEqual([]);
    expect(log.lines.join("\n")).toMatch(/offers no StartTLS.*\(636\).*insecure: true/);
  });

  test("connections are kept: a hundred logins, eight at a time, dial eight times for searching and eight for passwords at most", async () => {
    await using relay = await startRelay(slapd.port);
    const { ldap } = await open(relay);
    const verdicts = await Promise.all(Array.from({ length: 100 }, () => ask(ldap, "alice", "alice-secret")));
    expect(new Set(verdicts)).toEqual(new Set(["right"]));
    expect(relay.accepted).toBeLessThanOrEqual(16);
  });

  test("a connection that the directory has closed meanwhile is replaced, and secured anew before anything is said on it", async () => {
    await using relay = await startRelay(slapd.port);
    const { ldap } = await open(relay, { transport: "starttls", authority: authority.certificate });
    expect(await ask(ldap, "alice", "alice-secret")).toBe("right");
    await slapd.asked();
    await relay.cut();
    expect(await ask(ldap, "alice", "alice-secret")).toBe("right");
    const asked = await slapd.asked();
    expect(asked.filter((line) => line.startsWith("EXT")).length).toBe(2);
    expect(relay.received).not.toContain("alice-secret");
    expect(relay.received).not.toContain(searcher.password);
  });

  test("a connection that is closed stays closed: nothing is said on another in its place", async () => {
    await using relay = await startRelay(slapd.port);
    const connection = new LdapConnection(await import("ldapts"), {
      host: "127.0.0.1",
      port: relay.port,
      transport: "plain",
      authority: undefined,
      skipVerify: false,
    });
    await connection.bind(`uid=alice,${people}`, "alice-secret");
    await relay.cut();
    while (connection.isOpen) await new Promise(setImmediate);
    await expect(connection.bind(`uid=bob,ou=far,${people}`, "bob-secret")).rejects.toThrow("the connection was closed");
    expect(relay.accepted).toBe(1);
    expect(relay.received).not.toContain("bob-secret");
  });

  test("idle connections are closed after half a minute", async () => {
    const clock = new TestClock();
    await using relay = await startRelay(slapd.port);
    const { ldap } = await open(relay, { clock });
    expect(await ask(ldap, "alice", "alice-secret")).toBe("right");
    expect(relay.open).toBe(2);
    await clock.advance(30_000);
    await relay.untilOpen(0);
  });

  test("LDAP injection: names that are filters, DNs, NULs and patterns are looked for as they are, exactly, and are nobody", async () => {
    const { ldap } = await open(slapd);
    await ask(ldap, "alice", "alice-secret");
    await slapd.asked();
    for (const user of ["*", "*)(uid=*", "alice)(|(uid=*", "a*", "alice\0", `uid=alice,${people}`, "\\61lice", "(uid=alice)", "", "  "]) {
      expect([user, await ask(ldap, user, "alice-secret")]).toEqual([user, "wrong"]);
    }
    const asked = await slapd.asked();
    const filters = asked.flatMap((line) => /filter="(.*)"$/.exec(line)?.[1] ?? []);
    expect(filters).toEqual([
      "(uid=\\2A)",
      "(uid=\\2A\\29\\28uid=\\2A)",
      "(uid=alice\\29\\28|\\28uid=\\2A)",
      "(uid=a\\2A)",
      "(uid=alice\\00)",
      `(uid=uid=alice,${people})`,
      "(uid=\\5C61lice)",
      "(uid=\\28uid=alice\\29)",
    ]);
    expect(asked.filter((line) => line.includes(`uid=alice,${people}" method`))).toEqual([]);
  });

  test("empty password: it is refused before the directory hears of it", async () => {
    const { ldap } = await open(slapd);
    expect(await ask(ldap, "alice", "")).toBe("wrong");
    expect(await slapd.asked()).toEqual([]);
  });

  test("user enumeration: an unknown name costs the directory as many questions as a known one, and no password is told", async () => {
    const { ldap } = await open(slapd);
    await ask(ldap, "alice", "alice-secret");
    await slapd.asked();
    await ask(ldap, "nobody", "nobody-secret");
    const kinds = (await slapd.asked()).map((line) => line.split(" ")[0]);
    await ask(ldap, "alice", "wrong");
    expect((await slapd.asked()).map((line) => line.split(" ")[0])).toEqual(kinds);
  });

  test("referrals are not followed", async () => {
    await using elsewhere = await startRelay(slapd.port);
    await slapd.add(
      `dn: ou=elsewhere,${people}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: ldap://127.0.0.1:${elsewhere.port}/${people}??sub\n`,
    );
    const { ldap } = await open(slapd);
    expect([await ask(ldap, "alice", "alice-secret"), await ask(ldap, "nobody", "x")]).toEqual(["right", "wrong"]);
    expect(elsewhere.accepted).toBe(0);
  });

  test("a directory that hangs is given up after three seconds, then at once, and asked again by one login in five seconds", async () => {
    await using hanging = await startSlapd(folder.path);
    const clock = new TestClock();
    const { ldap, log } = await open(hanging, { clock });
    expect(await ask(ldap, "alice", "alice-secret")).toBe("right");
    hanging.freeze();
    const waiting = ask(ldap, "alice", "alice-secret");
    await clock.advance(3_000);
    expect(await waiting).toBe("unavailable");
    expect(await ask(ldap, "alice", "alice-secret")).toBe("unavailable");
    hanging.goOn();
    await clock.advance(4_999);
    expect(await ask(ldap, "alice", "alice-secret")).toBe("unavailable");
    await clock.advance(1);
    expect(await ask(ldap, "alice", "alice-secret")).toBe("right");
    expect(log.lines).toEqual([
      `warn directory is away {"directory":"127.0.0.1:${hanging.port}","reason":"no answer in time"}`,
      `info directory answers again {"directory":"127.0.0.1:${hanging.port}"}`,
    ]);
  });

  test("while one login finds out whether the directory is back, the others do not wait", async () => {
    await using hanging = await startSlapd(folder.path);
    const clock = new TestClock();
    const { ldap } = await open(hanging, { clock });
    hanging.freeze();
    const first = ask(ldap, "alice", "alice-secret");
    await clock.advance(3_000);
    expect(await first).toBe("unavailable");
    await clock.advance(5_000);
    const trial = ask(ldap, "alice", "alice-secret");
    expect(await ask(ldap, "bob", "bob-secret")).toBe("unavailable");
    hanging.goOn();
    expect(await trial).toBe("right");
    expect(await ask(ldap, "bob", "bob-secret")).toBe("right");
  });

  test("whoever leaves does not wait, and the answer still counts for the directory", async () => {
    const { ldap } = await open(slapd);
    const leaving = new AbortController();
    const left = ldap.verify({ user: "alice", password: "alice-secret" }, leaving.signal);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    expect(await ask(ldap, "alice", "alice-secret")).toBe("right");
  });
});

test("where nobody listens a login is unavailable at once", async () => {
  const { ldap, log } = await open({ port: await freePort() }, { clock: new TestClock() });
  expect(await ask(ldap, "alice", "x")).toBe("unavailable");
  expect(log.lines.join("")).toContain("ECONNREFUSED");
});

test("a closed directory is unavailable, and dials nobody", async () => {
  await using relay = await startRelay(1);
  const { ldap } = await open(relay);
  ldap.close();
  expect(await ask(ldap, "alice", "x")).toBe("unavailable");
  expect(relay.accepted).toBe(0);
});

test.for([
  [
    { port: undefined, insecure: false, startTls: false },
    { transport: "ldaps", port: 636 },
  ],
  [
    { port: 10_636, insecure: false, startTls: false },
    { transport: "ldaps", port: 10_636 },
  ],
  [
    { port: undefined, insecure: false, startTls: true },
    { transport: "starttls", port: 389 },
  ],
  [
    { port: 389, insecure: true, startTls: true },
    { transport: "starttls", port: 389 },
  ],
  [
    { port: 389, insecure: true, startTls: false },
    { transport: "plain", port: 389 },
  ],
  [
    { port: 389, insecure: false, startTls: false },
    { transport: "starttls", port: 389, notice: "port 389 without startTLS and without insecure: StartTLS is used, and required" },
  ],
] as const)("%j means %j", ([keys, meaning]) => {
  expect(ldapTransport(keys)).toEqual(meaning);
});
