/** Docker's config.json and podman's auth.json: whose entry is whose, what an entry gives, and files that change, break and go. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { silentLog, type Log } from "../../src/oci/log.ts";
import { parseRegistryHost } from "../../src/oci/repository.ts";
import { DockerConfigCredentials, type DockerConfigCredentialsOptions } from "../../src/upstream/docker-config.ts";
import { findAuth, parseDockerConfig } from "../../src/upstream/docker-config-file.ts";
import { TokenManagers } from "../../src/upstream/token-managers.ts";
import { writeCredentialProgram } from "../support/credential-programs.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { runProcess } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

const { signal } = new AbortController();

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** The user of the entry that is for `name` at `host`. Users of these tests are called as their keys. */
function userOf(auths: Readonly<Record<string, unknown>>, host: string, name: string): string | undefined {
  const entries = parseDockerConfig(Buffer.from(JSON.stringify({ auths })), parseRegistryHost(host));
  const found = entries && findAuth(entries, name);
  return found?.kind === "basic" ? found.user : found?.kind;
}

function named(...keys: readonly string[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(keys.map((key) => [key, { auth: base64(`${key.replaceAll(":", "-")}:p`) }]));
}

describe("of the entries of a file", () => {
  const auths = named("quay.io", "quay.io/team", "quay.io/team/app", "other.io/team", "ported.io:5000");

  test.each([
    ["quay.io", "other/app", "quay.io"],
    ["quay.io", "team", "quay.io/team"],
    ["quay.io", "team/web", "quay.io/team"],
    ["quay.io", "team/app", "quay.io/team/app"],
    ["quay.io", "team/app/debug", "quay.io/team/app"],
    ["quay.io", "teamx/app", "quay.io"],
    ["other.io", "team/app", "other.io/team"],
    ["other.io", "teamx", undefined],
    ["ported.io:5000", "app", "ported.io-5000"],
    ["ported.io", "app", undefined],
    ["ported.io:5001", "app", undefined],
    ["quay.io:8443", "app", undefined],
    ["evil.quay.io", "app", undefined],
    ["quay.io.evil.com", "app", undefined],
  ])("the one with the longest path wins, and none is for another host: %s/%s -> %s", (host, name, user) => {
    expect(userOf(auths, host, name)).toBe(user);
  });

  test.each(["https://reg.io", "https://reg.io/", "https://reg.io/v1/", "https://reg.io/v2/", "http://reg.io/v2", "reg.io/v1/", "REG.io", "reg.io/"])(
    "one is found however its registry is spelled: %s",
    (key) => {
      expect(userOf({ [key]: { username: "u", password: "p" } }, "reg.io", "team/app")).toBe("u");
    },
  );

  test.each(["https://reg.io:5000/v1/", "ftp://reg.io", "reg.io:443", "//reg.io", "", "/", "reg.io/v2/team"])(
    "one is not taken for what it is not: %s",
    (key) => {
      expect(userOf({ [key]: { username: "u", password: "p" } }, "reg.io", "other/app")).toBeUndefined();
    },
  );

  test.each(["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io", "https://docker.io"])(
    "Docker Hub's is found as %s",
    (key) => {
      expect(userOf({ [key]: { username: "u", password: "p" } }, "docker.io", "library/alpine")).toBe("u");
    },
  );

  test("one that is written as the bare name goes before one that is written as a URL", () => {
    const hub = { "https://index.docker.io/v1/": { username: "docker", password: "p" }, "docker.io": { username: "podman", password: "p" } };
    expect(userOf(hub, "docker.io", "library/alpine")).toBe("podman");
  });

  test("one that holds nothing, as docker leaves beside its stores, does not hide another", () => {
    expect(userOf({ "reg.io/team": {}, ...named("reg.io") }, "reg.io", "team/app")).toBe("reg.io");
  });
});

describe("an entry gives", () => {
  const entry = (fields: unknown): unknown => {
    const entries = parseDockerConfig(Buffer.from(JSON.stringify({ auths: { "reg.io": fields } })), parseRegistryHost("reg.io"));
    return entries && findAuth(entries, "app");
  };

  test.each([
    ["base64 of user and password", { auth: base64("u:p:with:colons") }, { kind: "basic", user: "u", password: "p:with:colons" }],
    ["without the padding that docker once wrote", { auth: base64("u:p\0\0\0") }, { kind: "basic", user: "u", password: "p" }],
    ["in UTF-8", { auth: base64("ü:pä") }, { kind: "basic", user: "ü", password: "pä" }],
    ["a user and a password", { username: "u", password: "p" }, { kind: "basic", user: "u", password: "p" }],
    ["auth before them, as docker", { username: "x", password: "x", auth: base64("u:p") }, { kind: "basic", user: "u", password: "p" }],
    ["an identity token before both", { auth: base64("00000000-0000:"), identitytoken: "refresh me" }, { kind: "identity", token: "refresh me" }],
    ["the registry's own token before all", { registrytoken: "mine", identitytoken: "x" }, { kind: "bearer", token: "mine" }],
    ["nothing when it holds nothing", { email: "me@example.com", auth: "" }, undefined],
    ["nothing when it is no object", "x", undefined],
  ])("%s", (_what, fields, content) => {
    expect(entry(fields)).toEqual(content);
  });

  test.each([
    ["no base64", { auth: "not base64!" }],
    ["no colon", { auth: base64("swordfish") }],
    ["no user", { auth: base64(":swordfish") }],
    ["what no header can carry", { registrytoken: "swordfish\r\nX: y" }],
  ])("an error that names the entry and shows nothing of it: %s", (_what, fields) => {
    let thrown: unknown;
    try {
      entry(fields);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "DENIED", message: expect.stringContaining(`of "reg.io"`) });
    expect(inspect(thrown, { depth: 5 })).not.toMatch(/swordfish|not base64!/);
  });

  test("nothing to whoever prints what was read", () => {
    const file = {
      auths: { "reg.io": { auth: base64("u:swordfish") }, "reg.io/a": { identitytoken: "swordfish" }, "reg.io/b": { registrytoken: "swordfish" } },
    };
    const entries = parseDockerConfig(Buffer.from(JSON.stringify(file)), parseRegistryHost("reg.io"));
    expect(entries?.auths).toHaveLength(3);
    expect(inspect(entries, { depth: 10, showHidden: true }) + JSON.stringify(entries)).not.toContain("swordfish");
  });
});

