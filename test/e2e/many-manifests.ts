/**
 * A store with very many manifests: how long a start and the first answers take beside those of a store with hardly any, and what it
 * costs to ask for all of them.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { manifestAccept } from "../../src/oci/media-types.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { plantStore, type PlantedStore } from "../support/planted-store.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface ManyOptions {
  readonly manifests: number;
  /** Of these, how many in the repository that is asked. */
  readonly inOneRepository: number;
  /** How often each store is started; times are medians. */
  readonly rounds: number;
  /** As after a reboot; it costs the whole machine something. */
  readonly emptiesPageCache?: boolean;
}

export interface ManyResult {
  /** For each question, the milliseconds of its first answer after a start with a cold page cache. */
  readonly firstAnswers: readonly { readonly question: string; readonly manyMs: number; readonly fewMs: number }[];
  /** False where the page cache could not be emptied: root may. */
  readonly wasCold: boolean;
  /** After every manifest was asked for once, by its digest. */
  readonly residentBytes: number;
  readonly asked: number;
  readonly askedPerSecond: number;
}

const host = "registry.example";
const largePath = "team/large";
const perSmallRepository = 200;
const askersAtOnce = 16;

interface Planted {
  readonly folder: string;
  readonly store: PlantedStore;
}

/** Plants both stores, starts each in turn, and asks. */
export async function runManyManifests({ manifests, inOneRepository, rounds, emptiesPageCache = true }: ManyOptions): Promise<ManyResult> {
  await using folder = await temporaryFolder();
  const others = Math.ceil((manifests - inOneRepository) / perSmallRepository);
  const small = Array.from({ length: others }, (_, number): [string, number] => [`team/small-${number}`, perSmallRepository]);
  const many = await plant(join(folder.path, "many"), { [largePath]: inOneRepository, ...Object.fromEntries(small) });
  const few = await plant(join(folder.path, "few"), { [largePath]: 2 });
  const bare = await plant(join(folder.path, "bare"), { [largePath]: 2 });
  const times = new Map<string, { many: number[]; few: number[] }>();
  let wasCold = true;
  for (let round = 0; round < rounds; round++) {
    for (const [name, planted] of [
      ["many", many],
      ["few", few],
    ] as const) {
      wasCold = emptiesPageCache && (await emptyPageCache()) && wasCold;
      // The program itself is read back, and only that: it is large, and the same for both.
      await (await start(bare.folder)).process.kill();
      for (const [question, ms] of await askFirst(planted)) {
        const both = times.get(question) ?? { many: [], few: [] };
        both[name].push(ms);
        times.set(question, both);
      }
    }
  }
  const firstAnswers = [...times].map(([question, both]) => ({ question, manyMs: median(both.many), fewMs: median(both.few) }));
  return { firstAnswers, wasCold, ...(await askForAll(many)) };
}

async function plant(folder: string, repositories: Readonly<Record<string, number>>): Promise<Planted> {
  await mkdir(folder);
  return { folder, store: plantStore(join(folder, "store"), { host, repositories }) };
}

/** Names, folders and files: as after a reboot. False where that is not ours to do. */
async function emptyPageCache(): Promise<boolean> {
  await runProcess("sync");
  try {
    await writeFile("/proc/sys/vm/drop_caches", "3");
    return true;
  } catch {
    return false; // Told in the result.
  }
}

async function askFirst({ folder, store }: Planted): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  const timed = async <T>(question: string, work: () => Promise<T>): Promise<T> => {
    const startMs = performance.now();
    const result = await work();
    times.set(question, performance.now() - startMs);
    return result;
  };
  await using server = await timed("listening", () => start(folder));
  const { tag, digest, blob } = store.first;
  const paths = { "manifest by tag": `manifests/${tag}`, "manifest by digest": `manifests/${digest}`, blob: `blobs/${blob}`, referrers: `referrers/${digest}` };
  for (const [question, path] of Object.entries({ ...paths, "page of tags": "tags/list?n=100", catalog: "" })) {
    const url = path === "" ? `${server.url}/v2/_catalog` : `${server.url}/v2/${host}/${largePath}/${path}`;
    await timed(question, async () => {
      const answer = await fetch(url, { headers: { accept: manifestAccept } });
      const body = await answer.text();
      if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${body}`);
      if (question === "referrers" && !body.includes("application/vnd.example.sbom")) throw new Error(`no referrer: ${body}`);
    });
  }
  return times;
}

/** Nobody is asked upstream: what is measured is our own. */
function start(folder: string, config: Readonly<Record<string, unknown>> = {}): Promise<OurServer> {
  return startOurServer({ folder, config: { airGapped: true, registries: [{ name: host }], ...config } });
}

async function askForAll({ folder, store }: Planted): Promise<Pick<ManyResult, "residentBytes" | "asked" | "askedPerSecond">> {
  await using server = await start(folder, { logFile: join(folder, "log") });
  const agent = new Agent({ keepAlive: true, maxSockets: askersAtOnce });
  const left = store.manifests.values();
  const startMs = performance.now();
  let asked = 0;
  await Promise.all(
    Array.from({ length: askersAtOnce }, async () => {
      for (const { path, digest } of left) {
        const status = await statusOf(agent, server.port, `/v2/${host}/${path}/manifests/${digest}`);
        if (status !== 200) throw new Error(`${path}@${digest}: ${status}`);
        asked++;
      }
    }),
  );
  const askedPerSecond = asked / ((performance.now() - startMs) / 1_000);
  agent.destroy();
  return { residentBytes: await server.process.residentBytes(), asked, askedPerSecond };
}

function statusOf(agent: Agent, port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, agent }, (answer) => {
      answer
        .resume()
        .once("end", () => resolve(answer.statusCode ?? 0))
        .once("error", reject);
    })
      .once("error", reject)
      .end();
  });
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? NaN;
}
