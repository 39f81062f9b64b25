/** `ociregistry login` and `logout`: what is asked of the server, what stands on the terminal, and what is written into which files. */
import { chmod, chown, lstat, mkdir, readFile, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { podmanPlace } from "../../src/cli/auth-files.ts";
import { FormPoster } from "../../src/cli/form-poster.ts";
import { login } from "../../src/cli/login.ts";
import { run } from "../../src/cli/program.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { pidsIn, survivors, writeCredentialProgram } from "../support/credential-programs.ts";
import { approved, fakeKey, json, pending, refusal, startFakeDeviceServer, type FakeDeviceServer } from "../support/fake-device-server.ts";
import { lookUntil } from "../support/looking.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { CapturedIo } from "./captured-io.ts";

const auth = Buffer.from(`alice:${fakeKey}`).toString("base64");
const [begin, poll, revoke] = ["POST /zot/auth/device", "POST /zot/auth/device/token", "POST /zot/auth/device/revoke"];

let folder: TemporaryFolder;
let server: FakeDeviceServer;
let dockerFile: string;
let podmanFile: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  server = await startFakeDeviceServer();
  server.states.push(approved);
  await mkdir(join(folder.path, "run"));
  [dockerFile, podmanFile] = [join(folder.path, "docker", "config.json"), join(folder.path, "run", "containers", "auth.json")];
});
afterEach(async () => {
  await server.close();
  await folder[Symbol.asyncDispose]();
});

function ioOf(more: Readonly<Record<string, string>> = {}): CapturedIo {
  const { path } = folder;
  return new CapturedIo({
    PATH: `${path}:${process.env["PATH"] ?? ""}`,
    HOME: path,
    DOCKER_CONFIG: join(path, "docker"),
    XDG_RUNTIME_DIR: join(path, "run"),
    ...more,
  });
}

async function runs(line: readonly string[], io = ioOf()): Promise<{ readonly code: number; readonly out: string; readonly errors: string }> {
  const code = await run(line, io);
  return { code, out: io.out, errors: io.errors };
}

const logIn = (...more: readonly string[]) => runs(["login", server.url, ...more]);

async function jsonOf(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}

async function put(path: string, content: string | object): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content, undefined, 2));
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

test("the code and the address are shown, the answer is waited for, and both files get the key, for their owner alone", async () => {
  server.states.unshift(pending, pending);
  const { code, out, errors } = await logIn();
  expect([code, out]).toEqual([0, expect.stringMatching(new RegExp(`^logged in to ${server.host} as alice, until \\d{4}-\\d\\d-\\d\\d\\n$`))]);
  for (const shown of [`${server.url}/home/device?user_code=WDJB-MJHT`, "WDJB-MJHT\n", `written: ${dockerFile}\n`, `written: ${podmanFile}\n`])
    expect(errors).toContain(shown);
  expect(errors).not.toContain("CAREFUL");
  expect(`${out}${errors}`).not.toContain(fakeKey);
  expect(server.requests).toEqual([begin, poll, poll, poll]);
  expect(server.forms[0]).toEqual({ client_id: "ociregistry", host: expect.stringMatching(/^[A-Za-z0-9._-]+$/) });
  expect(server.forms[1]).toEqual({ client_id: "ociregistry", grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: "d".repeat(43) });
  for (const file of [dockerFile, podmanFile]) {
    expect(await jsonOf(file)).toEqual({ auths: { [server.host]: { auth } } });
    expect([await modeOf(file), await modeOf(join(file, ".."))]).toEqual([0o600, 0o700]);
    expect(await readdir(join(file, ".."))).toHaveLength(1);
  }
});

test("what is wished of the key is said, and only what is named is written", async () => {
  const file = join(folder.path, "own.json");
  expect((await logIn("--label", "build farm", "--expires", "12h", "--read-only", "--auth-file", file)).code).toBe(0);
  expect(server.forms[0]).toMatchObject({ label: "build farm", key_expires_in: "43200", scope: "read" });
  expect(await jsonOf(file)).toEqual({ auths: { [server.host]: { auth } } });
  await expect(stat(dockerFile)).rejects.toThrow("ENOENT");
  await logIn("--no-docker");
  await expect(stat(dockerFile)).rejects.toThrow("ENOENT");
  expect(await jsonOf(podmanFile)).toEqual({ auths: { [server.host]: { auth } } });
  await logIn("--no-podman");
  expect(await jsonOf(dockerFile)).toEqual({ auths: { [server.host]: { auth } } });
});

