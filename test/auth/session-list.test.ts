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