test.each(["", "{", "[]", "null", '"x"', "\xff"])("%j is no configuration", (text) => {
  expect(parseDockerConfig(Buffer.from(text, "latin1"), parseRegistryHost("reg.io"))).toBeUndefined();
});

test.each(["{}", '{"auths":[],"credHelpers":"x","credsStore":7}', '{"auths":{"__proto__":{"auth":"x"},"reg.io":null}}', '\uFEFF{"auths":{}}'])(
  "%j is one that holds nothing",
  (text) => {
    expect(parseDockerConfig(Buffer.from(text), parseRegistryHost("reg.io"))).toEqual({ helper: undefined, store: undefined, auths: [] });
  },
);

describe("a file", () => {
  let folder: TemporaryFolder;
  let clock: TestClock;
  let logged: string[];
  beforeEach(async () => {
    folder = await temporaryFolder();
    clock = new TestClock();
    logged = [];
  });
  afterEach(() => folder[Symbol.asyncDispose]());

  function source(options: Partial<DockerConfigCredentialsOptions> = {}): DockerConfigCredentials {
    const log: Log = { ...silentLog, info: (_fields, message) => logged.push(message), warn: ({ problem }) => logged.push(String(problem)) };
    const background = new Background(silentLog);
    const managers = new TokenManagers({ clock, log: silentLog, background });
    return new DockerConfigCredentials({
      path: configFile(),
      host: parseRegistryHost("reg.io"),
      managers,
      clock,
      log,
      background,
      environment: {},
      ...options,
    });
  }

  function configFile(): string {
    return join(folder.path, "config.json");
  }

  function write(json: unknown, path = configFile()): Promise<void> {
    return writeFile(path, typeof json === "string" ? json : JSON.stringify(json));
  }

  async function user(of: DockerConfigCredentials, name = "team/app"): Promise<string | undefined> {
    const credential = await of.current(name, signal);
    return credential?.kind === "basic" ? credential.user : credential?.kind;
  }

  test("gives what is in it, and needs no fetching", async () => {
    await write({ auths: { "reg.io": { auth: base64("one:p") } } });
    const credentials = source();
    expect(await credentials.current("team/app", signal)).toMatchObject({ kind: "basic", user: "one", password: "p" });
    expect(credentials.status()).toBeUndefined();
  });

  test("that has nothing for a registry makes us ask as anybody", async () => {
    await write({ auths: named("other.io") });
    expect(await source().current("team/app", signal)).toBeUndefined();
  });

  test("that changes is read a second later, and not before", async () => {
    await write({ auths: { "reg.io": { auth: base64("one:p") } } });
    const credentials = source();
    expect(await user(credentials)).toBe("one");
    await write({ auths: { "reg.io": { auth: base64("another:p") } } });
    await clock.advance(999);
    expect(await user(credentials)).toBe("one");
    await clock.advance(1);
    expect(await user(credentials)).toBe("another");
    expect(logged).toEqual(["docker configuration read", "docker configuration read"]);
  });

  test("that does not change is read once", async () => {
    await write({ auths: { "reg.io": { auth: base64("one:p") } } });
    const credentials = source();
    for (let look = 0; look < 5; look++) {
      expect(await user(credentials)).toBe("one");
      await clock.advance(1_000);
    }
    expect(logged).toEqual(["docker configuration read"]);
  });

  test("that is broken leaves what held before, says so once, and is read again when it is mended", async () => {
    await write({ auths: { "reg.io": { auth: base64("one:p") } } });
    const credentials = source();
    expect(await user(credentials)).toBe("one");
    await write('{"auths":{"reg.io":{"auth":"c3dvcmRmaXNo');
    for (let look = 0; look < 3; look++) {
      await clock.advance(1_000);
      expect(await user(credentials)).toBe("one");
    }
    const problem = `docker config ${configFile()}: it is not a JSON object; mend it, or log in again`;
    expect(credentials.status()).toMatchObject({ state: "failing", reason: problem });
    await write({ auths: { "reg.io": { auth: base64("mended:p") } } });
    await clock.advance(1_000);
    expect(await user(credentials)).toBe("mended");
    expect(credentials.status()).toBeUndefined();
    expect(logged).toEqual(["docker configuration read", problem, "docker configuration read"]);
  });

  test("that goes takes what it said with it", async () => {
    await write({ auths: { "reg.io": { auth: base64("one:p") } } });
    const credentials = source();
    expect(await user(credentials)).toBe("one");
    await rm(configFile());
    await clock.advance(1_000);
    const error = await failureOf(credentials.current("team/app", signal), "DENIED");
    expect(error.message).toBe(`docker config: there is none at ${configFile()}; mend path in providerOpts`);
    await write({ auths: { "reg.io": { auth: base64("again:p") } } });
    await clock.advance(1_000);
    expect(await user(credentials)).toBe("again");
  });

  test.each([
    ["is a folder", (path: string) => mkdir(path)],
    ["is larger than a MiB", (path: string) => writeFile(path, " ".repeat((1 << 20) + 1))],
    ["is a pipe that nobody writes into", (path: string) => runProcess("mkfifo", [path])],
  ])("that %s is refused in words", async (_what, make) => {
    await make(configFile());
    const error = await failureOf(source().current("team/app", signal), "DENIED");
    expect(error.message).toBe(`docker config ${configFile()}: it is no file of at most 1 MiB; mend it, or log in again`);
  });

  test("whose entry is broken is named with it", async () => {
    await write({ auths: { "reg.io": { auth: "swordfish" } } });
    const error = await failureOf(source().current("team/app", signal), "DENIED");
    expect(error.message).toBe(`docker config ${configFile()}: of "reg.io" the auth is not base64 of user:password; log in again`);
  });

  test("whose entry is broken is told of once, and stands as failing until it is mended", async () => {
    const good = { auth: base64("one:p") };
    await write({ auths: { "reg.io/team": { auth: "swordfish" }, "reg.io": good } });
    const credentials = source();
    expect(await user(credentials, "other/app")).toBe("one");
    const problem = `docker config ${configFile()}: of "reg.io/team" the auth is not base64 of user:password; log in again`;
    expect(credentials.status()).toEqual({ description: "docker config", state: "failing", reason: problem });
    await failureOf(credentials.current("team/app", signal), "DENIED");
    await write({ auths: { "reg.io": good } });
    await clock.advance(1_000);
    expect(await user(credentials)).toBe("one");
    expect(credentials.status()).toBeUndefined();
    expect(logged).toEqual(["docker configuration read", problem, "docker configuration read"]);
  });

  test("is looked for where docker keeps it, then where podman does", async () => {
    const places = [
      ["one", { DOCKER_CONFIG: join(folder.path, "docker") }, join(folder.path, "docker", "config.json")],
      ["two", { HOME: join(folder.path, "home") }, join(folder.path, "home", ".docker", "config.json")],
      ["three", { REGISTRY_AUTH_FILE: join(folder.path, "podman.json") }, join(folder.path, "podman.json")],
      ["four", { XDG_RUNTIME_DIR: join(folder.path, "run") }, join(folder.path, "run", "containers", "auth.json")],
    ] as const;
    const environment = Object.assign({}, ...places.map(([, variables]) => variables)) as Record<string, string>;
    for (const [name, , path] of places.toReversed()) {
      await mkdir(join(path, ".."), { recursive: true });
      await write({ auths: { "reg.io": { auth: base64(`${name}:p`) } } }, path);
      expect(await user(source({ path: undefined, environment }))).toBe(name);
    }
    const nowhere = await failureOf(source({ path: undefined, environment: { HOME: join(folder.path, "elsewhere") } }).current("a", signal), "DENIED");
    expect(nowhere.message).toBe(
      `docker config: there is none at ${folder.path}/elsewhere/.docker/config.json; log in with docker or podman, or name the file by path in providerOpts`,
    );
  });

  test("renews a refused credential by what it says now", async () => {
    await write({ auths: { "reg.io": { auth: base64("one:p") } } });
    const credentials = source();
    const refused = await credentials.current("team/app", signal);
    if (!refused) throw new Error("no credential");
    await clock.advance(1_000);
    expect(await credentials.renew(refused, "team/app", signal)).toBe(false);
    await write({ auths: { "reg.io": { auth: base64("another:p") } } });
    await clock.advance(1_000);
    expect(await credentials.renew(refused, "team/app", signal)).toBe(true);
    await rm(configFile());
    await clock.advance(1_000);
    expect(await credentials.renew(refused, "team/app", signal)).toBe(false);
  });

  describe("that names helpers", () => {
    const answer = (name: string): string => `echo '{"Username":"${name}","Secret":"p"}'`;
    const none = "echo 'credentials not found in native keychain'; exit 1";
    const environment = (): Record<string, string> => ({ PATH: `${folder.path}:${process.env["PATH"] ?? ""}` });

    test("has the registry's own asked before the store for all, and that before its entries", async () => {
      const own = await writeCredentialProgram(folder.path, "docker-credential-own", answer("own"));
      const store = await writeCredentialProgram(folder.path, "docker-credential-store", answer("store"));
      const auths = named("reg.io", "reg.io/team");
      await write({ auths, credsStore: "store", credHelpers: { "https://reg.io": "own", "other.io": "nobody" } });
      expect(await user(source({ environment: environment() }))).toBe("own");
      await write({ auths, credsStore: "store", credHelpers: { "other.io": "nobody" } });
      expect(await user(source({ environment: environment() }))).toBe("store");
      expect([await own.runs(), await store.runs()]).toEqual([["get reg.io"], ["get reg.io"]]);
    });

    test("falls back to its entries where the store has nothing; a helper of the registry's own has the last word", async () => {
      await writeCredentialProgram(folder.path, "docker-credential-empty", none);
      await write({ auths: named("reg.io"), credsStore: "empty" });
      expect(await user(source({ environment: environment() }))).toBe("reg.io");
      await write({ auths: named("reg.io"), credHelpers: { "reg.io": "empty" } });
      expect(await user(source({ environment: environment() }))).toBeUndefined();
    });

    test("has them asked once for many requests, and again every ten minutes", async () => {
      const store = await writeCredentialProgram(folder.path, "docker-credential-store", answer("store"));
      await write({ credsStore: "store" });
      const credentials = source({ environment: environment() });
      expect(await Promise.all(Array.from({ length: 50 }, () => user(credentials)))).toEqual(Array.from({ length: 50 }, () => "store"));
      expect(credentials.status()).toMatchObject({ state: "held" });
      await clock.advance(8.9 * 60_000);
      expect(await store.runs()).toHaveLength(1);
      // A jump wakes no timer: else those that limit the run would have their time with it.
      clock.jump(1.1 * 60_000);
      expect(await user(credentials)).toBe("store");
      await store.ran(2);
      credentials.close();
    });

    test("has one asked no more that it does not name any more", async () => {
      const first = await writeCredentialProgram(folder.path, "docker-credential-first", answer("first"));
      await writeCredentialProgram(folder.path, "docker-credential-second", answer("second"));
      await write({ credsStore: "first" });
      const credentials = source({ environment: environment() });
      expect(await user(credentials)).toBe("first");
      await write({ credsStore: "second" });
      await clock.advance(1_000);
      expect(await user(credentials)).toBe("second");
      await clock.advance(60 * 60_000);
      expect(await first.runs()).toEqual(["get reg.io"]);
      credentials.close();
      // A helper that was just being asked is still to be heard to its end.
      await expect.poll(() => clock.waiting).toBe(0);
    });

    test("and one that is none says which it was looking for", async () => {
      await write({ credsStore: "../../evil" });
      const refused = await failureOf(source({ environment: environment() }).current("team/app", signal), "DENIED");
      expect(refused.message).toMatch(/a credential helper is named by small letters/);
      await write({ credsStore: "nowhere" });
      const missing = await failureOf(source({ environment: environment() }).current("team/app", signal), "DENIED");
      expect(missing.message).toMatch(/^docker-credential-nowhere for reg\.io: there is no such program/);
    });
  });
});