test("all else that a file says stays, in its order and its indentation", async () => {
  const text = `{\n    "psFormat": "a\\tb",\n    "auths": {\n        "quay.io": {\n            "auth": "eDp5"\n        },\n        "${server.host}": {\n            "auth": "b2xkOm9sZA=="\n        }\n    },\n    "HttpHeaders": {\n        "é": "1"\n    }\n}`;
  await put(dockerFile, text);
  await chmod(dockerFile, 0o644);
  await logIn("--no-podman");
  const written = await readFile(dockerFile, "utf8");
  expect(written).toBe(text.replace("b2xkOm9sZA==", auth));
  expect(await modeOf(dockerFile)).toBe(0o600);
});

test.each([
  ["a torn file", "{"],
  ["a list", "[]"],
  ["auths that are none", `{"auths": []}`],
  ["helpers that are none", `{"credHelpers": "x"}`],
])("%s is named and left as it is, and nobody is asked for a code", async (_, text) => {
  await put(podmanFile, text);
  const { code, errors } = await logIn();
  expect([code, errors]).toEqual([1, `ociregistry: ${podmanFile} is no file of docker's or podman's: it is left as it is; mend it, or move it away\n`]);
  expect(await readFile(podmanFile, "utf8")).toBe(text);
  expect(server.requests).toEqual([]);
});

test("a pipe or a folder in a file's place is named, and waited for by nobody", async () => {
  const pipe = join(folder.path, "pipe");
  expect((await runProcess("mkfifo", [pipe])).code).toBe(0);
  for (const path of [pipe, folder.path])
    for (const command of ["login", "logout"])
      expect(await runs([command, server.url, "--auth-file", path])).toMatchObject({
        code: 1,
        errors: expect.stringContaining(`${path} is no file of docker's`),
      });
  expect(server.requests).toEqual([]);
});

test.runIf(requireRoot())("a file stays its owner's when root logs in and out for him, and what only he may read stays so", async () => {
  await put(dockerFile, {});
  await chmod(dockerFile, 0o440);
  await chown(dockerFile, 1234, 1235);
  for (const command of ["login", "logout"]) {
    expect(await runs([command, server.url, "--no-podman"])).toMatchObject({ code: 0 });
    const { uid, gid, mode } = await stat(dockerFile);
    expect([command, uid, gid, mode & 0o777]).toEqual([command, 1234, 1235, 0o400]);
  }
});

test.each(["\n", `{"auths":null,"credHelpers":null}`, "{}"])("a file that says nothing is a new one: %j", async (text) => {
  await put(dockerFile, text);
  await logIn("--no-podman");
  expect(await jsonOf(dockerFile)).toMatchObject({ auths: { [server.host]: { auth } } });
});

test.each([
  ["that leads to a file", true],
  ["that leads to nothing yet", false],
])("a link %s stays one, and what it leads to is written", async (_, isThere) => {
  const target = join(folder.path, "dotfiles", "docker.json");
  await mkdir(join(target, ".."));
  await mkdir(join(dockerFile, ".."));
  if (isThere) await put(target, { currentContext: "default" });
  await symlink("../dotfiles/docker.json", dockerFile);
  expect((await logIn("--no-podman")).code).toBe(0);
  expect((await lstat(dockerFile)).isSymbolicLink()).toBe(true);
  expect(await jsonOf(target)).toEqual({ ...(isThere ? { currentContext: "default" } : {}), auths: { [server.host]: { auth } } });
});

test("links in a circle are told", async () => {
  await mkdir(join(dockerFile, ".."));
  await symlink("config.json", dockerFile);
  const { code, errors } = await logIn("--no-podman");
  expect([code, errors]).toEqual([1, expect.stringContaining("links in a circle")]);
  expect(server.requests).toEqual([]);
});

