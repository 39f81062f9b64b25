/** The parsers of what stands between a terminal and a browser: codes as people type them, and the files in which docker and podman keep logins. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { findUserCode, shownUserCode } from "../../src/auth/device-codes.ts";
import { emptyAuthFile, findHelper, findLogin, parseAuthFile, withLogin } from "../../src/cli/auth-file-text.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { json, mostly, texts } from "./inputs.ts";

const server = "registry.example.com";
const login = { user: "alice@example.com", secret: "zak_0123456789abcdef0123456789abcdef" };
const suffix = fc.constantFrom("pass", "osxkeychain", "");
const entry = fc.oneof(fc.constant({}), fc.record({ auth: fc.constantFrom("eDp5", "!", "") }), fc.constant(null), fc.constant("x"));
const host = fc.constantFrom(server, "quay.io", "__proto__", "127.0.0.1:5000");

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
      const after = JSON.parse(withLogin(file, server, login)) as Record<string, unknown>;
      assert.deepEqual(findLogin(parseAuthFile(withLogin(file, server, login)) ?? emptyAuthFile, server), login, "what is put in is found");
      for (const name of Object.keys(before)) if (name !== "auths") assert.deepEqual(after[name], before[name], "all else stays");
      const others = (members: Record<string, unknown>): unknown => Object.entries((members["auths"] ?? {}) as object).filter(([key]) => key !== server);
      assert.deepEqual(others(after), others(before), "and all others");
      assert.equal(findLogin(parseAuthFile(withLogin(file, server, undefined)) ?? emptyAuthFile, server), undefined, "and what is taken out is not");
      assert.notEqual(findHelper(file, server, { hasStore: true }), "");
    },
  }),
];