describe("pulling with", () => {
  test("docker's configuration asks the token service as the user that it names for the repository", async () => {
    await using folder = await temporaryFolder();
    await using fake = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    fake.authentication = { kind: "bearer", tokens };
    fake.putImage("team/app", "latest");
    fake.putImage("other/app", "latest");
    tokens.users.set("robot", "for the team").set("all", "for the rest");
    const path = join(folder.path, "config.json");
    const auths = { [`${fake.host}/team`]: { auth: base64("robot:for the team") }, [`http://${fake.host}/v2/`]: { auth: base64("all:for the rest") } };
    await writeFile(path, JSON.stringify({ auths }));
    await using upstreams = startUpstreams([listedAs(fake, { auth: { credential: { kind: "docker-config", path }, realmHosts: [tokens.host] } })]);
    await upstreams.getManifest(repositoryAt(fake.host, "team/app"), reference(), call());
    await upstreams.getManifest(repositoryAt(fake.host, "other/app"), reference(), call());
    const line = (name: string): string => `GET /v2/${name}/manifests/latest`;
    expect(fake.requests).toEqual([line("team/app"), line("team/app"), line("other/app")]);
    const users = tokens.log.map(({ headers }) => Buffer.from((headers.authorization ?? "").replace("Basic ", ""), "base64").toString());
    expect(users).toEqual(["robot:for the team", "all:for the rest"]);
  });
});

