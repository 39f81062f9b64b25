/** What the account's pages say of what others have written: browsers, names, labels. */
import { expect, test } from "vitest";
import { browserName } from "../../src/web/browser-name.ts";
import { loginCommands } from "../../src/web/login-commands.ts";
import { plainText } from "../../src/web/markup.ts";

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"],
  ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"],
  ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15", "Safari on macOS"],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iOS"],
  ["Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"],
  ["curl/8.14.1", "curl/8.14.1"],
  ["", "unknown"],
  [`x${"y".repeat(300)}`, `x${"y".repeat(39)}…`],
  ["a\u202eb", "a\\u{202e}b"],
])("%j is %j", (userAgent, name) => {
  expect(browserName(userAgent)).toBe(name);
});

test.each([
  ["alice", "alice"],
  ["a\u0000b\u001b[31m", "a\\u{0}b\\u{1b}[31m"],
  ["exe.\u202egnp", "exe.\\u{202e}gnp"],
  ["line\nand\u2028line", "line\\u{a}and\\u{2028}line"],
  ["half \ud800 a character", "half \\u{d800} a character"],
  ["Zoë 🦊 ünïcode", "Zoë 🦊 ünïcode"],
  ["🦊".repeat(200), `${"🦊".repeat(120)}…`],
])("%j is shown as %j", (text, shown) => {
  expect(plainText(text)).toBe(shown);
});

test("a name is one word to a shell, whatever it is, and the key stands in no command", () => {
  const [docker, podman, skopeo] = loginCommands("o'brien; rm -rf $HOME", "https://registry.example.com").map(({ text }) => text);
  expect(docker).toBe(`docker login --username 'o'\\''brien; rm -rf $HOME' --password-stdin registry.example.com`);
  expect([podman, skopeo].map((line) => line?.includes("--tls-verify"))).toEqual([false, false]);
  const plain = loginCommands("alice@example.com", "http://127.0.0.1:5000").map(({ text }) => text);
  expect(plain).toEqual([
    "docker login --username alice@example.com --password-stdin 127.0.0.1:5000",
    "podman login --tls-verify=false --username alice@example.com --password-stdin 127.0.0.1:5000",
    "skopeo login --tls-verify=false --username alice@example.com --password-stdin 127.0.0.1:5000",
  ]);
});
