/** The disk on which sessions and keys are kept is full, read-only, gone, or hangs: pulls, passwords, and whoever is in already go on, and the log says it once. */
import { execFile } from "node:child_process";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { requirePrograms, requireRoot } from "../support/programs.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const run = promisify(execFile);
const keysPath = "/zot/auth/apikey";
const repositories = Array.from({ length: 8 }, (_, at) => `team/app${at}`);
const alice = { username: "alice", password: "alice-password" };
const canMount = requirePrograms("htpasswd", "mount") && requireRoot();

interface Place extends AsyncDisposable {
  readonly guarded: GuardedServer;
  readonly records: string;
  /** Signed in. */
  readonly browser: CookieBrowser;
  readonly apiKey: string;
}

/** A server whose state lies in `folder`, with somebody who is in by each way. */
async function start(folder: string): Promise<Place> {
  const guarded = await startGuardedServer({
    repositories,
    users: ["alice"],
    config: { statePath: join(folder, "state"), auth: { htpasswd: { path: "HTPASSWD" }, apikey: true } },
  });
  const browser = new CookieBrowser(guarded.server.url);
  expect((await browser.submit("/zot/auth/login", alice)).status).toBe(303);
  const made = await makeKey(guarded);
  const { apiKey } = (await made.json()) as { apiKey: string }; // One of its members.
  expect((await guarded.get("/v2/", { authorization: basic("alice", apiKey) })).status).toBe(200);
  return { guarded, records: join(folder, "state", "records"), browser, apiKey, [Symbol.asyncDispose]: () => guarded[Symbol.asyncDispose]() };
}

function makeKey({ server }: GuardedServer): Promise<Response> {
  return fetch(server.url + keysPath, { method: "POST", headers: { authorization: basic("alice") }, body: JSON.stringify({ label: "x" }) });
}

const manifestOf = (at: number): string => `/v2/${repositories[at % repositories.length] ?? ""}/manifests/1`;

/** What everybody gets: a pull by a password, one with a key, one in a session; and who would sign in, or make a key. */
async function statuses({ guarded, browser, apiKey }: Place, at: number): Promise<readonly number[]> {
  const answers = [
    await guarded.get(manifestOf(at), { user: "alice" }),
    await guarded.get(manifestOf(at), { authorization: basic("alice", apiKey) }),
    await browser.ui(manifestOf(at)),
    await new CookieBrowser(guarded.server.url).submit("/zot/auth/login", alice),
    await makeKey(guarded),
  ];
  await Promise.all(answers.map((answer) => answer.arrayBuffer()));
  return answers.map(({ status }) => status);
}

/** Asks everything for longer than anything is believed: each kind of answer that came. */
async function statusesInTime(place: Place): Promise<readonly (readonly number[])[]> {
  const seen = new Map<string, readonly number[]>();
  const untilMs = performance.now() + 2_500;
  for (let at = 0; performance.now() < untilMs || at < 3; at++) {
    const now = await statuses(place, at);
    seen.set(now.join(), now);
  }
  return [...seen.values()];
}

/** Lines of warnings and errors since there were `from` characters of output. */
function complaints({ guarded }: Place, from: number): readonly string[] {
  return guarded.server.process.output
    .slice(from)
    .split("\n")
    .filter((line) => /"level":"(warn|error)"/.test(line));
}

test.runIf(canMount).each<[string, string, (disk: SmallDisk) => Promise<void>, (disk: SmallDisk) => Promise<void>]>([
  ["full", "ENOSPC", (disk) => disk.fill(0), (disk) => disk.relieve()],
  ["out of files", "ENOSPC", (disk) => disk.useUpFiles(), (disk) => disk.relieve()],
  ["read-only", "EROFS", (disk) => disk.setWritable(false), (disk) => disk.setWritable(true)],
])(
  "a disk that is %s: whoever is in goes on, nobody comes in, and when that is over all is as before",
  async (_, code, spoil, cure) => {
    await using disk = await mountSmallDisk(8 << 20, { filesMax: 500 });
    await using place = await start(disk.path);
    const from = place.guarded.server.process.output.length;
    await spoil(disk);
    expect(await statusesInTime(place)).toEqual([[200, 200, 200, 503, 503]]);
    const told = complaints(place, from);
    expect(told).toEqual([expect.stringMatching(new RegExp(`${code}.*sessions and keys cannot be written: nobody signs in, and no key is made`))]);
    await cure(disk);
    expect(await statuses(place, 0)).toEqual([200, 200, 200, 303, 201]);
    await place.guarded.server.process.waitForOutput(/sessions and keys are written again/);
  },
  60_000,
);

