/** What is held, served by a server whose credential nobody gives it, beside one on the same store that has its own. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startCanary } from "../support/canary.ts";
import { startFakeAws, type FakeAws } from "../support/fake-aws.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { freePort } from "../support/processes.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { one, variablesOf } from "../upstream/aws-asking.ts";

/** How a token provider is down: nobody listens there, or nobody ever answers. */
export type Down = "away" | "silent";

export interface ServersOnOneStore extends AsyncDisposable {
  readonly upstream: FakeUpstream;
  readonly aws: FakeAws;
  /** Has a token. */
  readonly up: OurServer;
  /** Has none, and never had one. */
  readonly down: OurServer;
  /** What is held, as paths of URLs: a manifest by tag and by digest, then blobs. */
  readonly held: readonly string[];
}

/** Starts both; everything is held by then. */
export async function startOnOneStore({ how, tagTtl = "-1" }: { how: Down; tagTtl?: string }): Promise<ServersOnOneStore> {
  const stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await temporaryFolder());
  const upstream = stack.use(await startFakeUpstream());
  const aws = stack.use(await startFakeAws());
  const silent = stack.use(await startCanary());
  upstream.authentication = { kind: "ecr", aws, account: one };
  const env = { ...variablesOf(aws.addUser(one, "puller")), HOME: folder, AWS_EC2_METADATA_DISABLED: "true" };
  const start = async (name: string, endpoint: string): Promise<OurServer> => {
    await mkdir(join(folder, name));
    const token = { provider: "ecr", providerOpts: { region: "us-east-1", endpoint } };
    const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"], auth: { token } }];
    const config = { imagePath: join(folder, "store"), logFile: join(folder, name, "log"), tagTtl, registries };
    return stack.use(await startOurServer({ folder: join(folder, name), config, env }));
  };
  const image = upstream.putImage("team/app", "1");
  const base = "/v2/up/team/app";
  const manifests = ["1", image.manifest.descriptor.digest].map((reference) => `${base}/manifests/${reference}`);
  const held = [...manifests, ...[...image.blobs.keys()].map((digest) => `${base}/blobs/${digest}`)];
  const up = await start("up", aws.url);
  for (const path of held) await fetchWhole(up, path);
  const down = await start("down", `http://${how === "silent" ? silent.host : `127.0.0.1:${await freePort()}`}`);
  return { upstream, aws, up, down, held, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** What a client gets. */
export async function fetchWhole(
  { url }: OurServer,
  path: string,
): Promise<{ status: number; warning: string | null; challenge: string | null; body: string }> {
  const response = await fetch(url + path, { headers: { connection: "close" } });
  const body = Buffer.from(await response.arrayBuffer()).toString("latin1");
  return { status: response.status, warning: response.headers.get("warning"), challenge: response.headers.get("www-authenticate"), body };
}

export interface Compared<T> {
  readonly up: readonly T[];
  readonly down: readonly T[];
}

export interface CompareOptions<T> {
  readonly how: Down;
  readonly rounds: number;
  readonly measure: (url: string, server: OurServer) => Promise<T>;
}

/** Measures the held manifest of both in turn, each first as often as the other. */
export async function compareHeld<T>({ how, rounds, measure }: CompareOptions<T>): Promise<Compared<T>> {
  await using servers = await startOnOneStore({ how });
  const { up, down, held } = servers;
  const path = held[0] ?? "";
  const take = (server: OurServer): Promise<T> => measure(server.url + path, server);
  for (const server of [up, down]) await take(server); // What is compiled once.
  const compared = { up: new Array<T>(), down: new Array<T>() };
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? (["up", "down"] as const) : (["down", "up"] as const)) compared[name].push(await take(servers[name]));
  }
  return compared;
}
