/** The kubelet's credential provider plugins: what they are asked, for what and how long an answer is good, and what their failures cost. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { parseRegistryHost } from "../../src/oci/repository.ts";
import { bySpecificity, matchesImage, parseImagePattern } from "../../src/upstream/image-pattern.ts";
import { parseGoDuration, parseKubeletAnswer } from "../../src/upstream/kubelet-answer.ts";
import { KubeletCredentials, type KubeletCredentialsOptions } from "../../src/upstream/kubelet-credentials.ts";
import { Turns } from "../../src/upstream/turns.ts";
import { pidsIn, survivors, writeCredentialProgram, type CredentialProgram } from "../support/credential-programs.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

const apiVersion = "credentialprovider.kubelet.k8s.io/v1";
const { signal } = new AbortController();

function matches(pattern: string, image: string): boolean {
  const parsed = parseImagePattern(pattern);
  return parsed !== undefined && matchesImage(parsed, image);
}

describe("a pattern", () => {
  test.each([
    ["reg.io", "reg.io/app"],
    ["*.dkr.ecr.*.amazonaws.com", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/app"],
    ["app*.reg.io", "app7.reg.io/x"],
    ["a?p.reg.io", "app.reg.io/x"],
    ["*a*b*.reg.io", "xxaxxbxx.reg.io/x"],
    ["**.reg.io", "x.reg.io/x"],
    ["reg.io/team", "reg.io/team"],
    ["reg.io/team/", "reg.io/team/app"],
    ["reg.io:5000/team", "reg.io:5000/team/app"],
    ["https://reg.io", "reg.io/app"],
    ["REG.io", "reg.io/app"],
    ["127.0.0.1:5000", "127.0.0.1:5000/app"],
    ["[::1]:5000", "[::1]:5000/app"],
  ])("%s is for %s", (pattern, image) => {
    expect(matches(pattern, image)).toBe(true);
  });

  test.each([
    ["*.reg.io", "a.b.reg.io/app"],
    ["*.reg.io", "reg.io/app"],
    ["*", "reg.io/app"],
    ["*.reg.io", "x.evil.io/app"],
    ["reg.io/team", "reg.io/teamx"],
    ["reg.io/team/app", "reg.io/team"],
    ["reg.io/*", "reg.io/team"],
    ["reg.io", "reg.io:5000/app"],
    ["reg.io:5000", "reg.io/app"],
    ["reg.io:443", "reg.io/app"],
    ["a?p.reg.io", "ap.reg.io/x"],
    ["*a.reg.io", "ab.reg.io/x"],
    ["[::1]:5000", "[::2]:5000/app"],
    ["", "reg.io/app"],
  ])("%s is not for %s", (pattern, image) => {
    expect(matches(pattern, image)).toBe(false);
  });

  test("goes before others by its path, then by what of the host it writes out", () => {
    const texts = ["*.io", "*.reg.io", "a.reg.io", "*.reg.io/team", "*.reg.io/team/app"];
    const patterns = texts.flatMap((text) => parseImagePattern(text) ?? []);
    expect(patterns.toSorted(bySpecificity).map(({ text }) => text)).toEqual(texts.toReversed());
  });

  test("takes no long time to match, whatever its stars", () => {
    const startMs = performance.now();
    expect(matches(`${"*a".repeat(200)}b`, `${"a".repeat(10_000)}/app`)).toBe(false);
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });
});

test.each([
  ["12h0m0s", 43_200_000],
  ["1h30m", 5_400_000],
  ["1.5h", 5_400_000],
  ["90s", 90_000],
  ["250ms", 250],
  ["0s", 0],
  ["0", 0],
  ["-5m", 0],
  ["", undefined],
  ["5", undefined],
  ["1d", undefined],
  ["1h 5m", undefined],
  ["1h".repeat(9), undefined],
])("the duration %j lasts %j ms", (text, ms) => {
  expect(parseGoDuration(text)).toBe(ms);
});

describe("an answer", () => {
  const good = {
    kind: "CredentialProviderResponse",
    apiVersion,
    cacheKeyType: "Registry",
    cacheDuration: "1h",
    auth: { "reg.io": { username: "u", password: "swordfish" } },
  };
  const parse = (json: unknown) => parseKubeletAnswer(Buffer.from(typeof json === "string" ? json : JSON.stringify(json)), "plugin");

  test("shows its passwords to nobody who prints it", () => {
    const answer = parse(good);
    expect(answer).toMatchObject({ scope: "registry", durationMs: 3_600_000, credentials: [{ user: "u" }] });
    expect(inspect(answer, { depth: 10, showHidden: true }) + JSON.stringify(answer)).not.toContain("swordfish");
  });

  test.each([
    ["no JSON", "swordfish", "it is no JSON object"],
    ["of another version", { ...good, apiVersion: "credentialprovider.kubelet.k8s.io/v1alpha1" }, `it is no CredentialProviderResponse of ${apiVersion}`],
    ["of another kind", { ...good, kind: "swordfish" }, `it is no CredentialProviderResponse of ${apiVersion}`],
    ["for nobody knows what", { ...good, cacheKeyType: "constructor" }, "its cacheKeyType is none of Image, Registry and Global"],
    ["for nobody knows how long", { ...good, cacheDuration: "swordfish" }, "its cacheDuration is no duration like 1h30m"],
    ["for a number of seconds", { ...good, cacheDuration: 3600 }, "its cacheDuration is no duration like 1h30m"],
    ["without a password", { ...good, auth: { "reg.io": { username: "swordfish" } } }, "an entry of its auth is not of the form pattern: {username, password}"],
    ["for no pattern", { ...good, auth: { "a b": { username: "u", password: "swordfish" } } }, "an entry of its auth is not"],
    [
      "of a thousand and one",
      { ...good, auth: Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`r${at}.io`, {}])) },
      "it has more than 1000 credentials",
    ],
  ])("that is %s is refused in words that show nothing of it", (_what, json, why) => {
    let thrown: unknown;
    try {
      parse(json);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "DENIED", message: expect.stringContaining(`plugin: what it answered cannot be used: ${why}`) });
    expect(inspect(thrown, { depth: 5 })).not.toContain("swordfish");
  });

  test.each([[{ ...good, auth: {} }], [{ ...good, auth: null }], [{ ...good, auth: undefined, cacheDuration: null }]])("may hold nothing: %j", (json) => {
    expect(parse(json).credentials).toEqual([]);
  });
});

describe("a plugin", () => {
  let folder: TemporaryFolder;
  let clock: TestClock;
  beforeEach(async () => {
    folder = await temporaryFolder();
    clock = new TestClock();
  });
  afterEach(() => folder[Symbol.asyncDispose]());

  /** A plugin that answers what stands in the file `answer`. */
  async function plugin(answer: unknown, before = ""): Promise<CredentialProgram> {
    await answers(answer);
    return writeCredentialProgram(folder.path, "plugin", `${before}\ncat '${folder.path}/answer'`);
  }

  function answers(answer: unknown): Promise<void> {
    const response = { kind: "CredentialProviderResponse", apiVersion, ...(answer as object) };
    return writeFile(join(folder.path, "answer"), typeof answer === "string" ? answer : JSON.stringify(response));
  }

  function source({ path }: CredentialProgram, options: Partial<KubeletCredentialsOptions> = {}): KubeletCredentials {
    const common = { clock, log: silentLog, background: new Background(silentLog) };
    return new KubeletCredentials({ host: parseRegistryHost("reg.io"), command: path, args: [], ...common, ...options });
  }

  async function user(of: KubeletCredentials, name = "team/app"): Promise<string | undefined> {
    const credential = await of.current(name, signal);
    return credential?.kind === "basic" ? `${credential.user}:${credential.password}` : undefined;
  }

  function auth(name: string, pattern = "reg.io"): unknown {
    return { [pattern]: { username: name, password: "p" } };
  }

  const image = (name: string): string => `{"kind":"CredentialProviderRequest","apiVersion":"${apiVersion}","image":"reg.io/${name}"}`;

  test("is asked for the image as the kubelet asks, with its own arguments, and gives what is for it", async () => {
    const program = await plugin({
      cacheKeyType: "Registry",
      cacheDuration: "1h",
      auth: { ...(auth("all") as object), ...(auth("team", "reg.io/team") as object) },
    });
    const credentials = source(program, { args: ["get-credentials", "--v=3"] });
    expect(await user(credentials)).toBe("team:p");
    expect(await user(credentials, "other/app")).toBe("all:p");
    expect(await program.runs()).toEqual([`get-credentials --v=3 ${image("team/app")}`]);
    expect(credentials.status()).toMatchObject({ state: "held" });
  });

  test("that has nothing for an image makes us ask as anybody", async () => {
    const program = await plugin({
      cacheKeyType: "Registry",
      cacheDuration: "1h",
      auth: { ...(auth("x", "other.io") as object), "reg.io/empty": { username: "", password: "" } },
    });
    const credentials = source(program);
    expect([await user(credentials), await user(credentials, "empty")]).toEqual([undefined, undefined]);
    expect(await program.runs()).toHaveLength(1);
  });

  test.each(["Registry", "Global"])("whose answers are for more (%s) runs once for 200 pulls of 20 repositories", async (cacheKeyType) => {
    const program = await plugin({ cacheKeyType, cacheDuration: "1h", auth: auth("all") });
    const credentials = source(program);
    const users = await Promise.all(Array.from({ length: 200 }, (_, at) => user(credentials, `team/app-${at % 20}`)));
    expect(new Set(users)).toEqual(new Set(["all:p"]));
    expect(await program.runs()).toHaveLength(1);
  });

  test("whose answers are for one image runs once for each, four at a time", async () => {
    const program = await plugin(
      { cacheKeyType: "Image", cacheDuration: "1h", auth: auth("one") },
      `echo + >>'${folder.path}/crowd'; sleep 0.05; echo - >>'${folder.path}/crowd'`,
    );
    const credentials = source(program);
    await Promise.all(Array.from({ length: 200 }, (_, at) => user(credentials, `team/app-${at % 20}`)));
    expect((await program.runs()).toSorted()).toEqual(Array.from({ length: 20 }, (_, at) => ` ${image(`team/app-${at}`)}`).toSorted());
    const moves = (await readFile(join(folder.path, "crowd"), "utf8")).trim().split("\n");
    const crowds = moves.map((_, at) => moves.slice(0, at + 1).reduce((sum, move) => sum + (move === "+" ? 1 : -1), 0));
    expect(Math.max(...crowds)).toBe(4);
  });

  test("is asked again when its answer's time is over, and not before", async () => {
    const program = await plugin({ cacheKeyType: "Image", cacheDuration: "10m", auth: auth("one") });
    const credentials = source(program);
    expect(await user(credentials)).toBe("one:p");
    await clock.advance(7 * 60_000);
    expect(await user(credentials)).toBe("one:p");
    expect(await program.runs()).toHaveLength(1);
    await answers({ cacheKeyType: "Image", cacheDuration: "10m", auth: auth("another") });
    await clock.advance(3 * 60_000);
    expect(await user(credentials)).toBe("another:p");
    expect(await program.runs()).toHaveLength(2);
  });

  test("is asked again behind the scenes once most of the time is over", async () => {
    const program = await plugin({ cacheKeyType: "Registry", cacheDuration: "10m", auth: auth("one") });
    const credentials = source(program);
    const first = await credentials.current("team/app", signal);
    await answers({ cacheKeyType: "Registry", cacheDuration: "10m", auth: auth("another") });
    await clock.advance(8 * 60_000);
    expect([await credentials.current("team/app", signal), await user(credentials)]).toEqual([first, "one:p"]);
    await program.ran(2);
    if (!first) throw new Error("no credential");
    // Shares the run that is under way, or finds what it brought.
    expect(await credentials.renew(first, "team/app", signal)).toBe(true);
    expect(await user(credentials)).toBe("another:p");
    expect(await program.runs()).toHaveLength(2);
  });

  test("whose answer is for this once is asked each time; who asks meanwhile shares it", async () => {
    const program = await plugin({ cacheKeyType: "Registry", cacheDuration: "0s", auth: auth("one") });
    const credentials = source(program);
    await Promise.all([user(credentials), user(credentials), user(credentials, "other/app")]);
    expect(await program.runs()).toHaveLength(1);
    expect(await user(credentials)).toBe("one:p");
    expect(await program.runs()).toHaveLength(2);
  });

  test.each([
    ["ten minutes when it does not say", undefined, undefined, 600_000],
    ["as long as is configured when it does not say", undefined, 60_000, 60_000],
    ["no longer than is configured", "1h", 60_000, 60_000],
    ["as long as it says when more is configured", "1m", 3_600_000, 60_000],
  ])("gives answers that are kept %s", async (_what, cacheDuration, expiryMs, keptMs) => {
    const program = await plugin({ cacheKeyType: "Image", cacheDuration, auth: auth("one") });
    const credentials = source(program, { expiryMs });
    await user(credentials);
    await clock.advance(keptMs * 0.79);
    await user(credentials);
    expect(await program.runs()).toHaveLength(1);
    await clock.advance(keptMs * 0.21);
    await user(credentials);
    expect(await program.runs()).toHaveLength(2);
  });

  test("that a machine slept through is asked again, though no timer has moved", async () => {
    const program = await plugin({ cacheKeyType: "Image", cacheDuration: "1h", auth: auth("one") });
    const credentials = source(program);
    await user(credentials);
    await answers({ cacheKeyType: "Image", cacheDuration: "1h", auth: auth("another") });
    clock.jump(24 * 3_600_000);
    expect(await user(credentials)).toBe("another:p");
  });

  test("that fails is asked again after five seconds, then ten, and tells why meanwhile", async () => {
    const program = await writeCredentialProgram(folder.path, "plugin", "echo 's3cret: no such host' >&2; exit 7");
    const credentials = source(program);
    const first = await failureOf(credentials.current("team/app", signal), "UPSTREAM_UNAVAILABLE");
    expect(first.message).toBe(
      `${program.path} for reg.io/team/app: exit code 7, and "no such host" in what it said; to see all of it: echo '${image("team/app")}' | ${program.path}`,
    );
    expect(credentials.status()).toMatchObject({ state: "failing", reason: first.message });
    expect(await failureOf(credentials.current("team/app", signal))).toBe(first);
    await clock.advance(4_999);
    await failureOf(credentials.current("team/app", signal));
    expect(await program.runs()).toHaveLength(1);
    await clock.advance(1);
    await Promise.all(Array.from({ length: 10 }, () => failureOf(credentials.current("team/app", signal))));
    expect(await program.runs()).toHaveLength(2);
    await clock.advance(9_999);
    await failureOf(credentials.current("team/app", signal));
    expect(await program.runs()).toHaveLength(2);
    await plugin({ cacheKeyType: "Registry", cacheDuration: "1h", auth: auth("one") });
    await clock.advance(1);
    expect(await user(credentials)).toBe("one:p");
    expect(credentials.status()).toMatchObject({ state: "held" });
  });

  test("that fails while its answer is renewed leaves it, up to its end and no longer", async () => {
    const program = await plugin({ cacheKeyType: "Registry", cacheDuration: "10m", auth: auth("one") });
    const credentials = source(program);
    const held = await credentials.current("team/app", signal);
    if (!held) throw new Error("no credential");
    await writeCredentialProgram(folder.path, "plugin", "exit 1");
    await clock.advance(8 * 60_000);
    expect(await user(credentials)).toBe("one:p");
    await program.ran(2);
    expect(await credentials.renew(held, "team/app", signal)).toBe(false);
    await clock.advance(2 * 60_000 - 1);
    expect(await user(credentials)).toBe("one:p");
    await clock.advance(1);
    await failureOf(credentials.current("team/app", signal), "UPSTREAM_UNAVAILABLE");
  });

  test("is asked at once for what the registry refused, every thirty seconds at most", async () => {
    const program = await plugin({ cacheKeyType: "Registry", cacheDuration: "1h", auth: auth("one") });
    const credentials = source(program);
    const refused = await credentials.current("team/app", signal);
    if (!refused) throw new Error("no credential");
    expect(await credentials.renew(refused, "team/app", signal)).toBe(false);
    await answers({ cacheKeyType: "Registry", cacheDuration: "1h", auth: auth("another") });
    await clock.advance(29_999);
    expect(await credentials.renew(refused, "team/app", signal)).toBe(false);
    expect(await program.runs()).toHaveLength(2);
    await clock.advance(1);
    expect(await Promise.all([1, 2, 3].map(() => credentials.renew(refused, "team/app", signal)))).toEqual([true, true, true]);
    expect(await user(credentials)).toBe("another:p");
    expect(await program.runs()).toHaveLength(3);
  });

  test("that hangs is killed when nobody will ask any more", async () => {
    const pids = join(folder.path, "pids");
    const credentials = source(await plugin({}, `echo $$ >'${pids}'; exec sleep 1000`));
    const asked = failureOf(credentials.current("team/app", signal), "OVERLOADED");
    const started = await pidsIn(pids, 1);
    credentials.close();
    await asked;
    expect(await survivors(started)).toEqual([]);
    expect(credentials.status()).toBeUndefined();
  });

  test("that hangs keeps nobody who leaves, and is killed after ten seconds for those who stay", async () => {
    const pids = join(folder.path, "pids");
    const credentials = source(await plugin({}, `echo $$ >'${pids}'; exec sleep 1000`));
    const leaver = new AbortController();
    const left = credentials.current("team/app", leaver.signal);
    const stayed = failureOf(credentials.current("team/app", signal), "UPSTREAM_TIMEOUT");
    const started = await pidsIn(pids, 1);
    leaver.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    await clock.advance(10_000);
    expect((await stayed).message).toMatch(/reg\.io\/team\/app: it did not answer within 10 s, and was killed/);
    expect(await survivors(started)).toEqual([]);
  });

  test("opens each repository of a registry with its own credential", async () => {
    await using fake = await startFakeUpstream();
    fake.authentication = { kind: "basic", name: "team", password: "p" };
    fake.putImage("team/app", "latest");
    fake.putImage("other/app", "latest");
    const patterns = { ...(auth("team", `${fake.host}/team`) as object), ...(auth("nobody", fake.host) as object) };
    const program = await plugin({ cacheKeyType: "Registry", cacheDuration: "1h", auth: patterns });
    const credential = { kind: "exec", protocol: "kubelet", command: program.path, args: [] } as const;
    await using upstreams = startUpstreams([listedAs(fake, { auth: { credential } })]);
    await upstreams.getManifest(repositoryAt(fake.host, "team/app"), reference(), call());
    expect(await failureOf(upstreams.getManifest(repositoryAt(fake.host, "other/app"), reference(), call()), "DENIED")).toMatchObject({ source: "upstream" });
    const shown = fake.log.map(({ line, headers }) => [line, Buffer.from((headers.authorization ?? "").replace("Basic ", ""), "base64").toString()]);
    expect(shown).toEqual([
      ["GET /v2/team/app/manifests/latest", ""],
      ["GET /v2/team/app/manifests/latest", "team:p"],
      ["GET /v2/other/app/manifests/latest", "nobody:p"],
    ]);
  });
});

test("of those who want a turn few have one, some wait, and the rest are told to come back", async () => {
  const turns = new Turns({ runningMax: 2, waitingMax: 1 });
  const { promise, resolve } = Promise.withResolvers<string>();
  const begun: number[] = [];
  const work = (at: number) => () => {
    begun.push(at);
    return promise;
  };
  const taken = [1, 2, 3].map((at) => turns.take(work(at)));
  const refused = await failureOf(turns.take(work(4)), "OVERLOADED");
  expect([begun, refused.retryAfterMs]).toEqual([[1, 2], 1_000]);
  resolve("done");
  expect(await Promise.all(taken)).toEqual(["done", "done", "done"]);
  await expect(turns.take(() => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
  expect(await Promise.all([turns.take(work(5)), turns.take(work(6)), turns.take(work(7))])).toHaveLength(3);
  expect(begun).toEqual([1, 2, 3, 5, 6, 7]);
});
