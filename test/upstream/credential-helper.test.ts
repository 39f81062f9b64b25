/** Docker's credential helpers, as programs that do what they should, and all that they should not. */
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { parseRegistryHost } from "../../src/oci/repository.ts";
import { helperProgram, helperProvider, type HelperOptions } from "../../src/upstream/credential-helper.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { pidsIn, survivors, writeCredentialProgram, type CredentialProgram } from "../support/credential-programs.ts";
import { lookUntil } from "../support/looking.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

const secret = "s3cr3t Canary+/=";
const host = parseRegistryHost("registry.example.com");
const { signal } = new AbortController();
let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

function write(script: string): Promise<CredentialProgram> {
  return writeCredentialProgram(folder.path, "docker-credential-test", script);
}

function providerOf({ path }: { readonly path: string }, options: Partial<HelperOptions> = {}) {
  return helperProvider({ command: path, args: [], host, clock: systemClock, ...options });
}

/** Everything that an error could show to anybody. */
function shown(error: Error): string {
  return inspect(error, { depth: 10, showHidden: true });
}

describe("a helper", () => {
  test("is asked `get` for the registry by its name, and gives a user and a secret", async () => {
    const helper = await write(`echo '{"ServerURL":"x","Username":"robot","Secret":"${secret}"}'`);
    expect(await providerOf(helper).fetch(signal)).toEqual({ content: { kind: "basic", user: "robot", password: secret }, expiresAtMs: undefined });
    expect(await helper.runs()).toEqual(["get registry.example.com"]);
  });

  test("is asked for Docker Hub by the name under which docker keeps it", async () => {
    const helper = await write(`echo '{"Username":"robot","Secret":"p"}'`);
    await providerOf(helper, { host: parseRegistryHost("docker.io") }).fetch(signal);
    expect(await helper.runs()).toEqual(["get https://index.docker.io/v1/"]);
  });

  test("gives an identity token under the user <token>", async () => {
    const helper = await write(`echo '{"Username":"<token>","Secret":"refresh me"}'`);
    expect((await providerOf(helper).fetch(signal)).content).toEqual({ kind: "identity", token: "refresh me" });
  });

  test("gets its own arguments before `get`, each as it is, and no shell in between", async () => {
    const helper = await write(`echo '{"Username":"robot","Secret":"p"}'`);
    await providerOf(helper, { args: ["$(id)", "; touch x", "*"] }).fetch(signal);
    expect(await helper.runs()).toEqual(["$(id) ; touch x * get registry.example.com"]);
  });

  test("need not read what it is asked", async () => {
    const helper = await write("");
    await writeFile(helper.path, `#!/bin/sh\nexec 0<&-\necho '{"Username":"robot","Secret":"p"}'\n`);
    expect((await providerOf(helper).fetch(signal)).content).toMatchObject({ user: "robot" });
  });

  test("sees what clouds, key rings and proxies are found by, and nothing else of ours", async () => {
    const helper = await write(`env >'${folder.path}/env'\necho '{"Username":"robot","Secret":"p"}'`);
    const known = {
      PATH: process.env["PATH"],
      HOME: "/nowhere",
      AWS_PROFILE: "team",
      GOOGLE_APPLICATION_CREDENTIALS: "/key.json",
      AZURE_CLIENT_ID: "me",
      HTTPS_PROXY: "http://proxy:1",
    };
    await providerOf(helper, { environment: { ...known, REGISTRY_PASSWORD: secret, OCIREGISTRY_PORT: "1", NODE_OPTIONS: "--inspect" } }).fetch(signal);
    const seen = (await readFile(join(folder.path, "env"), "utf8")).split("\n").filter((line) => line !== "" && !/^(PWD|OLDPWD|SHLVL|_)=/.test(line));
    expect(seen.toSorted()).toEqual(
      Object.entries(known)
        .map(([name, value]) => `${name}=${value}`)
        .toSorted(),
    );
  });
});

describe("a helper that has nothing for the registry", () => {
  const script = "echo 'credentials not found in native keychain'; exit 1";

  test("says so in docker's words: there is no credential, and nothing has failed", async () => {
    expect(await providerOf(await write(script)).fetch(signal)).toEqual({ content: undefined, expiresAtMs: undefined });
  });

  test("is told apart from one that fails", async () => {
    await failureOf(providerOf(await write("echo 'error getting credentials'; exit 1")).fetch(signal), "UPSTREAM_UNAVAILABLE");
  });
});

