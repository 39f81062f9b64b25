/** Who may see and end sessions: only somebody in person. */
import { expect, test } from "vitest";
import { FileRecords } from "../../src/auth/file-records.ts";
import type { Principal } from "../../src/auth/principal.ts";
import { SessionList } from "../../src/auth/session-list.ts";
import { Sessions, sessionLifeMs } from "../../src/auth/sessions.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const alice = { name: "alice", groups: [] };
const key: Principal["scope"] = { repositories: undefined, actions: new Set(["read"]) };

test.each<[string, Partial<Principal> & Pick<Principal, "method">, status: number]>([
  ["her password", { method: "htpasswd" }, 204],
  ["her password in the directory", { method: "ldap" }, 204],
  ["her certificate", { method: "mtls" }, 204],
  ["her browser", { method: "session" }, 204],
  ["a provider's access token", { method: "oidc" }, 403],
  ["somebody else's token", { method: "bearer", access: [] }, 403],
  ["a token of ours", { method: "token", access: [] }, 403],
  ["an API key", { method: "apikey" }, 403],
  ["an API key with a scope", { method: "apikey", scope: key }, 403],
])("by %s sessions are seen and ended, or are not", async (_, shown, status) => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const sessions = new Sessions({
    records: new FileRecords({ folder: folder.path, clock, background: new Background(silentLog) }),
    clock,
    keys: { hashKey: undefined, encryptKey: undefined },
  });
  const { value, session } = await sessions.open({ user: "alice", groups: [], by: "oidc" }, { client: "", userAgent: "", lifeMs: sessionLifeMs });
  const list = new SessionList({ sessions, log: silentLog });
  const search = new URLSearchParams({ id: session.id });
  const answer = await list.answer({ method: "DELETE", search, principal: { ...alice, ...shown } });
  expect(answer.status).toBe(status);
  expect((await list.answer({ method: "GET", search: new URLSearchParams(), principal: { ...alice, ...shown } })).status).toBe(status === 204 ? 200 : 403);
  expect((await sessions.find(value)) === undefined).toBe(status === 204);
});

test("whom a provider vouches for sees and ends his own sessions, and none of his namesakes; whom the file or the directory names, all of the name", async () => {
  await using folder = await temporaryFolder();
  const clock = new TestClock();
  const records = new FileRecords({ folder: folder.path, clock, background: new Background(silentLog) });
  const sessions = new Sessions({ records, clock, keys: { hashKey: undefined, encryptKey: undefined } });
  const list = new SessionList({ sessions, log: silentLog });
  const [eve, other] = [
    { by: "github", subject: "666" },
    { by: "oidc", subject: "1" },
  ];
  const begin = async (voucher: { readonly by: string; readonly subject?: string }) => {
    return (await sessions.open({ ...alice, user: "alice", ...voucher }, { client: "", userAgent: "", lifeMs: sessionLifeMs })).session.id;
  };
  const [eves, others, local] = [await begin(eve), await begin(other), await begin({ by: "ldap" })];
  const ask = async (method: string, id: string, principal: Principal) => await list.answer({ method, search: new URLSearchParams({ id }), principal });
  const seen = async (principal: Principal) => JSON.stringify(await (await ask("GET", "", principal)).json());
  const eveNow: Principal = { ...alice, method: "session", voucher: eve };
  const ids = [eves, others, local];
  const seenByEve = await seen(eveNow);
  expect(ids.map((id) => seenByEve.includes(id))).toEqual([true, false, false]);
  const seenByAll = await seen({ ...alice, method: "htpasswd" });
  expect(ids.map((id) => seenByAll.includes(id))).toEqual([true, true, true]);
  expect([(await ask("DELETE", others, eveNow)).status, (await ask("DELETE", local, eveNow)).status]).toEqual([404, 404]);
  expect([(await ask("DELETE", eves, eveNow)).status, (await ask("DELETE", others, { ...alice, method: "ldap" })).status]).toEqual([204, 204]);
});
