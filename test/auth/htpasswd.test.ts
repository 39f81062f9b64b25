import { afterEach, expect, test } from "vitest";
import { Htpasswd } from "../../src/auth/htpasswd.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { htpasswdLine, shaCryptLine } from "../support/htpasswd-lines.ts";
import { KeptLog } from "../support/kept-log.ts";
import { requirePrograms } from "../support/programs.ts";

const isAble = requirePrograms("htpasswd", "openssl");
const never = new AbortController().signal;
const opened: Htpasswd[] = [];

afterEach(async () => {
  for (const htpasswd of opened.splice(0)) await htpasswd[Symbol.asyncDispose]();
});

function open(...lines: readonly string[]): { htpasswd: Htpasswd; log: KeptLog } {
  const log = new KeptLog();
  const htpasswd = new Htpasswd({ text: lines.join("\n"), path: "/etc/htpasswd", clock: systemClock, log });
  opened.push(htpasswd);
  return { htpasswd, log };
}

async function ask(htpasswd: Htpasswd, user: string, password: string): Promise<string> {
  return (await htpasswd.verify({ user, password }, never)).kind;
}

test.runIf(isAble)("admits whom bcrypt ($2y$, $2b$, $2a$) and sha-crypt ($5$, $6$) know, under the name of the file and without groups", async () => {
  const line = htpasswdLine("alice", "one");
  const { htpasswd } = open(
    line,
    line.replace("alice:$2y", "alice2b:$2b"),
    line.replace("alice:$2y", "alice2a:$2a"),
    shaCryptLine("bob", "two", "-5"),
    shaCryptLine("carol", "thréé", "-6"),
  );
  expect(await htpasswd.verify({ user: "alice", password: "one" }, never)).toEqual({
    kind: "right",
    principal: { name: "alice", groups: [], method: "htpasswd" },
  });
  const asked = [
    ["alice2b", "one"],
    ["alice2a", "one"],
    ["bob", "two"],
    ["carol", "thréé"],
    ["alice", "two"],
    ["Alice", "one"],
    ["alice ", "one"],
    ["nobody", "one"],
    ["bob", ""],
  ] as const;
  const verdicts = await Promise.all(asked.map(([user, password]) => ask(htpasswd, user, password)));
  expect(verdicts).toEqual(["right", "right", "right", "right", "wrong", "wrong", "wrong", "wrong", "wrong"]);
});

test.runIf(isAble)("72 bytes: a longer password is refused where bcrypt would not look at its end, in bytes and not in characters", async () => {
  const { htpasswd } = open(htpasswdLine("alice", "x".repeat(72)), htpasswdLine("umlaut", "ä".repeat(36)), shaCryptLine("bob", "y".repeat(100), "-6"));
  expect(await ask(htpasswd, "alice", "x".repeat(72))).toBe("right");
  expect(await ask(htpasswd, "alice", "x".repeat(73))).toBe("wrong");
  expect(await ask(htpasswd, "umlaut", "ä".repeat(36))).toBe("right");
  expect(await ask(htpasswd, "umlaut", `${"ä".repeat(36)}x`)).toBe("wrong");
  expect(await ask(htpasswd, "bob", "y".repeat(100))).toBe("right");
  expect(await ask(htpasswd, "bob", "y".repeat(10_000))).toBe("wrong");
});

test.runIf(isAble)("a password of a length that generators like is right under sha-crypt", async () => {
  const password = "0123456789abcdef".repeat(4);
  const { htpasswd } = open(shaCryptLine("alice", password, "-5"), shaCryptLine("bob", password, "-6"));
  expect([await ask(htpasswd, "alice", password), await ask(htpasswd, "bob", password)]).toEqual(["right", "right"]);
});

test.runIf(isAble)("user enumeration: an unknown name takes as long as a known one", async () => {
  const { htpasswd } = open(htpasswdLine("alice", "one", { cost: 9 }), htpasswdLine("bob", "two", { cost: 9 }));
  const [known, unknown]: [number[], number[]] = [[], []];
  for (let run = 0; run < 25; run++) {
    known.push(await processorMs(() => ask(htpasswd, "alice", "wrong")));
    unknown.push(await processorMs(() => ask(htpasswd, `nobody${run}`, "wrong")));
  }
  expect(median(known)).toBeGreaterThan(5);
  // On a machine that is shared; without the decoy the quotient is a thousandth.
  expect(median(unknown) / median(known)).toBeGreaterThan(0.7);
  expect(median(unknown) / median(known)).toBeLessThan(1.4);
});

test.runIf(isAble)("user enumeration: a stranger is no user even with the password whose hash stands in for his", async () => {
  const { htpasswd } = open(htpasswdLine("alice", "one"));
  expect(await ask(htpasswd, "nobody", "one")).toBe("wrong");
});

test("an empty file admits nobody, at once", async () => {
  const { htpasswd } = open("");
  expect(await ask(htpasswd, "alice", "")).toBe("wrong");
});

test.runIf(isAble)("a file that changes is taken whole: who left is refused, who came is admitted, and only they are told of", async () => {
  const [alice, bob, carol] = [htpasswdLine("alice", "one"), htpasswdLine("bob", "two"), htpasswdLine("carol", "three")];
  const { htpasswd } = open(alice, bob);
  const told: string[][] = [];
  htpasswd.onChange((isAffected) => told.push(["alice", "bob", "carol", "nobody"].filter(isAffected)));
  htpasswd.reload(`${alice}\n${carol}\n`);
  expect([await ask(htpasswd, "alice", "one"), await ask(htpasswd, "bob", "two"), await ask(htpasswd, "carol", "three")]).toEqual(["right", "wrong", "right"]);
  expect(told).toEqual([["bob", "carol"]]);
});

test.runIf(isAble)("reload race: a file that somebody is still writing changes nothing, and the log says where it is broken", async () => {
  const line = htpasswdLine("alice", "one");
  const { htpasswd, log } = open(line);
  const told: unknown[] = [];
  htpasswd.onChange((isAffected) => told.push(isAffected));
  htpasswd.reload(line.slice(0, 30));
  expect(await ask(htpasswd, "alice", "one")).toBe("right");
  expect(told).toEqual([]);
  expect(log.lines.filter((entry) => entry.startsWith("error"))).toEqual([
    'error password file is broken: the users stay as they were {"path":"/etc/htpasswd","error":"/etc/htpasswd: line 1: a bcrypt hash that is not whole"}',
  ]);
});

test("a broken file at the start is an error that names file and line", () => {
  expect(() => open("alice")).toThrow("/etc/htpasswd: line 1: no colon");
});

test("who is shut out is logged by line, without a hash", () => {
  const { log } = open("alice:$apr1$secret$secret");
  expect(log.lines[0]).toBe(
    'warn user of the password file is shut out {"path":"/etc/htpasswd","reason":"line 1: an MD5 hash ($apr1$) is not supported; htpasswd -B writes bcrypt"}',
  );
  expect(log.lines.join("")).not.toContain("secret");
});

test.runIf(isAble)("the event loop goes on while a password is hashed", async () => {
  const { htpasswd } = open(htpasswdLine("alice", "one", { cost: 12 }));
  let turns = 0;
  let isDone = false;
  const verdict = ask(htpasswd, "alice", "one").finally(() => (isDone = true));
  while (!isDone) {
    await new Promise(setImmediate);
    turns++;
  }
  expect(await verdict).toBe("right");
  expect(turns).toBeGreaterThan(50);
});

/** What all our threads worked for it: the clock on the wall also runs while others have the processor. */
async function processorMs(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;
}
