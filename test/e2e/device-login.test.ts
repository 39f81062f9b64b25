/** `ociregistry login` as people run it: approved in a browser, and then skopeo, podman and docker pull with the files that it wrote. */
import { chmod, copyFile, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openViewer, startBrowser } from "../support/browser.ts";
import { placePodman, startDockerd } from "../support/container-clients.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { writeCredentialProgram } from "../support/credential-programs.ts";
import { startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startOurServer, withoutOurVariables } from "../support/our-server.ts";
import { findProgram, requirePrograms, requireRoot } from "../support/programs.ts";
import { freePort, runProcess, startProcess, type RunningProcess } from "../support/processes.ts";
import { mountSmallDisk } from "../support/small-disk.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const root = join(import.meta.dirname, "..", "..");
const manifest = "/v2/team/app/manifests/1";
const codeShown = /^ {4}([A-Z]{4}-[A-Z]{4})$/m;
const config = {
  auth: { htpasswd: { path: "HTPASSWD" }, apikey: true },
  accessControl: { repositories: { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] } } },
};

describe.runIf(requirePrograms("htpasswd"))("on a terminal", () => {
  let guarded: GuardedServer;
  let folder: TemporaryFolder;
  let browser: CookieBrowser;
  beforeAll(async () => {
    folder = await temporaryFolder();
    guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config });
    browser = new CookieBrowser(guarded.server.url);
    await browser.submit("/zot/auth/login", { username: "alice", password: "alice-password" });
  });
  afterAll(async () => {
    await guarded?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  /** A home of its own, and what says where clients look. */
  async function home(name: string): Promise<{ readonly path: string; readonly env: Readonly<Record<string, string | undefined>> }> {
    const path = join(folder.path, name);
    await mkdir(join(path, "run"), { recursive: true });
    const places = { HOME: path, DOCKER_CONFIG: undefined, XDG_RUNTIME_DIR: join(path, "run"), REGISTRY_AUTH_FILE: undefined };
    return { path, env: { ...withoutOurVariables(), ...places, PATH: `${path}:${process.env["PATH"] ?? ""}` } };
  }

  function start(words: readonly string[], env: Readonly<Record<string, string | undefined>>, through: readonly string[] = []): Promise<RunningProcess> {
    const [command = "", ...args] = [...through, join(root, "node_modules", ".bin", "node"), join(root, "src", "main.ts"), ...words];
    return startProcess({ command, args, env });
  }

  /** Runs it to its end; whoever sits there approves what it shows. */
  async function logIn(words: readonly string[], env: Readonly<Record<string, string | undefined>>, through: readonly string[] = []) {
    await using running = await start(["login", guarded.server.url, ...words], env, through);
    const [, code = ""] = await running.waitForOutput(codeShown);
    const answer = await browser.submit(`/home/device?user_code=${code}`, { user_code: code, decision: "approve" });
    expect(answer.headers.get("location")).toBe("/home/device?end=approved");
    const { code: exitCode } = await running.ended;
    return { exitCode, output: running.output };
  }

  test.runIf(requirePrograms("skopeo", "podman", "dockerd", "docker") && requireRoot())(
    "one login lets skopeo, podman and docker pull, docker by its key ring, and logging out ends that for all of them",
    { timeout: 120_000 },
    async () => {
      const { path, env } = await home("clients");
      const { host } = guarded.server;
      const ring = join(path, "ring");
      await writeCredentialProgram(
        path,
        "docker-credential-ring",
        `case "$1" in store) printf '%s' "$question" >${ring} ;; erase) rm ${ring} ;;
         get) [ -f ${ring} ] && cat ${ring} || { echo "credentials not found in native keychain"; exit 1; } ;; esac`,
      );
      await mkdir(join(path, ".docker"));
      await writeFile(join(path, ".docker", "config.json"), JSON.stringify({ credsStore: "ring" }));
      const { exitCode, output } = await logIn([], env);
      expect([exitCode, output]).toEqual([0, expect.stringContaining(`logged in to ${host} as alice, until `)]);
      const reference = `${host}/team/app:1`;
      const podman = await placePodman(join(path), undefined);
      await using dockerd = await startDockerd(join(path, "run"));
      const pulls = {
        skopeo: () =>
          runProcess("skopeo", ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", `docker://${reference}`, `dir:${join(path, "copied")}`], {
            env,
          }),
        podman: () =>
          runProcess("podman", [...podman.common, "pull", "--quiet", "--tls-verify=false", "--signature-policy", podman.policy, reference], {
            env: { ...podman.env, ...env },
          }),
        docker: () =>
          runProcess(findProgram("docker") ?? "docker", [...dockerd.common, "pull", "--quiet", reference], { env: { ...env, DOCKER_HOST: undefined } }),
      };
      for (const [name, pull] of Object.entries(pulls)) {
        const { code, stderr } = await pull();
        expect([name, code, stderr]).toEqual([name, 0, expect.anything()]);
      }
      const secret = /"Secret":"(zak_[0-9a-f]{32})"/.exec(await readFile(ring, "utf8"))?.[1] ?? "";
      const asked = () => guarded.get(manifest, { authorization: `Basic ${Buffer.from(`alice:${secret}`).toString("base64")}` }).then(({ status }) => status);
      expect(await asked()).toBe(200);
      await using out = await start(["logout", guarded.server.url], env);
      expect([(await out.ended).code, out.output]).toEqual([0, expect.stringContaining("its key is ended")]);
      await dockerd.forget();
      for (const [name, pull] of Object.entries(pulls)) expect([name, (await pull()).code]).not.toEqual([name, 0]);
      await expect.poll(asked, { timeout: 3_000 }).toBe(401);
      expect(JSON.parse(await readFile(join(path, ".docker", "config.json"), "utf8"))).toEqual({ credsStore: "ring", auths: {} });
    },
  );

  test.runIf(requirePrograms("chromium", "skopeo"))(
    "what it shows leads a browser through signing in to the approval, and skopeo pulls",
    { timeout: 60_000 },
    async () => {
      const { env } = await home("chromium");
      await using running = await start(["login", guarded.server.url], env);
      const [, address = ""] = await running.waitForOutput(/^ {4}(http\S+)$/m);
      const [, code = ""] = await running.waitForOutput(codeShown);
      await using chromium = await startBrowser();
      await using viewer = await openViewer(chromium, { width: 390 });
      const { page } = viewer;
      await page.goto(address);
      await page.getByLabel("Name").fill("alice");
      await page.getByLabel("Password").fill("alice-password");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.locator("p.code", { hasText: code }).waitFor();
      await page.getByText("Approve", { exact: true }).click();
      await page.getByRole("button", { name: "let it in" }).click();
      await page.getByRole("heading", { name: "The terminal is let in" }).waitFor();
      expect([(await running.ended).code, running.output]).toEqual([0, expect.stringContaining("logged in")]);
      const reference = `docker://${guarded.server.host}/team/app:1`;
      const { code: pulled, stderr } = await runProcess("skopeo", ["inspect", "--raw", "--tls-verify=false", reference], { env });
      expect([pulled, stderr]).toEqual([0, ""]);
      const stranger = await home("stranger");
      expect((await runProcess("skopeo", ["inspect", "--raw", "--tls-verify=false", reference], { env: stranger.env })).code).not.toBe(0);
    },
  );

  test("a key that only pulls pulls", async () => {
    const { path, env } = await home("read-only");
    const file = join(path, "auth.json");
    expect((await logIn(["--auth-file", file, "--read-only", "--label", "pulls only"], env)).exitCode).toBe(0);
    const { auths } = JSON.parse(await readFile(file, "utf8")) as { readonly auths: Readonly<Record<string, { readonly auth: string }>> };
    const { auth = "" } = auths[guarded.server.host] ?? {};
    expect((await guarded.get(manifest, { authorization: `Basic ${auth}` })).status).toBe(200);
    expect((await guarded.get("/metrics", { authorization: `Basic ${auth}` })).status).toBe(403);
  });

  test("a server that is killed in the middle, and comes back with what it knew, is waited for", { timeout: 60_000 }, async () => {
    const { path, env } = await home("restart");
    const port = await freePort();
    const users = join(path, "htpasswd");
    await copyFile(join(guarded.folder, "htpasswd"), users);
    const serve = () => startOurServer({ folder: path, config: { port, auth: { htpasswd: { path: users }, apikey: true } } });
    const before = await serve();
    await using running = await start(["login", before.url, "--auth-file", join(path, "auth.json")], env);
    const [, code = ""] = await running.waitForOutput(codeShown);
    await before.process.kill("SIGKILL");
    await using after = await serve();
    const here = new CookieBrowser(after.url);
    await here.submit("/zot/auth/login", { username: "alice", password: "alice-password" });
    await here.submit(`/home/device?user_code=${code}`, { user_code: code, decision: "approve" });
    expect([(await running.ended).code, running.output]).toEqual([0, expect.stringContaining("logged in")]);
  });

  test("who refuses it is heard, and Ctrl-C ends it with a word", async () => {
    const { path, env } = await home("refused");
    await using refused = await start(["login", guarded.server.url], env);
    const [, code = ""] = await refused.waitForOutput(codeShown);
    await browser.submit(`/home/device?user_code=${code}`, { user_code: code, decision: "refuse" });
    expect([(await refused.ended).code, refused.output]).toEqual([1, expect.stringContaining("ociregistry: it was refused")]);
    await using stopped = await start(["login", guarded.server.url], env);
    await stopped.waitForOutput(/waiting/);
    stopped.signal("SIGINT");
    expect([await stopped.ended, stopped.output]).toEqual([{ code: 1, signal: null }, expect.stringMatching(/stopped: nothing was written\n$/)]);
    await expect(stat(join(path, ".docker", "config.json"))).rejects.toThrow("ENOENT");
  });

  test.runIf(requireRoot())("a disk that is full, or can only be read, keeps the file as it was, and no key is left over", { timeout: 60_000 }, async () => {
    const { env } = await home("full");
    await using disk = await mountSmallDisk(1 << 20);
    const file = join(disk.path, "config.json");
    const text = JSON.stringify({ auths: { "quay.io": { auth: "eDp5" } } });
    await writeFile(file, text);
    const keysNow = async () =>
      ((await (await guarded.get("/zot/auth/apikey", { user: "alice" })).json()) as { readonly apiKeys: readonly unknown[] }).apiKeys.length; // One member of it.
    const before = await keysNow();
    await disk.useUpFiles();
    const full = await logIn(["--no-podman"], { ...env, DOCKER_CONFIG: disk.path });
    expect([full.exitCode, full.output]).toEqual([1, expect.stringMatching(/config.json: no space is left \(ENOSPC\)/)]);
    expect(full.output).toContain("the key that was given is ended again");
    expect([await keysNow(), await readFile(file, "utf8")]).toEqual([before, text]);
    await disk.relieve();
    expect(await readdir(disk.path)).toEqual(["config.json"]);
    await disk.setWritable(false);
    await using readOnly = await start(["login", guarded.server.url, "--no-podman"], { ...env, DOCKER_CONFIG: disk.path });
    expect([(await readOnly.ended).code, readOnly.output]).toEqual([1, expect.stringMatching(/: the file system is read-only \(EROFS\)/)]);
    expect(readOnly.output).not.toContain("approve");
  });

  describe.runIf(requirePrograms("setpriv") && requireRoot())("of somebody without root's rights", () => {
    const asNobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", "--no-new-privs"];

    test.each([
      ["a file that cannot be read", async (file: string) => chmod(file, 0o600), /config.json: permission denied/],
      ["a folder that cannot be written", async (file: string) => chmod(join(file, ".."), 0o755), /\.docker: permission denied/],
    ])("%s is told before anybody is asked for a code", async (name, spoil, words) => {
      const { path, env } = await home(name);
      const file = join(path, ".docker", "config.json");
      for (const open of [folder.path, path, join(path, "run")]) await chmod(open, 0o777);
      await mkdir(join(file, ".."));
      await writeFile(file, "{}");
      await spoil(file);
      await using running = await start(["login", guarded.server.url], env, asNobody);
      expect([(await running.ended).code, running.output]).toEqual([1, expect.stringMatching(words)]);
      expect(await readFile(file, "utf8")).toBe("{}");
    });

    test("where podman's own place cannot be made, docker's file is enough", async () => {
      const { path, env } = await home("no-runtime");
      for (const open of [folder.path, path]) await chmod(open, 0o777);
      await symlink("/proc/nothing", join(path, "run", "containers"));
      const { exitCode, output } = await logIn([], env, asNobody);
      expect([exitCode, output]).toEqual([0, expect.stringContaining("it looks into docker's too")]);
      expect((await stat(join(path, ".docker", "config.json"))).mode & 0o777).toBe(0o600);
    });
  });
});
