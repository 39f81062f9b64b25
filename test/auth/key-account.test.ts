/** What becomes of a key when its owner is gone hangs on how the owner was known when he made it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileRecords } from "../../src/auth/file-records.ts";
import { keyAccountOf } from "../../src/auth/key-account.ts";
import { People, type KnownPerson } from "../../src/auth/people.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

let folder: TemporaryFolder;
let people: People;

beforeEach(async () => {
  folder = await temporaryFolder();
  const clock = new TestClock();
  people = new People({ records: new FileRecords({ folder: folder.path, clock, background: new Background(silentLog) }), clock });
});
afterEach(() => folder[Symbol.asyncDispose]());

const alice = { name: "alice", groups: ["dev"] };

test.each<[Principal["method"], string]>([
  ["htpasswd", "htpasswd"],
  ["ldap", "person"],
  ["mtls", "person"],
])("who came by %s makes a key that needs an account of the kind %s, and is noted", async (method, account) => {
  expect(await keyAccountOf({ ...alice, method }, people)).toBe(account);
  expect(await people.find("alice")).toMatchObject({ groups: ["dev"], method });
});

test.each<[string, string, Pick<KnownPerson, "method" | "provider">]>([
  ["htpasswd", "htpasswd", { method: "htpasswd" }],
  ["ldap", "person", { method: "ldap" }],
  ["gitlab", "person", { method: "oidc", provider: "gitlab" }],
])("a session that began by %s makes a key that needs an account of the kind %s, whatever else that name was let in by", async (by, account, known) => {
  const principal: Principal = { ...alice, method: "session", voucher: { by } };
  expect(await keyAccountOf(principal, people)).toBe(account);
  // Never as somebody whom a session knows: a session is over, and the key would go on.
  expect(await people.find("alice")).toMatchObject({ groups: ["dev"], ...known });
  await people.note({ ...alice, method: by === "htpasswd" ? "ldap" : "htpasswd" });
  expect(await keyAccountOf(principal, people)).toBe(account);
});
