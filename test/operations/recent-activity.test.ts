/** What is kept of what gates decide: alike is one line, and no more is kept than has room. */
import { expect, test } from "vitest";
import type { AccessRecord } from "../../src/oci/access-record.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { RecentActivity } from "../../src/operations/recent-activity.ts";
import { repositoryNamed } from "../support/deposited-images.ts";
import { TestClock } from "../support/test-clock.ts";

const app = repositoryNamed("docker.io/library/app");
const everything = { words: [], sees: undefined, limit: 1_000_000 };

function record(changes: Partial<AccessRecord> = {}): AccessRecord {
  return {
    requestId: "r1",
    method: "GET",
    client: "198.51.100.7",
    action: "read",
    repository: app,
    reference: undefined,
    user: "alice",
    by: "htpasswd",
    isAllowed: true,
    showedCredential: true,
    rule: "adminPolicy",
    reason: undefined,
    ...changes,
  };
}

test("a pull is one line, however many requests it takes, and names its tags", async () => {
  const clock = new TestClock();
  const activity = new RecentActivity({ clock });
  const firstAtMs = clock.now();
  for (const tag of ["1", "1", "2", "3", "4", "5"]) activity.note(record({ reference: { kind: "tag", tag: parseTag(tag) } }));
  await clock.advance(5_000);
  for (let layer = 0; layer < 20; layer++) activity.note(record());
  const { entries, total } = activity.latest(everything);
  expect(total).toBe(1);
  expect(entries).toMatchObject([{ user: "alice", count: 26, firstAtMs, lastAtMs: firstAtMs + 5_000, tags: ["1", "2", "3", "4"] }]);
});

test.each<[string, Partial<AccessRecord>]>([
  ["who", { user: "bob" }],
  ["nobody", { user: undefined }],
  ["somebody of an odd name", { user: "undefined" }],
  ["from where", { client: "198.51.100.8" }],
  ["what", { action: "delete" }],
  ["which repository", { repository: repositoryNamed("docker.io/library/other") }],
  ["no repository", { repository: undefined }],
  ["another registry", { repository: repositoryNamed("quay.io/library/app") }],
  ["the result", { isAllowed: false }],
  ["the rule", { rule: "defaultPolicy" }],
])("what differs in %s is another line", (_, changes) => {
  const activity = new RecentActivity({ clock: new TestClock() });
  activity.note(record());
  activity.note(record(changes));
  activity.note(record({ ...changes, user: undefined }));
  expect(activity.latest(everything).total).toBe(changes.user === undefined && "user" in changes ? 2 : 3);
});

test("the same after ten minutes is a line of its own, and the latest comes first", async () => {
  const clock = new TestClock();
  const activity = new RecentActivity({ clock });
  activity.note(record({ user: "bob" }));
  activity.note(record());
  await clock.advance(599_999);
  activity.note(record());
  await clock.advance(1);
  activity.note(record());
  activity.note(record());
  expect(activity.latest(everything).entries.map(({ user, count }) => [user, count])).toEqual([
    ["alice", 2],
    ["alice", 2],
    ["bob", 1],
  ]);
});

test("the oldest lines make room, and what was one of them begins anew", () => {
  const activity = new RecentActivity({ clock: new TestClock(), namedMax: 3 });
  for (const user of ["a", "b", "c", "d"]) activity.note(record({ user }));
  const users = (): readonly string[] =>
    activity
      .latest(everything)
      .entries.map(({ user = "" }) => user)
      .toSorted();
  expect(users()).toEqual(["b", "c", "d"]);
  activity.note(record({ user: "a" }));
  expect(users()).toEqual(["a", "c", "d"]);
  expect(activity.latest({ ...everything, limit: 2 })).toMatchObject({ total: 3, entries: [{}, {}] });
});

test("however much strangers ask for, what people with a name did stays", () => {
  const activity = new RecentActivity({ clock: new TestClock(), namedMax: 3, namelessMax: 2 });
  activity.note(record({ user: "alice" }));
  for (let number = 0; number < 50; number++)
    activity.note(record({ user: undefined, isAllowed: false, repository: repositoryNamed(`docker.io/made-up/${number}`) }));
  expect(activity.latest({ ...everything, words: ["alice"] }).total).toBe(1);
  expect(activity.latest(everything).total).toBe(3);
});

test("who only asks how one logs in, or looks at pages, is passed over; who was refused with something to show is not", () => {
  const activity = new RecentActivity({ clock: new TestClock() });
  const stranger = { user: undefined, showedCredential: false, repository: undefined };
  activity.note(record({ ...stranger, action: "ping", isAllowed: false }));
  activity.note(record({ ...stranger, action: "page", isAllowed: false }));
  activity.note(record({ ...stranger, action: "ping" }));
  activity.note(record({ action: "page" }));
  expect(activity.latest(everything).total).toBe(0);
  activity.note(record({ ...stranger, action: "ping", isAllowed: false, showedCredential: true }));
  activity.note(record({ action: "ping" }));
  activity.note(record({ action: "page", isAllowed: false }));
  expect(activity.latest(everything).total).toBe(3);
});

test("the last who pulled a tag is known, for as many tags as have room", () => {
  const activity = new RecentActivity({ clock: new TestClock(), pullersMax: 2 });
  const pull = (tag: string, changes: Partial<AccessRecord> = {}): void =>
    activity.note(record({ reference: { kind: "tag", tag: parseTag(tag) }, ...changes }));
  pull("1");
  pull("1", { user: "bob" });
  pull("1", { user: "eve", isAllowed: false });
  pull("1", { user: "mallory", action: "delete" });
  pull("1", { user: undefined });
  expect(activity.lastPuller(app, parseTag("1"))).toBe("bob");
  pull("2");
  pull("3");
  expect(["1", "2", "3"].map((tag) => activity.lastPuller(app, parseTag(tag)))).toEqual([undefined, "alice", "alice"]);
});

test("what somebody makes up takes no more room than a line has", () => {
  const activity = new RecentActivity({ clock: new TestClock() });
  activity.note(record({ user: "x".repeat(100_000), rule: "y".repeat(100_000), reason: "z".repeat(100_000) }));
  const [entry] = activity.latest(everything).entries;
  expect([entry?.user?.length, entry?.rule.length, entry?.reason?.length]).toEqual([256, 256, 256]);
});
