import { expect, test } from "vitest";
import { htpasswdCharactersMax, parseHtpasswd } from "../../src/auth/htpasswd-file.ts";
import { requirePrograms } from "../support/programs.ts";
import { htpasswdLine, shaCryptLine } from "../support/htpasswd-lines.ts";

const bcrypt = "$2y$05$Kl5SUgVCSkOLvgOqjUEOzeWSQjJVHJ4gD0YYMXLl1nK8WEGkkhkUi";
const sha = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

test.runIf(requirePrograms("htpasswd", "openssl"))("reads what htpasswd -B and openssl passwd write", () => {
  const file = parseHtpasswd(`${htpasswdLine("alice", "one")}\n${shaCryptLine("bob", "two", "-5")}\n${shaCryptLine("carol", "three", "-6")}\n`);
  expect([...file.hashes].map(([user, { kind, text }]) => `${user} ${kind} ${text.slice(0, 3)}`)).toEqual([
    "alice bcrypt $2y",
    "bob sha-crypt $5$",
    "carol sha-crypt $6$",
  ]);
  expect(file.refused).toEqual([]);
});

test("comments, blank lines, CRLF, a byte order mark, no end of the last line: only users count", () => {
  const file = parseHtpasswd(`\uFEFF# people\r\n\r\nalice:${bcrypt}\r\n   \n#bob:${bcrypt}\ncarol:${sha}`);
  expect([...file.hashes].map(([user, { text }]) => [user, text])).toEqual([
    ["alice", bcrypt],
    ["carol", sha],
  ]);
});

test("of a name that stands twice the last line counts, also when it cannot be used", () => {
  const other = bcrypt.replace("Kl5", "Kl6");
  expect(parseHtpasswd(`a:${bcrypt}\na:${other}\n`).hashes.get("a")?.text).toBe(other);
  expect(parseHtpasswd(`a:${bcrypt}\na:$apr1$x$y\n`).hashes.has("a")).toBe(false);
});

test("what follows a hash is not looked at", () => {
  expect(parseHtpasswd(`a:${bcrypt}:a comment\nb:${sha}:1:2\nc:${sha} since May\n`).hashes.get("b")?.text).toBe(sha);
});

test("empty user name: a line without one is nobody's", () => {
  const file = parseHtpasswd(`:${bcrypt}\n  :${bcrypt}\nalice:${bcrypt}\n`);
  expect([...file.hashes.keys()]).toEqual(["alice"]);
  expect(file.refused).toEqual(["line 1: no user name", "line 2: no user name"]);
});

test("cost bomb: a hash that would keep a core busy for minutes shuts out its user alone, and is named", () => {
  const lines = [
    bcrypt.replace("$05$", "$31$"),
    bcrypt.replace("$05$", "$15$"),
    bcrypt.replace("$05$", "$14$"),
    sha.replace("$salt", "$rounds=999999999$salt"),
  ];
  const file = parseHtpasswd(lines.map((hash, index) => `user${index}:${hash}`).join("\n"));
  expect([...file.hashes.keys()]).toEqual(["user2"]);
  expect(file.refused).toEqual([
    "line 1: bcrypt with cost 31: at most 14, or each login keeps a core busy",
    "line 2: bcrypt with cost 15: at most 14, or each login keeps a core busy",
    "line 4: sha-crypt with 999999999 rounds: at most 400000, or each login keeps a core busy",
  ]);
});

test.for([
  ["an MD5 hash ($apr1$)", "$apr1$abcdefgh$0123456789012345678901"],
  ["a SHA-1 hash ({SHA})", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="],
  ["what is neither bcrypt nor sha-crypt", "plain"],
  ["no hash", ""],
])("%s shuts out its user, and the line says what to do", ([kind, hash]) => {
  const file = parseHtpasswd(`alice:${bcrypt}\nbob:${hash}\n`);
  expect([...file.hashes.keys()]).toEqual(["alice"]);
  expect(file.refused).toEqual([`line 2: ${kind} is not supported; htpasswd -B writes bcrypt`]);
});

test.for([
  ["a line that ends in the name", `alice:${bcrypt}\nbo`, "line 2: no colon"],
  ["a bcrypt hash cut off", `alice:${bcrypt}\nbob:${bcrypt.slice(0, 40)}`, "line 2: a bcrypt hash that is not whole"],
  ["a sha-crypt hash cut off", `bob:${sha.slice(0, 40)}`, "line 1: a sha-crypt hash that is not whole"],
  ["bytes that are no text", "bob\0:x", "line 1: not a text"],
  ["a line without end", `bob:${"x".repeat(5_000)}`, "line 1: more than 4096 characters"],
  ["a file without end", "x".repeat(htpasswdCharactersMax + 1), `${htpasswdCharactersMax + 1} characters: at most ${htpasswdCharactersMax}`],
] as const)("%s breaks the file", ([, text, words]) => {
  expect(() => parseHtpasswd(text)).toThrow(words);
});
