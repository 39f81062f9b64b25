/** What becomes of a key when its owner is gone hangs on how the owner was known when he made it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileRecords } from "../../src/auth/file-records.ts";
import { keyHolderOf } from "../../src/auth/key-holder.ts";
import { methodOf, People, type KnownPerson } from "../../src/auth/people.ts";
import type { Principal, Voucher } from "../../src/auth/principal.ts";
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
  expect(await keyHolderOf({ ...alice, method }, people)).toEqual({ account, voucher: { by: method } });
  expect(await people.find("alice")).toMatchObject({ groups: ["dev"], method });
  expect(await people.findBy("alice", { by: method })).toMatchObject({ groups: ["dev"], method });
});

test.each<[Voucher, string, Partial<KnownPerson>]>([
  [{ by: "htpasswd" }, "htpasswd", { method: "htpasswd" }],
  [{ by: "ldap" }, "person", { method: "ldap" }],
  [{ by: "gitlab", subject: "1" }, "person", { method: "oidc", provider: "gitlab", subject: "1" }],
  [{ by: "oidc", subject: "1" }, "person", { method: "oidc", provider: "oidc", subject: "1" }],
])("a session that began by %j makes a key that needs an account of the kind %s, whatever else that name was let in by", async (voucher, account, known) => {
  const principal: Principal = { ...alice, method: "session", voucher };
  expect(await keyHolderOf(principal, people)).toEqual({ account, voucher });
  // Never as somebody whom a session knows: a session is over, and the key would go on.
  expect(await people.find("alice")).toMatchObject({ groups: ["dev"], ...known });
  await people.note({ ...alice, method: voucher.by === "htpasswd" ? "ldap" : "htpasswd" });
  expect(await keyHolderOf(principal, people)).toEqual({ account, voucher });
});

test("a session says nothing of a person that a later login has said otherwise", async () => {
  const voucher: Voucher = { by: "oidc", subject: "1" };
  await people.note({ name: "alice", groups: ["ops"], ...methodOf(voucher) });
  await keyHolderOf({ ...alice, method: "session", voucher }, people);
  expect([(await people.find("alice"))?.groups, (await people.findBy("alice", voucher))?.groups]).toEqual([["ops"], ["ops"]]);
});