test.runIf(requirePrograms("htpasswd"))("records that cannot be read: nobody can tell whose a session or a key is, and passwords go on", async () => {
  await using folder = await temporaryFolder();
  await using place = await start(folder.path);
  const from = place.guarded.server.process.output.length;
  const away = `${place.records}.away`;
  await rename(place.records, away);
  await writeFile(place.records, "a file where a folder should be");
  // Until what was read a second ago is believed no more.
  await expect.poll(async () => (await place.browser.ui(manifestOf(0))).status, { timeout: 10_000 }).toBe(503);
  await expect.poll(async () => (await place.guarded.get("/v2/", { authorization: basic("alice", place.apiKey) })).status, { timeout: 10_000 }).toBe(503);
  expect(await statusesInTime(place)).toEqual([[200, 503, 503, 503, 503]]);
  const page = await place.browser.ask("/home", { headers: { accept: "text/html" } });
  expect([page.status, page.headers.get("content-type")]).toEqual([503, "text/html; charset=utf-8"]);
  // A use may have been to be noted as well.
  const told = complaints(place, from).filter((line) => !line.includes("sessions and keys cannot be written"));
  expect(told).toEqual([expect.stringMatching(/ENOTDIR.*sessions and keys cannot be read: nobody can tell whose they are/)]);
  await rm(place.records);
  await rename(away, place.records);
  expect(await statuses(place, 0)).toEqual([200, 200, 200, 303, 201]);
});

test.runIf(requirePrograms("htpasswd", "mkfifo"))(
  "a disk that hangs at a session: whoever has that one waits ten seconds and no more, a crowd of them takes nothing from pulls",
  async () => {
    await using folder = await temporaryFolder();
    await using place = await start(folder.path);
    const { guarded, browser } = place;
    const [userKey = ""] = (browser.cookies.get("session") ?? "").split(".");
    const listed = (await (await guarded.get("/zot/auth/sessions", { user: "alice" })).json()) as { sessions: { id: string }[] }; // One of its members.
    const file = join(place.records, "sessions", userKey, listed.sessions[0]?.id ?? "");
    // Opening it waits for somebody who writes, who never comes.
    await rm(file);
    await run("mkfifo", [file]);
    const beganMs = performance.now();
    // What was read a second ago is believed; more ask than there are threads for files.
    const hung = Array.from({ length: 60 }, async (_, at) => {
      await expect.poll(() => performance.now() - beganMs > 1_200 + at * 10, { timeout: 5_000 }).toBe(true);
      const { status } = await browser.ui(manifestOf(0));
      return { status, ms: performance.now() - beganMs };
    });
    let pulls = 0;
    let slowestMs = 0;
    while (performance.now() - beganMs < 9_000) {
      const askedMs = performance.now();
      expect((await guarded.get(manifestOf(pulls++), { user: "alice" })).status).toBe(200);
      slowestMs = Math.max(slowestMs, performance.now() - askedMs);
    }
    const answers = await Promise.all(hung);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(15_000);
    expect(slowestMs).toBeLessThan(2_000);
    expect(pulls).toBeGreaterThan(20);
    // From now on nobody waits.
    const askedMs = performance.now();
    expect((await browser.ui(manifestOf(0))).status).toBe(503);
    expect(performance.now() - askedMs).toBeLessThan(2_000);
    await guarded.server.process.kill("SIGKILL");
  },
  60_000,
);