describe("where docker's file names a program that keeps logins", () => {
  const script = `case "$1" in
store) printf '%s' "$question" >"$HOME/ring" ;;
get) [ -f "$HOME/ring" ] && sed 's/"ServerURL":"[^"]*",//' "$HOME/ring" || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm "$HOME/ring" ;;
esac`;

  test.each([
    ["for all", () => ({ credsStore: "fake", auths: { [server.host]: { auth: "b2xkOm9sZA==" } } })],
    ["for this registry", () => ({ credsStore: "other", credHelpers: { [server.host]: "fake" } })],
  ])("%s, it keeps the key, and the file only says so", async (_, content) => {
    const program = await writeCredentialProgram(folder.path, "docker-credential-fake", script);
    await put(dockerFile, content());
    const { code, errors } = await logIn("--no-podman");
    expect([code, errors]).toEqual([0, expect.stringContaining(`written: docker-credential-fake, which ${dockerFile} names`)]);
    const get = `get ${server.host}`;
    expect(await program.runs()).toEqual([get, get, `store {"ServerURL":"${server.host}","Username":"alice","Secret":"${fakeKey}"}`]);
    expect(await jsonOf(dockerFile)).toEqual({ ...content(), auths: { [server.host]: {} } });
    const out = await runs(["logout", server.url, "--no-podman"]);
    expect(out).toMatchObject({ code: 0, out: `logged out of ${server.host}\n` });
    expect((await program.runs()).at(-1)).toBe(`erase ${server.host}`);
    expect(server.forms.at(-1)).toMatchObject({ username: "alice", token: fakeKey });
    expect(await jsonOf(dockerFile)).toEqual({ ...content(), auths: {} });
  });

  test("podman's file heeds the program for this registry, and not docker's for all", async () => {
    const program = await writeCredentialProgram(folder.path, "docker-credential-fake", script);
    await put(podmanFile, { credsStore: "nothing" });
    await logIn("--no-docker");
    expect(await jsonOf(podmanFile)).toEqual({ credsStore: "nothing", auths: { [server.host]: { auth } } });
    await put(podmanFile, { credHelpers: { [server.host]: "fake" } });
    await logIn("--no-docker");
    expect((await program.runs()).filter((line) => line.startsWith("store"))).toHaveLength(1);
    expect(await jsonOf(podmanFile)).toEqual({ credHelpers: { [server.host]: "fake" } });
  });

  test.each([
    ["that fails", `echo "pass not initialized" >&2; exit 1`, /docker-credential-fake: exit code 1, and "pass not initialized"/],
    ["that is not there", undefined, /docker-credential-fake: there is no such program/],
    ["that is called as no program may be", "exit 0", /a credential helper is named by/, "../fake"],
  ])("one %s is told before anybody approves", async (_, failing, words, suffix = "fake") => {
    if (failing !== undefined) await writeCredentialProgram(folder.path, "docker-credential-fake", failing);
    await put(dockerFile, { credsStore: suffix });
    const { code, out, errors } = await logIn();
    expect([code, out]).toEqual([1, ""]);
    expect(errors).toMatch(words);
    expect(server.requests).toEqual([]);
    expect(await jsonOf(dockerFile)).toEqual({ credsStore: suffix });
  });

  test("one that keeps nothing is told, the key is ended again, and what the program kept is there", async () => {
    const keepsNone = `case "$1" in store) case "$question" in *${fakeKey}*) echo "pass not initialized" >&2; exit 1 ;; esac ;; esac\n${script}`;
    await writeCredentialProgram(folder.path, "docker-credential-fake", keepsNone);
    await put(join(folder.path, "ring"), { ServerURL: server.host, Username: "<token>", Secret: "a token" });
    await put(dockerFile, { credsStore: "fake" });
    const { code, out, errors } = await logIn();
    expect([code, out]).toEqual([1, ""]);
    expect(errors).toMatch(/docker-credential-fake: exit code 1, and "pass not initialized"/);
    expect(errors).toMatch(/as it was again: .*\nthe key that was given is ended again\n/);
    expect(server.requests).toEqual([begin, poll, revoke]);
    expect(await jsonOf(dockerFile)).toEqual({ credsStore: "fake" });
    expect(await jsonOf(join(folder.path, "ring"))).toEqual({ ServerURL: server.host, Username: "<token>", Secret: "a token" });
    expect(errors).not.toContain(fakeKey);
  });

  test("one that keeps a login by an older docker's name gives that up too when logging out, and the key is ended", async () => {
    const old = `https://${server.host}`;
    const keepsOld = `[ "$question" = "${old}" ] || { echo "credentials not found in native keychain"; exit 1; }\n${script}`;
    const program = await writeCredentialProgram(folder.path, "docker-credential-fake", keepsOld);
    await put(join(folder.path, "ring"), JSON.stringify({ ServerURL: old, Username: "alice", Secret: fakeKey }));
    await put(dockerFile, { credsStore: "fake", auths: { [old]: {} } });
    expect(await runs(["logout", server.url, "--no-podman"])).toMatchObject({ code: 0, errors: expect.stringContaining("its key is ended") });
    expect((await program.runs()).at(-1)).toBe(`erase ${old}`);
    await expect(stat(join(folder.path, "ring"))).rejects.toThrow("ENOENT");
    expect(server.forms.map(({ token }) => token)).toEqual([fakeKey]);
    expect(await jsonOf(dockerFile)).toEqual({ credsStore: "fake", auths: {} });
  });

  test("what others write into the file while the program asks somebody stays there, at logging in and out", async () => {
    // As another `docker login` does it.
    const meanwhile = (name: string) => `printf '{"auths":{"%s":{"auth":"eDp5"}},"credsStore":"fake"}' ${name}.example >"$DOCKER_CONFIG/config.json"`;
    await writeCredentialProgram(
      folder.path,
      "docker-credential-fake",
      `case "$1" in store) ${meanwhile("in")} ;; erase) ${meanwhile("out")} ;; esac\n${script}`,
    );
    await put(dockerFile, { credsStore: "fake" });
    expect((await logIn("--no-podman")).code).toBe(0);
    expect(await jsonOf(dockerFile)).toEqual({ auths: { "in.example": { auth: "eDp5" }, [server.host]: {} }, credsStore: "fake" });
    expect((await runs(["logout", server.url, "--no-podman"])).code).toBe(0);
    expect(await jsonOf(dockerFile)).toEqual({ auths: { "out.example": { auth: "eDp5" } }, credsStore: "fake" });
  });

  test("a login that one place cannot keep leaves all places as they were, before its key is ended", async () => {
    const good = { auth: Buffer.from("good:good").toString("base64") };
    const former = { auths: { [server.host]: good, [`https://${server.host}/v1/`]: { ...good, email: "x" } } };
    await put(dockerFile, former);
    await put(podmanFile, { credHelpers: { [server.host]: "fake" } });
    await writeCredentialProgram(folder.path, "docker-credential-fake", `[ "$1" = store ] && exit 1\n${script}`);
    const { code, errors } = await logIn();
    expect([code, errors]).toEqual([
      1,
      expect.stringMatching(/^written: .*\nas it was again: .*\nas it was again: .*\nthe key that was given is ended again\n/m),
    ]);
    expect(await jsonOf(dockerFile)).toEqual(former);
    expect(await jsonOf(podmanFile)).toEqual({ credHelpers: { [server.host]: "fake" } });
    expect(server.requests).toEqual([begin, poll, revoke]);
  });
});

