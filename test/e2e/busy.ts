/**
 * What is held while much else goes on: a manifest beside downloads as fast as the disk takes them, and blobs beside downloads that
 * wait for a resolver which never answers. Asked for by a client that asks little.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import { startFakeDns } from "../support/fake-dns.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { timesWithin, startModestClient, type Times } from "../support/modest-client.ts";
import { fillsRunning, startOurServer } from "../support/our-server.ts";
import { freePort, runProcess, startProcess, type RunningProcess } from "../support/processes.ts";
import { findProgram } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const mebibyte = 1024 * 1024;
const warmMs = 2_000;

export interface FastFillsOptions {
  readonly blobs: number;
  readonly blobBytes: number;
  /** Downloads at once. */
  readonly atOnce: number;
  /** What the registry sends on each connection; absent: all that it can. */
  readonly bytesPerSecond?: number;
  readonly perSecond: number;
  readonly calmMs: number;
}

export interface FastFillsResult {
  readonly calm: Times;
  readonly meanwhile: Times;
  readonly fillsMs: number;
  readonly bytesPerSecond: number;
}

/** A cached manifest, alone and beside cold blobs of a fast upstream, each with a client. Needs nginx and curl. */
export async function runFastFills({ blobs, blobBytes, atOnce, bytesPerSecond = 0, perSecond, calmMs }: FastFillsOptions): Promise<FastFillsResult> {
  await using folder = await temporaryFolder();
  const digests = await writeOrigin(join(folder.path, "origin"), { blobs, blobBytes });
  const origin = await startOrigin(join(folder.path, "origin"), bytesPerSecond);
  await using _ = origin.process;
  const config = { logFile: join(folder.path, "log"), tagTtl: "-1", registries: [{ name: origin.host, scheme: "http", aliases: ["up"] }] };
  await using server = await startOurServer({ folder: folder.path, config });
  const url = `${server.url}/v2/up/team/app/manifests/1`;
  await timesWithin(warmMs, { url, perSecond });
  const calm = await timesWithin(calmMs, { url, perSecond });
  await using client = startModestClient({ url, perSecond });
  const left = digests.values();
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const digest of left) {
        const pulled = await runProcess("curl", ["-sS", "--fail", "-o", "/dev/null", `${server.url}/v2/up/team/app/blobs/${digest}`], { deadlineMs: 300_000 });
        if (pulled.code !== 0) throw new Error(pulled.stderr);
      }
    }),
  );
  const fillsMs = performance.now() - startMs;
  return { calm, meanwhile: await client.stop(), fillsMs, bytesPerSecond: (blobs * blobBytes) / (fillsMs / 1_000) };
}

/** Plain files where a registry has them. */
async function writeOrigin(folder: string, { blobs, blobBytes }: { blobs: number; blobBytes: number }): Promise<readonly Digest[]> {
  const repository = join(folder, "v2", "team", "app");
  await mkdir(join(repository, "blobs"), { recursive: true });
  await mkdir(join(repository, "manifests"));
  await writeFile(join(repository, "manifests", "1"), buildImage().manifest.bytes);
  const digests: Digest[] = [];
  for (let number = 0; number < blobs; number++) {
    const bytes = seededBytes(blobBytes, `busy ${number}`);
    digests.push(digestOf(bytes));
    await writeFile(join(repository, "blobs", digestOf(bytes)), bytes);
  }
  return digests;
}

/** nginx: it costs the machine least. */
async function startOrigin(folder: string, bytesPerSecond: number): Promise<{ readonly host: string; readonly process: RunningProcess }> {
  const port = await freePort();
  const configFile = join(folder, "nginx.conf");
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${join(folder, name)};`);
  await writeFile(
    configFile,
    `user root; daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 256; }
http { ${paths.join(" ")} access_log off; sendfile on; limit_rate ${bytesPerSecond}; server { listen 127.0.0.1:${port}; root ${folder}; default_type application/octet-stream; } }
`,
  );
  const nginx = await startProcess({ command: findProgram("nginx") ?? "nginx", args: ["-c", configFile, "-p", folder, "-e", "stderr"], ready: { port } });
  return { host: `127.0.0.1:${port}`, process: nginx };
}

export interface DeadResolverResult {
  readonly blobs: readonly { readonly sizeBytes: number; readonly calm: Times; readonly meanwhile: Times }[];
  /** Downloads that were waiting when the last blob had been measured. */
  readonly waiting: number;
}

/** Cached blobs, alone and beside so many downloads from registries whose names are never looked up to an end. Needs root and unshare. */
export async function runDeadResolver({ waiting, eachMs }: { waiting: number; eachMs: number }): Promise<DeadResolverResult> {
  await using folder = await temporaryFolder();
  await using dns = await startFakeDns();
  await using upstream = await startFakeUpstream();
  const held = [
    { sizeBytes: 20_000, perSecond: 100 },
    { sizeBytes: 8 * mebibyte, perSecond: 5 },
  ].map((blob) => ({ ...blob, digest: upstream.putBlob("team/app", seededBytes(blob.sizeBytes, `held ${blob.sizeBytes}`)) }));
  const dead = Array.from({ length: deadNames }, (_, number) => `dead-${number}.example`);
  for (const name of dead) dns.tell(name, "silent");
  const registries = [{ name: upstream.host, scheme: "http", aliases: ["up"] }, ...dead.map((name) => ({ name, scheme: "http" }))];
  await using server = await startOurServer({ folder: folder.path, config: { logFile: join(folder.path, "log"), registries }, nameServer: dns.address });
  const clients = held.map(({ digest, perSecond }) => ({ url: `${server.url}/v2/up/team/app/blobs/${digest}`, perSecond }));
  for (const client of clients) await timesWithin(warmMs, client);
  const calm: Times[] = [];
  for (const client of clients) calm.push(await timesWithin(eachMs, client));

  // A registry whose name was not found in time is not looked up again at once: the next download asks another.
  const over = new AbortController();
  const names = dead.values();
  const pulls = Promise.all(
    Array.from({ length: waiting }, async () => {
      for (const name of names) {
        if (over.signal.aborted) return;
        const url = `${server.url}/v2/${name}/team/app/blobs/${digestOf(Buffer.from(name))}`;
        await fetch(url, { signal: over.signal }).then((answer) => answer.arrayBuffer(), ignoreAbort);
      }
    }),
  );
  const meanwhile: Times[] = [];
  for (const client of clients) meanwhile.push(await timesWithin(eachMs, client));
  const stillWaiting = await fillsRunning(server);
  over.abort();
  await pulls;
  return { blobs: held.map(({ sizeBytes }, at) => ({ sizeBytes, calm: found(calm[at]), meanwhile: found(meanwhile[at]) })), waiting: stillWaiting };
}

const deadNames = 200;

function ignoreAbort(error: unknown): undefined {
  if (error instanceof Error && error.name === "AbortError") return undefined;
  throw error;
}

function found(times: Times | undefined): Times {
  if (!times) throw new Error("every blob is measured");
  return times;
}
