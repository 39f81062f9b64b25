/** People looked up by name, who do not show their password again. */
import { expect, test } from "vitest";
import { openAccounts } from "../../src/auth/accounts.ts";
import type { DirectoryPerson } from "../../src/auth/directory-people.ts";

const htpasswd = { stampOf: (user: string) => (user === "alice" ? "stamp" : undefined) };
const grants = { check: () => Promise.reject(new Error("no provider is asked about users of a file")) };

test.each<[string, DirectoryPerson | undefined, readonly string[]]>([
  ["there is no directory", undefined, []],
  ["the directory has one", { kind: "one", name: "alice", groups: ["ops"] }, ["ops"]],
  ["the directory has one of another spelling", { kind: "one", name: "Alice", groups: ["ops"] }, []],
  ["the directory has none", { kind: "none" }, []],
  ["the directory has several", { kind: "several" }, []],
  ["the directory is away", { kind: "unavailable", reason: "no answer" }, []],
])("a user of the file is known, with the groups of the directory: %s", async (_, person, groups) => {
  const directory = person && { findByName: () => Promise.resolve(person) };
  const accounts = openAccounts({ htpasswd, directory, grants });
  const { signal } = new AbortController();
  expect(await accounts.find({ user: "alice" }, signal)).toEqual({ kind: "known", principal: { name: "alice", groups, method: "htpasswd" }, stamp: "stamp" });
  // Whom only the directory knows shows the password each time.
  expect(await accounts.find({ user: "carol" }, signal)).toEqual({ kind: "unknown" });
});