test("a client hears that the file is of no use, and not where it is", async () => {
  await using folder = await temporaryFolder();
  await using fake = await startFakeUpstream();
  fake.putImage("team/app", "latest");
  const path = join(folder.path, "config.json");
  await writeFile(path, JSON.stringify({ auths: { [fake.host]: { auth: "swordfish" } } }));
  await using upstreams = startUpstreams([listedAs(fake, { auth: { credential: { kind: "docker-config", path } } })]);
  const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "DENIED");
  expect(error.message).toBe(`the credential for ${fake.host} cannot be had now: what is wrong with it stands in the log of this server`);
  expect(fake.requests).toEqual([]);
});

describe.runIf(requirePrograms("skopeo"))("skopeo", () => {
  test("finds the same user in the same file", async () => {
    await using folder = await temporaryFolder();
    const auths = named("quay.io", "quay.io/team", "quay.io/team/app", "https://index.docker.io/v1/", "http://old.io/v2/", "ported.io:5000", "other.io/team");
    const file = join(folder.path, "auth.json");
    await writeFile(file, JSON.stringify({ auths }));
    const byPath = "quay.io/app quay.io/team quay.io/teamx quay.io/team/web quay.io/team/app/debug other.io/team/app other.io/app";
    const byHost = "docker.io/library/alpine old.io/app ported.io:5000/app ported.io/app ported.io:5001/app quay.io:8443/app";
    const images = `${byPath} ${byHost}`.split(" ");
    for (const image of images) {
      const { code, stdout } = await runProcess("skopeo", ["login", "--get-login", "--authfile", file, image]);
      const [, host = "", name = ""] = /^([^/]+)\/(.*)$/.exec(image) ?? [];
      expect([image, userOf(auths, host, name)]).toEqual([image, code === 0 ? stdout.trim() : undefined]);
    }
  });

  test("logs in to a registry and to a part of it, and both are what we pull with", async () => {
    await using folder = await temporaryFolder();
    await using fake = await startFakeUpstream();
    fake.authentication = { kind: "basic", name: "robot", password: "pa:ss wörd" };
    fake.putImage("team/app", "latest");
    const path = join(folder.path, "auth.json");
    for (const place of [fake.host, `${fake.host}/team`]) {
      await writeFile(path, "{}");
      const login = ["login", "--tls-verify=false", "--authfile", path, "-u", "robot", "-p", "pa:ss wörd", place];
      expect(await runProcess("skopeo", login)).toMatchObject({ code: 0 });
      expect(await readFile(path, "utf8")).toContain(`"${place}"`);
      await using upstreams = startUpstreams([listedAs(fake, { auth: { credential: { kind: "docker-config", path } } })]);
      fake.log.length = 0;
      await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
      expect(fake.requests).toEqual(["GET /v2/team/app/manifests/latest", "GET /v2/team/app/manifests/latest"]);
    }
  });
});
