import { spawn, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Htpasswd } from "../../src/auth/htpasswd.ts";
import { run } from "../../src/cli/program.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { runProcess } from "../support/processes.ts";
import { findProgram, requirePrograms } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { CapturedIo } from "./captured-io.ts";

const program = join(import.meta.dirname, "..", "..", "src", "main.ts");

async function hash(args: readonly string[], hidden: readonly string[], { isInteractive = false } = {}) {
  const io = new CapturedIo();
  io.hidden.push(...hidden);
  io.isInteractive = isInteractive;
  const code = await run(["auth", "hash", ...args], io);
  return { code, out: io.out, errors: io.errors, prompts: io.prompts };
}

async function admits(line: string, user: string, password: string): Promise<boolean> {
  await using htpasswd = new Htpasswd({ text: line, path: "htpasswd", clock: systemClock, log: silentLog });
  return (await htpasswd.verify({ user, password }, new AbortController().signal)).kind === "right";
}

test("prints a line that admits the user, and only the hash without a name", async () => {
  const { code, out, errors } = await hash(["--user", "alice"], ["hunter2"]);
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(out).toMatch(/^alice:\$2y\$10\$[./A-Za-z0-9]{53}\n$/);
  expect([await admits(out, "alice", "hunter2"), await admits(out, "alice", "hunter3")]).toEqual([true, false]);
  expect((await hash([], ["hunter2"])).out).toMatch(/^\$2y\$10\$[./A-Za-z0-9]{53}\n$/);
});

test.runIf(requirePrograms("htpasswd"))("Apache's htpasswd takes the line", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "htpasswd");
  await writeFile(file, (await hash(["--user", "alice"], ["hunter2"])).out);
  const verify = async (password: string) => (await runProcess("htpasswd", ["-bv", file, "alice", password])).code;
  expect([await verify("hunter2"), await verify("hunter3")]).toEqual([0, 3]);
});

test("whoever types is asked twice, and told when the two differ", async () => {
  expect(await hash(["--user", "alice"], ["hunter2", "hunter3"], { isInteractive: true })).toEqual({
    code: 1,
    out: "",
    errors: "ociregistry: the two differ\n",
    prompts: ["Password: ", "Again: "],
  });
  expect((await hash([], ["hunter2", "hunter2"], { isInteractive: true })).code).toBe(0);
});

test.for([
  ["", "the password is empty"],
  ["ä".repeat(37), "the password has 74 bytes, and bcrypt looks at 72"],
] as const)("the password %j is refused", async ([password, words]) => {
  expect(await hash(["--user", "alice"], [password])).toMatchObject({ code: 1, out: "", errors: `ociregistry: ${words}\n` });
});

test.for(["a:b", "", " ", "#alice", "a\nb"])("the user %j is a misuse, and no password is asked for", async (user) => {
  const { code, out, prompts } = await hash(["--user", user], ["hunter2"]);
  expect({ code, out, prompts }).toEqual({ code: 2, out: "", prompts: [] });
});

test.for([
  ["hunter2", 0],
  ["hunter2\n", 0],
  ["hunter2\r\nmore\n", 0],
  ["\n", 1],
  ["", 1],
  ["x".repeat(5_000), 1],
] as const)("of a pipe the first line is the password: %j", async ([input, code]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "auth", "hash", "--user", "alice"], { input, encoding: "utf8" });
  expect({ status, said: stderr.split("\n").length }).toEqual({ status: code, said: code === 0 ? 1 : 2 });
  expect(code === 0 ? await admits(stdout, "alice", "hunter2") : stdout).toBe(code === 0 ? true : "");
});

test.runIf(requirePrograms("script"))("a terminal does not show what is typed, and typing errors can be taken back", async () => {
  const command = `${process.execPath} ${program} auth hash --user alice`;
  const terminal = spawn(findProgram("script") ?? "script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  let shown = "";
  const typed = new Map([
    ["Password: ", "huntär\u007f\u007fer2\r"],
    ["Again: ", "forgotten\u0015hunter2\r"],
  ]);
  terminal.stdout.on("data", (bytes: Buffer) => {
    shown += bytes.toString();
    for (const [prompt, line] of typed) {
      if (!shown.includes(prompt)) continue;
      typed.delete(prompt);
      terminal.stdin.write(line);
    }
  });
  const code = await new Promise((resolve) => terminal.once("close", resolve));
  expect(code).toBe(0);
  const lines = shown.split(/\r?\n/);
  expect(lines.slice(0, 2)).toEqual(["Password: ", "Again: "]);
  expect(await admits(lines[2] ?? "", "alice", "hunter2")).toBe(true);
  expect(lines.slice(3)).toEqual([""]);
});

test.runIf(requirePrograms("script"))("Ctrl-C ends it", async () => {
  const command = `${process.execPath} ${program} auth hash`;
  const terminal = spawn(findProgram("script") ?? "script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  let shown = "";
  terminal.stdout.on("data", (bytes: Buffer) => {
    const wasAsked = shown.includes("Password: ");
    shown += bytes.toString();
    if (!wasAsked && shown.includes("Password: ")) terminal.stdin.write("hun\u0003");
  });
  expect(await new Promise((resolve) => terminal.once("close", resolve))).toBe(1);
  expect(shown.split(/\r?\n/).slice(0, 2)).toEqual(["Password: ", "ociregistry: interrupted"]);
});
