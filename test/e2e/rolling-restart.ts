/** Two servers on one folder behind nginx, restarted one after the other again and again, while real clients pull through them. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { containerdClient, podmanClient, skopeoClient, type Client } from "../support/container-clients.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildImage, seededBytes } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { findProgram } from "../support/programs.ts";
import { freePort, startProcess, type RunningProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface RollingOptions {
  readonly durationMs: number;
  /** Of each image's layers together. */
  readonly imageBytes: number;
  readonly upstreamBytesPerSecond: number;
}

export interface RollingResult {
  /** Pulls that succeeded, by client. */
  readonly pulls: Readonly<Record<string, number>>;
  /** What clients said when a pull failed. */
  readonly failures: readonly string[];
  /** One for each restart: how the server ended that was told to. Each has to be 0. */
  readonly exitCodes: readonly (number | null)[];
}

/** Each image is pulled by every client, so that pulls are cold, arriving and held. */
const pullsOfOneImage = 3;

/** Runs for so long. Needs root, nginx, skopeo, podman and containerd. */
export async function runRollingRestart({ durationMs, imageBytes, upstreamBytesPerSecond }: RollingOptions): Promise<RollingResult> {
  await using folder = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  upstream.when({ kind: "blob" }, { bytesPerSecond: upstreamBytesPerSecond });
  const config = {
    imagePath: join(folder.path, "store"),
    drainTimeout: "30s",
    registries: [{ name: "docker.io", aliases: ["up"], endpoints: [upstream.url], originFallback: false }],
  };
  const start = async (name: string, port: number): Promise<OurServer> => {
    await mkdir(join(folder.path, name), { recursive: true });
    return await startOurServer({ folder: join(folder.path, name), config: { ...config, port } });
  };
  const servers = [await start("one", await freePort()), await start("two", await freePort())];
  await using balancer = await startBalancer(folder.path, servers);
  const clients = await startClients(folder.path, balancer.host);
  const untilMs = performance.now() + durationMs;
  const pulls: Record<string, number> = {};
  const failures: string[] = [];
  const exitCodes: (number | null)[] = [];
  const images = new Set<number>();

  const pullOn = async ({ name, client, prefix }: NamedClient): Promise<void> => {
    for (let round = 0; performance.now() < untilMs; round++) {
      const image = Math.floor(round / pullsOfOneImage);
      if (!images.has(image)) upstream.putImage(`library/rolling-${image}`, "1", imageOf(image, imageBytes));
      images.add(image);
      try {
        await client.pull(`${prefix}/library/rolling-${image}:1`);
        pulls[name] = (pulls[name] ?? 0) + 1;
      } catch (error) {
        failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  const restartOn = async (): Promise<void> => {
    for (let turn = 0; performance.now() < untilMs; turn++) {
      const at = turn % 2;
      const server = servers[at];
      if (!server) throw new Error("a server that was never started");
      server.process.signal("SIGTERM");
      exitCodes.push((await server.process.ended).code);
      servers[at] = await start(at === 0 ? "one" : "two", server.port);
    }
  };
  try {
    await Promise.all([...clients.map(pullOn), restartOn()]);
    return { pulls, failures, exitCodes };
  } finally {
    for (const { client } of clients) await client[Symbol.asyncDispose]();
    for (const server of servers) await server.process.kill();
  }
}

interface NamedClient {
  readonly name: string;
  readonly client: Client;
  /** What goes before an image's repository. */
  readonly prefix: string;
}

async function startClients(folder: string, host: string): Promise<readonly NamedClient[]> {
  const folderOf = async (name: string): Promise<string> => {
    await mkdir(join(folder, name));
    return join(folder, name);
  };
  return [
    { name: "skopeo", client: await skopeoClient(await folderOf("skopeo")), prefix: `${host}/up` },
    { name: "podman", client: await podmanClient(await folderOf("podman")), prefix: `${host}/up` },
    { name: "ctr", client: await containerdClient(await folderOf("ctr"), { url: `http://${host}` }), prefix: "docker.io" },
  ];
}

function imageOf(number: number, imageBytes: number) {
  const layer = (index: number) => ({ [`file-${index}`]: seededBytes(Math.floor(imageBytes / 2), `rolling ${number} ${index}`) });
  return buildImage({ platform: "linux/amd64", layers: [layer(0), layer(1)] });
}

/** nginx before two servers: what one refuses goes to the other at once, and none is struck off for what is over in a second. */
async function startBalancer(folder: string, servers: readonly OurServer[]): Promise<{ readonly host: string } & AsyncDisposable> {
  const port = await freePort();
  const configFile = join(folder, "nginx.conf");
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${join(folder, `nginx-${name}`)};`);
  await writeFile(
    configFile,
    `user root; worker_processes 1; daemon off; pid ${join(folder, "nginx.pid")}; error_log stderr notice;
events { worker_connections 256; }
http {
  ${paths.join("\n  ")}
  access_log off;
  upstream registries { ${servers.map(({ host }) => `server ${host} max_fails=0;`).join(" ")} keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://registries;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
    }
  }
}
`,
  );
  const running: RunningProcess = await startProcess({
    command: findProgram("nginx") ?? "nginx",
    args: ["-c", configFile, "-e", "stderr"],
    ready: { output: /start worker processes/ },
  });
  return { host: `127.0.0.1:${port}`, [Symbol.asyncDispose]: () => running.kill() };
}
