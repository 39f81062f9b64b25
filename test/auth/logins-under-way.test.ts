import { beforeEach, afterEach, describe, expect, test } from "vitest";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FileRecords } from "../../src/auth/file-records.ts";
import { loginLifeMs, LoginsUnderWay, type LoginStart } from "../../src/auth/logins-under-way.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const client = "192.0.2.1";
const begun = { provider: "oidc", redirectUri: "https://registry.example.com/zot/auth/callback/oidc", callback: "/home" };

let folder: TemporaryFolder;
let clock: TestClock;

beforeEach(async () => {
  folder = await temporaryFolder();
  clock = new TestClock();
});
afterEach(() => folder[Symbol.asyncDispose]());

function open(): LoginsUnderWay {
  return new LoginsUnderWay({ records: new FileRecords({ folder: folder.path, clock, background: new Background(silentLog) }), clock });
}

async function begin(logins: LoginsUnderWay): Promise<LoginStart> {
  const start = await logins.begin(begun, client);
  if (!start) throw new Error("too many");
  return start;
}

/** The browser that has these cookies. */
function browser(...starts: readonly LoginStart[]): (name: string) => string | undefined {
  return (name) => starts.find(({ cookie }) => cookie.name === name)?.cookie.value;
}

describe("who was sent to a provider", () => {
  test("comes back, to whichever process, with what was agreed on", async () => {
    const start = await begin(open());
    const { login } = start;
    expect(await open().take(login.state, "oidc", browser(start))).toEqual({ kind: "returned", login, callback: "/home" });
    expect(login.redirectUri).toBe(begun.redirectUri);
    expect(new Set([login.state, login.nonce, login.codeVerifier, start.cookie.value]).size).toBe(4);
    for (const text of [login.state, login.codeVerifier]) expect(text).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(login.nonce).toMatch(/^ociregistry-browser-[A-Za-z0-9_-]{43}$/);
  });

  test("may have several windows open", async () => {
    const logins = open();
    const [one, other] = [await begin(logins), await begin(logins)];
    for (const { login } of [other, one]) expect((await logins.take(login.state, "oidc", browser(one, other))).kind).toBe("returned");
  });

  test.each([
    [
      "a second time",
      async (logins: LoginsUnderWay, start: LoginStart) => void (await logins.take(start.login.state, "oidc", browser(start))),
      {},
      /used already/,
    ],
    ["after ten minutes", () => clock.advance(loginLifeMs), {}, /is over/],
    ["from another provider", async () => {}, { provider: "gitlab" }, /given to oidc, and came back from gitlab/],
    ["in another browser", async () => {}, { isStranger: true }, /another browser/],
  ] satisfies readonly (readonly [
    string,
    (logins: LoginsUnderWay, start: LoginStart) => Promise<void>,
    { provider?: string; isStranger?: boolean },
    RegExp,
  ])[])("does not come back %s", async (_, meanwhile, { provider = "oidc", isStranger = false }: { provider?: string; isStranger?: boolean }, reason) => {
    const logins = open();
    const start = await begin(logins);
    await meanwhile(logins, start);
    const cookies = isStranger ? browser(await begin(logins)) : browser(start);
    const returned = await logins.take(start.login.state, provider, cookies);
    expect(returned.kind === "refused" ? returned.reason : returned.kind).toMatch(reason);
    // Whatever it was: that state is used.
    expect((await logins.take(start.login.state, "oidc", browser(start))).kind).toBe("refused");
  });

  test.each(["", "x", "../../../etc/passwd", "A".repeat(43), "A".repeat(10_000)])("does not come back with a state that nobody gave: %j", async (state) => {
    const logins = open();
    const start = await begin(logins);
    expect((await logins.take(state, "oidc", browser(start))).kind).toBe("refused");
  });

  test("comes back once, when both of two processes are asked at once", async () => {
    const start = await begin(open());
    const returned = await Promise.all([open(), open(), open()].map((logins) => logins.take(start.login.state, "oidc", browser(start))));
    expect(returned.map(({ kind }) => kind).toSorted()).toEqual(["refused", "refused", "returned"]);
  });

  test("cannot begin more than a thousand times in ten minutes from one address; others can", async () => {
    const logins = open();
    const starts = await Promise.all(Array.from({ length: 1_001 }, (_, at) => logins.begin(begun, at % 2 === 0 ? client : "::ffff:192.0.2.1")));
    expect(starts.filter(Boolean)).toHaveLength(1_000);
    expect(await logins.begin(begun, "192.0.2.2")).toBeDefined();
    await clock.advance(loginLifeMs);
    expect(await logins.begin(begun, client)).toBeDefined();
  });
});

test("of too many from many addresses no more are begun, until those are over; and no file of them is left then", async () => {
  const background = new Background(silentLog);
  await using records = new FileRecords({ folder: folder.path, clock, background });
  const logins = new LoginsUnderWay({ records, clock, inAllMax: 20 });
  const starts = await Promise.all(Array.from({ length: 30 }, (_, at) => logins.begin(begun, `192.0.2.${at}`)));
  expect(starts.filter(Boolean)).toHaveLength(20);
  await clock.advance(loginLifeMs);
  expect(await logins.begin(begun, "192.0.2.30")).toBeDefined();
  await background.settled();
  expect(await readdir(join(folder.path, "logins-under-way"))).toHaveLength(1);
});

test("what is kept of it opens nothing: neither state nor code verifier nor cookie", async () => {
  const { login, cookie } = await begin(open());
  const entries = await readdir(folder.path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  expect(files).toHaveLength(1);
  const kept = (await Promise.all(files.map(async (file) => file.name + (await readFile(join(file.parentPath, file.name), "utf8"))))).join("\n");
  for (const secret of [login.state, login.nonce, login.codeVerifier, cookie.value]) expect(kept).not.toContain(secret);
});
