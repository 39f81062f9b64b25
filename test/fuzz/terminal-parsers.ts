/** The parsers of what stands between a terminal and a browser: codes as people type them, and the files in which docker and podman keep logins. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { findUserCode, shownUserCode } from "../../src/auth/device-codes.ts";
import { emptyAuthFile, entriesOf, entryOf, findHelper, findLogins, parseAuthFile, withEntries } from "../../src/cli/auth-file-text.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { json, mostly, texts } from "./inputs.ts";

const server = "registry.example.com";
const login = { user: "alice@example.com", secret: "zak_0123456789abcdef0123456789abcdef" };
const suffix = fc.constantFrom("pass", "osxkeychain", "");
const entry = fc.oneof(fc.constant({}), fc.record({ auth: fc.constantFrom("eDp5", "!", "") }), fc.constant(null), fc.constant("x"));
const host = fc.constantFrom(server, `https://${server}`, `${server}/v1/`, `${server}/team`, "quay.io", "__proto__", "127.0.0.1:5000");

export const terminalParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "code of a terminal",
    inputs: texts(fc.constantFrom("WDJB-MJHT", "wdjbmjht", " WDJB MJHT "), { words: ["-", "WDJB", "–"], lengthMax: 128 }),
    parse: findUserCode,
    check(code, typed) {
      if (code === undefined) return;
      assert.match(code, /^[BCDFGHJKLMNPQRSTVWXZ]{8}$/);
      assert.ok(typed.length <= 64);
      assert.equal(findUserCode(shownUserCode(code)), code, "as it is shown it is typed");
    },
  }),
  fuzzed({
    name: "docker's or podman's file",
    inputs: json(
      fc.record(
        {
          auths: mostly(fc.dictionary(host, entry)),
          credHelpers: mostly(fc.dictionary(host, suffix)),
          credsStore: suffix,
          HttpHeaders: fc.dictionary(host, fc.string()),
        },
        { requiredKeys: [] },
      ),
    ).map((bytes) => bytes.toString("utf8")),
    parse: parseAuthFile,
    check(file, text) {
      if (!file || file === emptyAuthFile) return;
      const before = JSON.parse(text) as Record<string, unknown>;
      const [written, emptied] = [withEntries(file, server, { [server]: entryOf(login) }), withEntries(file, server, {})];
      const after = JSON.parse(written) as Record<string, unknown>;
      assert.deepEqual(findLogins(parseAuthFile(written) ?? emptyAuthFile, server), [login], "what is put in is found, and nothing older");
      for (const name of Object.keys(before)) if (name !== "auths") assert.deepEqual(after[name], before[name], "all else stays");
      const own = new Set([server, `https://${server}`, `${server}/v1/`]);
      const others = (members: Record<string, unknown>): unknown => Object.entries((members["auths"] ?? {}) as object).filter(([key]) => !own.has(key));
      assert.deepEqual(others(after), others(before), "and all others");
      const bare = parseAuthFile(emptied) ?? emptyAuthFile;
      assert.deepEqual(entriesOf(bare, server), {}, "what is taken out is not");
      const former = entriesOf(file, server);
      assert.deepEqual(entriesOf(parseAuthFile(withEntries(bare, server, former)) ?? emptyAuthFile, server), former, "and can be put back");
      assert.notEqual(findHelper(file, server, { hasStore: true }), "");
    },
  }),
];