test("where the server is away for a while it is asked less and less often, and then as before", async () => {
  const clock = new TestClock();
  const io = ioOf();
  server.begun = { interval: 5 };
  server.states.splice(0, 1, pending, json(503, { errors: [{ code: "UNAVAILABLE", message: "not now" }] }), refusal("slow_down"), pending, approved);
  const ending = login({ io, server: server.url, clock });
  /** Until the next question, and whether it comes at that time and not before. */
  const asksAfter = async (ms: number): Promise<void> => {
    const count = server.log.length;
    await lookUntil(
      () => Promise.resolve(clock.waiting),
      (waiting) => waiting > 0,
      { waitMs: 5_000, everyMs: 5 },
    );
    await clock.advance(ms - 1);
    expect(server.log.length).toBe(count);
    await clock.advance(1);
    await server.waitForRequests(count + 1);
  };
  await server.waitForRequests(1);
  await asksAfter(5_000);
  await asksAfter(5_000);
  // Nobody could say: twice as long.
  await asksAfter(10_000);
  // Too often: five seconds more from now on.
  await asksAfter(10_000);
  await asksAfter(10_000);
  expect(await ending).toBe(0);
});

test("a connection that is cut is waited out", async () => {
  server.states.unshift(pending);
  server.when({ kind: "token", skip: 2, times: 1 }, { drop: true });
  expect((await logIn()).code).toBe(0);
  expect(server.requests).toEqual([begin, poll, poll, poll]);
});

