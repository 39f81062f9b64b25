/** What pages cost: how soon they come with very many repositories, and what pulls lose by people who watch. */
import { get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { basic, startGuardedServer } from "../support/guarded-server.ts";
import { startOurServer } from "../support/our-server.ts";
import { plantNames } from "../support/planted-names.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface PageTimes {
  /** Milliseconds to the first byte, each time. */
  readonly repositories: readonly number[];
  readonly lastUsedFirst: readonly number[];
  readonly search: readonly number[];
  /** Of a search that finds nothing: everything is looked at. */
  readonly searchInVain: readonly number[];
  /** From the first look after a start until all names are known, and what that look itself took. */
  readonly surveyMs: number;
  readonly firstLookMs: number;
  /** How much more memory the process has than before anybody looked. */
  readonly grownBytes: number;
}

/** Looks at the pages of a store with so many repositories, `times` times each; as somebody who may see all, or a tenth of them. */
export async function timePages({ repositories, times, sees }: { repositories: number; times: number; sees: "all" | "a tenth" }): Promise<PageTimes> {
  const rules = { repositories: { "a.example/team-7/**": { policies: [{ users: ["alice"], actions: ["read"] }] } } };
  await using guarded = await startGuardedServer({
    users: ["alice"],
    config: { logLevel: "info", ...(sees === "all" ? {} : { auth: { htpasswd: { path: "HTPASSWD" } }, accessControl: rules }) },
  });
  const { server } = guarded;
  plantNames(server.imagePath, { host: "a.example", repositories, tags: 1 });
  const headers: Readonly<Record<string, string>> = sees === "all" ? {} : { authorization: basic("alice") };
  const ask = (path: string): Promise<Asked> => askFor(`${server.url}${path}`, headers);
  const beforeBytes = await server.process.residentBytes();
  const startMs = performance.now();
  const first = await ask("/home/repositories");
  while ((await ask("/home/repositories?part=results")).text.includes("found so far")) await pause(100);
  const surveyMs = performance.now() - startMs;
  const timesOf = async (path: (time: number) => string): Promise<readonly number[]> => {
    const all: number[] = [];
    for (let time = 0; time < times; time++) all.push((await ask(path(time))).firstByteMs);
    return all;
  };
  return {
    firstLookMs: first.firstByteMs,
    surveyMs,
    repositories: await timesOf(() => "/home/repositories"),
    lastUsedFirst: await timesOf(() => "/home/repositories?sort=used"),
    search: await timesOf((time) => `/home/repositories?part=results&q=app-${time}7`),
    searchInVain: await timesOf((time) => `/home/repositories?part=results&q=nothing-${time}`),
    grownBytes: (await server.process.residentBytes()) - beforeBytes,
  };
}

/** Measures a held manifest with so many people watching the overview and with none, in turn. */
export async function compareWatched({
  rounds,
  watchers,
  measure,
}: {
  rounds: number;
  watchers: number;
  measure: (url: string) => Promise<number>;
}): Promise<{ readonly alone: readonly number[]; readonly watched: readonly number[]; readonly looks: number }> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1");
  const logFile = `${folder.path}/log`; // As people run it: a pipe that a test reads would be measured too.
  await using server = await startOurServer({
    folder: folder.path,
    config: { logFile, tagTtl: "1h", registries: [{ name: upstream.host, scheme: "http", aliases: ["fake"] }] },
  });
  const url = `${server.url}/v2/fake/team/app/manifests/1`;
  await measure(url);
  let looks = 0;
  const [alone, watched] = [new Array<number>(), new Array<number>()];
  for (let round = 0; round < rounds; round++) {
    const kinds = round % 2 === 0 ? (["alone", "watched"] as const) : (["watched", "alone"] as const);
    for (const kind of kinds) {
      const leaving = new AbortController();
      const watching =
        kind === "alone" ? [] : Array.from({ length: watchers }, () => watch(`${server.url}/home?part=live`, leaving.signal, () => (looks += 1)));
      (kind === "alone" ? alone : watched).push(await measure(url));
      leaving.abort();
      await Promise.all(watching);
    }
  }
  return { alone, watched, looks };
}

/** As the pages' script does: again two seconds after each answer; not all at the same moment. */
async function watch(url: string, signal: AbortSignal, onLook: () => void): Promise<void> {
  try {
    await pause(Math.random() * 2_000, undefined, { signal });
    for (;;) {
      await askFor(url, {});
      onLook();
      await pause(2_000, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

interface Asked {
  readonly firstByteMs: number;
  readonly text: string;
}

function askFor(url: string, headers: Readonly<Record<string, string>>): Promise<Asked> {
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    get(url, { headers }, (answer) => {
      const firstByteMs = performance.now() - startMs;
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => (answer.statusCode === 200 ? resolve({ firstByteMs, text }) : reject(new Error(`${url}: ${answer.statusCode}`))));
      answer.on("error", reject);
    }).on("error", reject);
  });
}