describe("a helper that fails", () => {
  test("is told by its exit code, and how to see what it said, of which nothing is shown", async () => {
    const error = await failureOf(providerOf(await write(`echo 'login for ${secret} failed' >&2; echo '${secret}'; exit 3`), { args: [secret] }).fetch(signal));
    expect(error.message).toBe(
      `${folder.path}/docker-credential-test for registry.example.com: exit code 3; ` +
        `to see all of it: echo registry.example.com | ${folder.path}/docker-credential-test ... get`,
    );
    expect(shown(error)).not.toContain(secret);
  });

  test.each([
    ["UPSTREAM_UNAVAILABLE", "dial tcp: lookup sts.amazonaws.com: no such host", "no such host"],
    ["UPSTREAM_UNAVAILABLE", "AccessDenied after: dial tcp 10.0.0.1:443: i/o timeout", "i/o timeout"],
    ["DENIED", "gpg: decryption failed: No secret key", "no secret key"],
    ["DENIED", "operation error STS: AssumeRole, api error AccessDenied: not for you", "accessdenied"],
  ] as const)("and says what is known to be harmless: %s, %s", async (code, said, phrase) => {
    const error = await failureOf(providerOf(await write(`echo '${said} ${secret}' >&2; exit 1`)).fetch(signal), code);
    expect(error.message).toContain(`exit code 1, and "${phrase}" in what it said`);
    expect(shown(error)).not.toContain(secret);
  });

  test.each([
    ["is no JSON", `echo '${secret}'`],
    ["is another object", `echo '{"user":"robot","password":"${secret}"}'`],
    ["is nothing", ""],
  ])("by an answer that %s is somebody's to mend, and what it said is not shown", async (_what, script) => {
    const error = await failureOf(providerOf(await write(script)).fetch(signal), "DENIED");
    expect(error.message).toMatch(/is it a docker credential helper\?/);
    expect(shown(error)).not.toContain(secret);
  });

  test("by a signal is told so", async () => {
    const error = await failureOf(providerOf(await write("kill -9 $$")).fetch(signal), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("a signal ended it");
  });

  test("because it is not there, or may not be run, is somebody's to mend", async () => {
    const missing = await failureOf(providerOf({ path: "docker-credential-nowhere" }).fetch(signal), "DENIED");
    expect(missing.message).toBe(
      "docker-credential-nowhere for registry.example.com: there is no such program; install it, or give its whole path (PATH is looked through)",
    );
    const helper = await write("");
    await chmod(helper.path, 0o600);
    expect((await failureOf(providerOf(helper).fetch(signal), "DENIED")).message).toMatch(/it may not be run; make the file executable/);
  });
});

describe("a helper that does not behave", () => {
  test("is killed after ten seconds, with what it has started", async () => {
    const pids = join(folder.path, "pids");
    const clock = new TestClock();
    const fetch = failureOf(providerOf(await write(`sleep 1000 & echo $! $$ >'${pids}'; wait`), { clock }).fetch(signal), "UPSTREAM_TIMEOUT");
    const started = await pidsIn(pids, 2);
    await clock.advance(9_999);
    expect(clock.waiting).toBe(1);
    await clock.advance(1);
    expect((await fetch).message).toMatch(/it did not answer within 10 s, and was killed/);
    expect(await survivors(started)).toEqual([]);
    expect(clock.waiting).toBe(0);
  });

  test("is killed when nobody wants its answer any more", async () => {
    const pids = join(folder.path, "pids");
    const gone = new AbortController();
    const fetch = providerOf(await write(`sleep 1000 & echo $! $$ >'${pids}'; wait`)).fetch(gone.signal);
    const started = await pidsIn(pids, 2);
    gone.abort(new Error("gone"));
    await expect(fetch).rejects.toThrow("gone");
    expect(await survivors(started)).toEqual([]);
  });

  test("may leave a child behind that holds its output open: the answer counts, the child is killed", async () => {
    const pids = join(folder.path, "pids");
    const helper = await write(`sleep 1000 & echo $! >'${pids}'; echo '{"Username":"robot","Secret":"p"}'`);
    // Without a clock that moves, nothing but the child's end could have let this go on.
    expect((await providerOf(helper, { clock: new TestClock() }).fetch(signal)).content).toMatchObject({ user: "robot" });
    expect(await survivors(await pidsIn(pids, 1))).toEqual([]);
  });

  test("may leave one in a session of its own: its open output is waited for a second at most", async () => {
    const pids = join(folder.path, "pids");
    const clock = new TestClock();
    const helper = await write(
      `setsid sh -c 'echo $$ >"${pids}"; exec sleep 1000' & while [ ! -s '${pids}' ]; do :; done; echo '{"Username":"robot","Secret":"p"}'`,
    );
    const fetch = providerOf(helper, { clock }).fetch(signal);
    const [stray = 0] = await pidsIn(pids, 1);
    try {
      // The deadline's timer, and then the one for its output.
      await lookUntil(
        () => Promise.resolve(clock.waiting),
        (waiting) => waiting === 2,
        { waitMs: 10_000, everyMs: 5 },
      );
      await clock.advance(1_000);
      expect((await fetch).content).toMatchObject({ user: "robot" });
    } finally {
      process.kill(stray);
    }
  });

  test("is killed when it says more than 64 KiB", async () => {
    const pids = join(folder.path, "pids");
    const error = await failureOf(providerOf(await write(`echo $$ >'${pids}'; exec yes '${secret}'`)).fetch(signal), "DENIED");
    expect(error.message).toMatch(/it said more than 64 KiB, and was killed/);
    expect(shown(error)).not.toContain(secret);
    expect(await survivors(await pidsIn(pids, 1))).toEqual([]);
  });

  test("may complain at length beside a good answer", async () => {
    const helper = await write(`yes complaint | head -c 1000000 >&2; echo '{"Username":"robot","Secret":"p"}'`);
    expect((await providerOf(helper).fetch(signal)).content).toMatchObject({ user: "robot" });
  });

  test("is not run at all for who has gone already", async () => {
    const helper = await write(`echo '{"Username":"robot","Secret":"p"}'`);
    await expect(providerOf(helper).fetch(AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
    expect(await helper.runs()).toEqual([]);
  });
});

describe("pulling with a helper", () => {
  async function setUp(script: string) {
    const stack = new AsyncDisposableStack();
    const fake = stack.use(await startFakeUpstream());
    fake.authentication = { kind: "basic", name: "robot", password: secret };
    fake.putImage("team/app", "latest");
    const helper = await write(script);
    const logged: string[] = [];
    const note = (fields: unknown, message: string): number => logged.push(inspect(fields, { depth: 10 }) + message);
    const credential = { kind: "exec", protocol: "docker", command: helper.path, args: [] } as const;
    const upstreams = startUpstreams([listedAs(fake, { auth: { credential } })], { log: { debug: note, info: note, warn: note, error: note } });
    stack.use(upstreams);
    const pull = () => upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    return { fake, helper, logged, pull, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }

  const line = "GET /v2/team/app/manifests/latest";

  test("runs it once, before anybody asks, and shows what it gave when the registry wants it", async () => {
    await using set = await setUp(`echo '{"Username":"robot","Secret":"${secret}"}'`);
    await set.helper.ran(1);
    await Promise.all([set.pull(), set.pull(), set.pull()]);
    expect(await set.helper.runs()).toEqual([`get ${set.fake.host}`]);
    expect(set.fake.log.filter(({ headers }) => headers.authorization !== undefined)).toHaveLength(3);
    expect(set.logged.join("\n")).not.toContain(secret);
  });

  test("that gives a wrong secret is asked once more, and then access is refused", async () => {
    await using set = await setUp(`echo '{"Username":"robot","Secret":"${secret} of last year"}'`);
    expect(await failureOf(set.pull(), "DENIED")).toMatchObject({ source: "upstream" });
    expect(set.fake.requests).toEqual([line, line]);
    expect(set.logged.join("\n")).not.toContain(secret);
  });

  test("that has nothing asks as anybody", async () => {
    await using set = await setUp("echo 'credentials not found in native keychain'; exit 1");
    set.fake.authentication = { kind: "none" };
    await set.pull();
    expect(set.fake.log.map(({ line: asked, headers }) => [asked, headers.authorization])).toEqual([[line, undefined]]);
  });

  test("that fails asks nobody anything, and shows its secret in no error and no line of the log", async () => {
    await using set = await setUp(`echo 'the secret is ${secret}' >&2; echo '${secret}'; exit 5`);
    const error = await failureOf(set.pull(), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toBe(`the credential for ${set.fake.host} cannot be had now: what is wrong with it stands in the log of this server`);
    expect(set.fake.requests).toEqual([]);
    expect(set.logged.join("\n")).toContain("exit code 5");
    expect(set.logged.join("\n") + shown(error)).not.toContain(secret);
  });
});

test("a helper of Windows, as Linux in there finds it, is one", () => {
  expect(helperProgram("desktop.exe").command).toBe("docker-credential-desktop.exe");
});

test.each(["../evil", "Pass", "a b", "a;b", "", "a/b", "x".repeat(65)])("%j names no helper", (suffix) => {
  expect(() => helperProgram(suffix)).toThrow(/named by small letters, digits, dots and hyphens/);
});

test.runIf(requirePrograms("docker-credential-pass", "pass", "gpg"))(
  "docker-credential-pass gives what it was given to keep, and says when it has nothing",
  async () => {
    await using home = await temporaryFolder();
    const env = { HOME: home.path, GNUPGHOME: join(home.path, "gnupg"), PASSWORD_STORE_DIR: join(home.path, "store"), PATH: process.env["PATH"] };
    const run = async (script: string): Promise<void> => {
      const { code, stdout, stderr } = await runProcess("sh", ["-c", script], { env });
      if (code !== 0) throw new Error(`${script}: ${stdout}${stderr}`);
    };
    await run(
      `mkdir -m 700 "$GNUPGHOME" && gpg --batch --passphrase '' --quick-generate-key robot@example.com default default never && pass init robot@example.com`,
    );
    try {
      const answer = JSON.stringify({ ServerURL: host, Username: "robot", Secret: secret });
      await run(`printf %s '${answer}' | docker-credential-pass store`);
      const options = { ...helperProgram("pass"), clock: systemClock, environment: env };
      expect(await helperProvider({ ...options, host }).fetch(signal)).toMatchObject({ content: { kind: "basic", user: "robot", password: secret } });
      const other = helperProvider({ ...options, host: parseRegistryHost("other.example.com") }).fetch(signal);
      expect(await other).toMatchObject({ content: undefined });
    } finally {
      await run("gpgconf --kill all");
    }
  },
);
