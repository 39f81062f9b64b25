/**
 * killRecords: a server that is killed at random moments while people sign in and out, and make and revoke keys, all of which are files. What
 * somebody was told holds after the next start; what is left of the rest is whole, or a leftover that the next sweep takes.
 */
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { promisify } from "node:util";
import { FileRecords } from "../../src/auth/file-records.ts";
import { Background } from "../../src/oci/background.ts";
import { silentLog } from "../../src/oci/log.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic } from "../support/guarded-server.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

export interface KilledRecordsOptions {
  readonly rounds: number;
  readonly random: () => number;
  readonly report?: (line: string) => void;
}

export interface KilledRecordsResult {
  /** What somebody was told before a kill: sessions begun and ended, keys made and revoked. */
  readonly told: number;
  /** Rounds in which something was being written when the server died. */
  readonly amid: number;
  /** What somebody was told and does not hold any more. */
  readonly broken: readonly string[];
  /** Files that are neither whole nor leftovers. */
  readonly torn: readonly string[];
  /** Leftovers of all rounds, and those that were there after a sweep two hours later. */
  readonly leftovers: number;
  readonly unswept: readonly string[];
}

const keysPath = "/zot/auth/apikey";
const users = ["alice", "bob", "carol", "dave"];
/** One key of this user is told after the other, each for a while only: nobody has room for more than a hundred. */
const keysKept = 10;
const killAfterMsMin = 100;
const killAfterMsMax = 900;

/** What holds, as far as it was told: `true` for what lets somebody in. */
interface Told {
  readonly sessions: Map<string, boolean>;
  readonly keys: Map<string, { readonly user: string; readonly isGood: boolean }>;
}

export async function killRecords({ rounds, random, report = () => {} }: KilledRecordsOptions): Promise<KilledRecordsResult> {
  await using folder = await temporaryFolder();
  const htpasswd = join(folder.path, "htpasswd");
  const lines = await Promise.all(users.map(async (user) => (await promisify(execFile)("htpasswd", ["-bnBC4", user, `${user}-password`])).stdout.trim()));
  await writeFile(htpasswd, `${lines.join("\n")}\n`);
  const start = (): Promise<OurServer> => startOurServer({ folder: folder.path, config: { auth: { htpasswd: { path: htpasswd }, apikey: true } } });
  const records = join(folder.path, "store", "state", "records");
  const told: Told = { sessions: new Map(), keys: new Map() };
  const broken: string[] = [];
  let [toldCount, amid] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    await using server = await start();
    const seen = told.sessions.size + told.keys.size;
    broken.push(...(await findBroken(server, told)).map((what) => `round ${round}: ${what}`));
    const living = users.map((user) => live(server, user, told));
    await after(killAfterMsMin + random() * (killAfterMsMax - killAfterMsMin));
    await server.process.kill("SIGKILL");
    const unfinished = (await Promise.all(living)).filter((wasCut) => wasCut).length;
    if (unfinished > 0) amid++;
    const now = told.sessions.size + told.keys.size;
    toldCount += now - seen;
    report(`round ${round + 1}: ${now - seen} told, ${unfinished} under way`);
  }
  {
    await using server = await start();
    broken.push(...(await findBroken(server, told)).map((what) => `at the end: ${what}`));
  }
  const left = await filesOf(records);
  const torn = (await Promise.all(left.filter(isNamed).map(async (path) => ((await isWhole(path)) ? [] : [path])))).flat();
  await sweep(records);
  return {
    told: toldCount,
    amid,
    broken,
    torn,
    leftovers: left.filter((path) => !isNamed(path)).length,
    unswept: (await filesOf(records)).filter((path) => !isNamed(path)),
  };
}

/** Somebody who does all that can be done, until nobody answers any more: whether something was under way then. */
async function live({ url }: OurServer, user: string, { sessions, keys }: Told): Promise<boolean> {
  const authorization = basic(user);
  const made: { readonly apiKey: string; readonly uuid: string }[] = [];
  try {
    for (;;) {
      const browser = new CookieBrowser(url);
      const { status } = await browser.submit("/zot/auth/login", { username: user, password: `${user}-password` });
      if (status !== 303) throw new Error(`${user} could not sign in: ${status}`);
      const session = browser.cookies.get("session") ?? "";
      sessions.set(session, true);
      const key = await fetch(url + keysPath, { method: "POST", headers: { authorization }, body: JSON.stringify({ label: "killed" }) });
      if (key.status !== 201) throw new Error(`${user} could not make a key: ${key.status}`);
      const { apiKey, uuid } = (await key.json()) as { apiKey: string; uuid: string }; // Two of its members.
      keys.set(apiKey, { user, isGood: true });
      made.push({ apiKey, uuid });
      const old = made.length > keysKept ? made.shift() : undefined;
      if (old) {
        keys.delete(old.apiKey); // Nobody can say until it is answered.
        const revoked = await fetch(`${url}${keysPath}?id=${old.uuid}`, { method: "DELETE", headers: { authorization } });
        if (revoked.status !== 200) throw new Error(`${user} could not revoke a key: ${revoked.status}`);
        keys.set(old.apiKey, { user, isGood: false });
      }
      if (made.length % 2 === 0) continue;
      sessions.delete(session); // As above.
      const out = await browser.submit("/zot/auth/logout", {});
      if (out.status !== 303) throw new Error(`${user} could not sign out: ${out.status}`);
      sessions.set(session, false);
    }
  } catch (error) {
    if (error instanceof TypeError) return true; // What fetch says when the other side has gone.
    throw error;
  }
}

/** Every session and key of which somebody was told, and that is not as it was told. The older ones make room meanwhile: they count for nothing. */
async function findBroken({ url }: OurServer, { sessions, keys }: Told): Promise<readonly string[]> {
  const broken: string[] = [];
  for (const [value, isGood] of [...sessions].slice(-sessionsAsked)) {
    const browser = new CookieBrowser(url);
    browser.cookies.set("session", value);
    const { status } = await browser.ui("/v2/");
    if ((status === 200) !== isGood) broken.push(`a session that is ${isGood ? "good" : "over"} gets ${status}`);
  }
  for (const [key, { user, isGood }] of [...keys].slice(-sessionsAsked)) {
    const { status } = await fetch(`${url}/v2/`, { headers: { authorization: basic(user, key) } });
    if ((status === 200) !== isGood) broken.push(`a key that is ${isGood ? "good" : "revoked"} gets ${status}`);
  }
  return broken;
}

/** Fewer than a person may have, for all persons together: none of them has made room for another. */
const sessionsAsked = 40;

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function isNamed(path: string): boolean {
  return !(path.split("/").at(-1) ?? "").startsWith(".");
}

async function isWhole(path: string): Promise<boolean> {
  const text = await readFile(path, "utf8");
  try {
    const { until, text: held } = JSON.parse(text) as { until: unknown; text: unknown };
    return typeof until === "number" && typeof held === "string";
  } catch {
    return false; // That is what is being looked for.
  }
}

/** What the next server does by itself, two hours later. */
async function sweep(folder: string): Promise<void> {
  const clock = new TestClock({ startMs: Date.now() + 2 * 3_600_000 });
  for (const kind of await readdir(folder)) {
    await using records = new FileRecords({ folder, clock, background: new Background(silentLog) });
    await records.write([kind, "swept"], "x", { lifeMs: 1 });
  }
}