test.each([
  ["that was refused", refusal("access_denied", "it was refused"), /refused/],
  ["that nobody approved", refusal("expired_token"), /nobody has approved it in time/],
  ["that was fetched already", refusal("invalid_grant", "its key was fetched already"), /answers 400: its key was fetched already/],
  ["of somebody whom no client can show", json(200, { access_token: fakeKey, username: "spiffe://x" }), /holds a colon/],
  ["without a name", json(200, { access_token: fakeKey }), /nothing that could be kept/],
  ["of which something hides in the words", refusal("access_denied", "ok\u001b[2J\u202E"), /ok\?\[2J\?/],
])("a login %s ends in words, and nothing is written", async (_, state, words) => {
  server.states.splice(0, 1, state);
  const { code, out, errors } = await logIn();
  expect([code, out]).toEqual([1, ""]);
  expect(errors).toMatch(words);
  await expect(stat(dockerFile)).rejects.toThrow("ENOENT");
});

test("when its time is over nobody is asked any more", async () => {
  server.begun = { expires_in: 0.2 };
  server.states.splice(0, 1, pending);
  const { code, errors } = await logIn();
  expect([code, errors]).toEqual([1, expect.stringContaining("ociregistry: nobody has approved it in time: begin again\n")]);
});

test("a key that is good for longer than there are days is kept, and so is one of a server that says so of its code", async () => {
  server.begun = { expires_in: 1e300 };
  server.states.splice(0, 1, json(200, { access_token: fakeKey, username: "alice", expires_in: 1e300 }));
  const { code, out, errors } = await logIn();
  expect([code, out]).toEqual([0, expect.stringMatching(/as alice, until \d{4}-\d\d-\d\d\n$/)]);
  expect(errors).toContain("waiting for that, 60 min at most");
});

test("nobody is asked faster than once a second, or less often than once a minute, whatever he says", async () => {
  for (const [interval, everyMs] of [
    [0.000_001, 1_000],
    [1e300, 60_000],
  ] as const) {
    const clock = new TestClock();
    server.forget();
    server.begun = { interval };
    server.states.splice(0, 9, pending, approved);
    const ending = login({ io: ioOf(), server: server.url, clock });
    const waits = () =>
      lookUntil(
        () => Promise.resolve(clock.waiting),
        (waiting) => waiting > 0,
        { waitMs: 5_000, everyMs: 5 },
      );
    await waits();
    await clock.advance(interval < 1 ? 1 : everyMs);
    await server.waitForRequests(2);
    await waits();
    await clock.advance(everyMs - 1);
    expect(server.requests).toEqual([begin, poll]);
    await clock.advance(1);
    expect(await ending).toBe(0);
    expect(server.requests).toEqual([begin, poll, poll]);
  }
});

test.each([
  ["hides its host behind a name", "http://registry.example.com@evil.example/home/device"],
  ["is none", "javascript:alert(1)"],
])("a page to approve at that %s is not shown as one", async (_, page) => {
  server.begun = { verification_uri: page };
  const { code, errors } = await logIn();
  expect([code, errors]).toEqual([
    1,
    `ociregistry: ${server.url} names a page to approve at that is not safe to open (${page}): it must be https, with no name or password in it\n`,
  ]);
  expect(server.requests).toEqual([begin]);
});

test("a page of somebody else is shown with both names, and only with its own code", async () => {
  server.begun = { verification_uri: "https://github.example/login/device", verification_uri_complete: "https://evil.example/?user_code=WDJB-MJHT" };
  const { code, errors } = await logIn();
  expect([code, errors]).toEqual([0, expect.stringContaining(`CAREFUL: ${server.url} sends you to https://github.example for that. Approve only if`)]);
  expect(errors).toContain("open\n\n    https://github.example/login/device\n\n");
  expect(errors).not.toContain("evil.example");
});

test("where somebody is named only his key is kept, and anybody else's is ended", async () => {
  for (const name of ["bob", "Alice"]) {
    server.forget();
    expect(await logIn("--user", name)).toMatchObject({ code: 1, out: "", errors: expect.stringContaining(`it was approved by alice, and not by ${name}`) });
    expect(server.requests).toEqual([begin, poll, revoke]);
    expect(server.forms[2]).toMatchObject({ username: "alice", token: fakeKey });
  }
  await expect(stat(dockerFile)).rejects.toThrow("ENOENT");
  expect((await logIn("--user", "alice")).code).toBe(0);
});

test("who stops it while a program for logins asks him something has nobody asked, and the program ended", async () => {
  const pids = join(folder.path, "pids");
  const program = await writeCredentialProgram(folder.path, "docker-credential-fake", `echo $$ >'${pids}'; sleep 600`);
  await put(dockerFile, { credsStore: "fake" });
  const io = ioOf();
  const ending = run(["login", server.url], io);
  await program.ran(1);
  const running = await pidsIn(pids, 1);
  io.send("SIGTERM");
  expect([await ending, io.errors]).toEqual([1, "ociregistry: stopped by SIGTERM\n"]);
  expect(await survivors(running)).toEqual([]);
  expect(server.requests).toEqual([]);
});

test("who stops it is told that nothing was written, and nobody listens for signals any more", async () => {
  server.states.splice(0, 1, pending);
  server.begun = { interval: 600 };
  const io = ioOf();
  const ending = run(["login", server.url], io);
  await server.waitForRequests(1);
  await lookUntil(
    () => Promise.resolve(io.errors),
    (errors) => errors.includes("waiting"),
    { waitMs: 5_000, everyMs: 5 },
  );
  io.send("SIGINT");
  expect([await ending, io.errors]).toEqual([1, expect.stringMatching(/ociregistry: stopped: nothing was written\n$/)]);
  expect([io.listening("SIGINT"), io.listening("SIGTERM")]).toEqual([0, 0]);
  expect(server.requests).toEqual([begin]);
  await expect(stat(dockerFile)).rejects.toThrow("ENOENT");
});

test("on a terminal a line says how long is left, and is gone in the end; the code stays", async () => {
  const io = ioOf();
  io.isTerminal = true;
  server.begun = { interval: 0.3 };
  server.states.unshift(pending);
  expect(await run(["login", server.url], io)).toBe(0);
  expect(io.errors).toContain("waiting for that, 10 min left\n\u001B[1A\u001B[0J");
  expect(io.errors.indexOf("WDJB-MJHT\n")).toBeLessThan(io.errors.indexOf("waiting"));
});

test.each([
  [
    "answers with a page of its own",
    { status: 404, body: "<html>" },
    /lets nobody in from a terminal \(404\): is it an ociregistry, with API keys switched on/,
  ],
  ["says why", { status: 404, body: JSON.stringify({ errors: [{ message: "no keys" }] }) }, /lets nobody in from a terminal \(404\): no keys/],
  ["asks who is there", { status: 401, body: JSON.stringify({ errors: [{ message: "authentication required" }] }) }, /\(401\): is it an ociregistry/],
  ["answers something else", { status: 200, body: "hello" }, /lets nobody in from a terminal/],
  ["leads elsewhere", { redirectTo: "https://login.example.com/" }, /sends us on to https:\/\/login.example.com\//],
  ["answers without an end", { status: 200, body: "x".repeat(70_000) }, /more than 64 KiB/],
  ["has too much to do", { status: 503, body: "" }, /answers 503/],
])("a server that %s is told in words of what to do", async (_, quirk, words) => {
  server.when({ kind: "token" }, quirk);
  const { code, errors } = await logIn();
  expect([code, errors]).toEqual([1, expect.stringMatching(words)]);
  expect(server.requests).toEqual([begin]);
});

test("nobody who listens is told", async () => {
  await server.close();
  expect(await logIn()).toMatchObject({ code: 1, errors: `ociregistry: ${server.url} does not answer: nobody listens there\n` });
});

test.each(["before headers", "after headers"] as const)("a server that goes silent %s is given up in time", async (silent) => {
  server.when({ kind: "token" }, { silent });
  const poster = new FormPoster({ origin: server.url, authority: undefined, environment: {}, askMs: 100 });
  await expect(poster.post("/zot/auth/device", {}, new AbortController().signal)).rejects.toThrow(`${server.url} does not answer: nothing within 0.1 s`);
});

test.each([
  ["http://registry.example.com", /in the clear/],
  ["http://10.0.0.1:5000", /in the clear/],
  ["https://registry.example.com/path", /nothing behind that/],
  ["https://alice:x@registry.example.com", /nothing behind that/],
  ["ftp://registry.example.com", /no registry's address/],
  ["", /say which/],
])("%j is a misuse", async (written, words) => {
  expect(await runs(["login", written])).toMatchObject({ code: 2, errors: expect.stringMatching(words) });
});

test.each([[["--expires", "never"]], [["--expires", "0"]], [["--expires", "-1"]], [["--no-docker", "--no-podman"]]])(
  "%j is a misuse, and nobody is asked",
  async (more) => {
    expect((await logIn(...more)).code).toBe(2);
    expect(server.requests).toEqual([]);
  },
);

describe.runIf(requirePrograms("openssl"))("over TLS", () => {
  test("an authority that nobody knows is told, and is trusted once it is named; another name on the certificate never is", async () => {
    const authority = await createTestAuthority(folder.path);
    await using secure = await startFakeDeviceServer({ tls: await authority.issue() });
    secure.states.push(approved);
    const unknown = await runs(["login", secure.host]);
    expect(unknown).toMatchObject({ code: 1, errors: expect.stringMatching(/name that by --ca-file PEM \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)/) });
    expect(secure.requests).toEqual([]);
    expect((await runs(["login", secure.host, "--ca-file", authority.certificateFile])).code).toBe(0);
    expect(await jsonOf(dockerFile)).toEqual({ auths: { [secure.host]: { auth } } });
    await using misnamed = await startFakeDeviceServer({ tls: await authority.issue({ names: ["other.example.com"] }) });
    const other = await runs(["login", misnamed.host, "--ca-file", authority.certificateFile]);
    expect(other).toMatchObject({ code: 1, errors: expect.stringMatching(/certificate for another name/) });
    secure.begun = { verification_uri: secure.url.replace("https:", "http:") };
    const inTheClear = await runs(["login", secure.host, "--ca-file", authority.certificateFile]);
    expect(inTheClear).toMatchObject({ code: 1, errors: expect.stringMatching(/names a page to approve at that is not safe to open \(http:/) });
    const plain = await runs(["login", `https://${server.host}`]);
    expect(plain).toMatchObject({ code: 1, errors: expect.stringMatching(/does not speak TLS/) });
    expect(await runs(["login", secure.host, "--ca-file", dockerFile])).toMatchObject({ code: 2, errors: expect.stringMatching(/no certificate/) });
  });
});

test.runIf(requirePrograms("openssl"))("a proxy that the environment names is asked, and not for what it leaves out", async () => {
  const authority = await createTestAuthority(folder.path);
  await using secure = await startFakeDeviceServer({ tls: await authority.issue({ names: ["registry.example.com", "0.0.0.0"] }) });
  await using proxy = await startConnectProxy(secure.port);
  secure.states.push(approved);
  const trusting = ["--ca-file", authority.certificateFile, "--no-podman"];
  // No name of this machine, though it leads there.
  const environment = { HTTPS_PROXY: proxy.url, NO_PROXY: "0.0.0.0" };
  expect((await runs(["login", "registry.example.com", ...trusting], ioOf(environment))).code).toBe(0);
  expect(new Set(proxy.targets)).toEqual(new Set(["registry.example.com:443"]));
  const before = proxy.targets.length;
  expect((await runs(["login", `0.0.0.0:${secure.port}`, ...trusting], ioOf(environment))).code).toBe(0);
  expect(proxy.targets).toHaveLength(before);
});

test.each(["127.0.0.1", "localhost"])("no proxy hears what is said to %s, at logging in and at logging out", async (name) => {
  await using proxy = await startFakeDeviceServer();
  const environment = { HTTP_PROXY: proxy.url, http_proxy: proxy.url };
  const url = server.url.replace("127.0.0.1", name);
  expect((await runs(["login", url], ioOf(environment))).code).toBe(0);
  expect((await runs(["logout", url], ioOf(environment))).code).toBe(0);
  expect(proxy.requests).toEqual([]);
  expect(server.requests).toEqual([begin, poll, revoke]);
});

describe("logging out", () => {
  test("takes the entry out of both files, leaves the others, and ends the key once", async () => {
    await put(podmanFile, { auths: { "quay.io": { auth: "eDp5" } } });
    await logIn();
    server.forget();
    expect(await runs(["logout", server.url])).toMatchObject({
      code: 0,
      out: `logged out of ${server.host}\n`,
      errors: expect.stringContaining("its key is ended"),
    });
    expect(server.requests).toEqual([revoke]);
    expect([await jsonOf(dockerFile), await jsonOf(podmanFile)]).toEqual([{ auths: {} }, { auths: { "quay.io": { auth: "eDp5" } } }]);
  });

  test("takes out what older dockers wrote for it, ends each key, and leaves what is for a part of it, and for others", async () => {
    const other = fakeKey.replace("0123", "ffff");
    const otherAuth = Buffer.from(`alice:${other}`).toString("base64");
    const stays = { [`${server.host}/team/app`]: { auth: "eDp5" }, [`https://x.${server.host}/v1/`]: { auth: "eDp5" } };
    const old = { [`https://${server.host}`]: { auth }, [`http://${server.host}/v1/`]: { auth: otherAuth }, [`${server.host}/v2/`]: { auth } };
    await put(dockerFile, { auths: { ...old, ...stays } });
    expect((await runs(["logout", server.url, "--no-podman"])).code).toBe(0);
    expect(await jsonOf(dockerFile)).toEqual({ auths: stays });
    expect(server.forms.map(({ token }) => token)).toEqual([fakeKey, other]);
    await put(dockerFile, { auths: { ...old, ...stays } });
    expect((await logIn("--no-podman")).code).toBe(0);
    expect(await jsonOf(dockerFile)).toEqual({ auths: { ...stays, [server.host]: { auth } } });
  });

  test("a password that is no key is taken out, and shown to nobody", async () => {
    await put(dockerFile, { auths: { [server.host]: { auth: Buffer.from("alice:secret").toString("base64") } } });
    expect((await runs(["logout", server.url])).code).toBe(0);
    expect(await jsonOf(dockerFile)).toEqual({ auths: {} });
    expect(server.requests).toEqual([]);
  });

  test("a server that is away keeps nobody logged in, and the key that goes on is told of", async () => {
    await logIn();
    await server.close();
    const { code, errors } = await runs(["logout", server.url]);
    expect([code, errors]).toEqual([1, expect.stringMatching(/the key of alice is good until it is ended .* nobody listens there/)]);
    expect(await jsonOf(dockerFile)).toEqual({ auths: {} });
  });

  test("a file that cannot be understood is named and left, and the other one is no longer logged in", async () => {
    await logIn();
    await put(dockerFile, "{");
    const { code, out, errors } = await runs(["logout", server.url]);
    expect([code, out]).toEqual([1, `logged out of ${server.host}\n`]);
    expect(errors).toContain(`${dockerFile} is no file of docker's or podman's`);
    expect(errors).toContain("its key is ended");
    expect([await readFile(dockerFile, "utf8"), await jsonOf(podmanFile)]).toEqual(["{", { auths: {} }]);
  });

  test("where nothing is kept nothing is written, and that is no failure", async () => {
    expect(await runs(["logout", server.url])).toMatchObject({ code: 0, out: "", errors: expect.stringContaining("nothing is kept") });
    await expect(stat(dockerFile)).rejects.toThrow("ENOENT");
    expect(server.requests).toEqual([]);
  });
});

test("podman's file is where containers-auth.json(5) says", () => {
  expect(podmanPlace({ REGISTRY_AUTH_FILE: "/x/y.json", XDG_RUNTIME_DIR: "/run/user/7" })).toEqual({ path: "/x/y.json", hasStore: false, isOptional: false });
  expect(podmanPlace({ XDG_RUNTIME_DIR: "/run/user/7" }, "linux").path).toBe("/run/user/7/containers/auth.json");
  expect(podmanPlace({ HOME: "/home/alice" }, "linux").path).toBe(`/run/containers/${process.getuid?.() ?? 0}/auth.json`);
  expect(podmanPlace({ HOME: "/home/alice", XDG_RUNTIME_DIR: "/run/user/7" }, "darwin").path).toBe("/home/alice/.config/containers/auth.json");
});
