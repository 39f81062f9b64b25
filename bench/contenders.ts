/** The servers that are compared: us, docker-registry as a proxy of the same origin, and nginx on the same bytes. One worker each. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, type Digest } from "../src/oci/digest.ts";
import { startDockerRegistry } from "../test/support/docker-registry.ts";
import { buildImage, seededBytes, type BuiltImage } from "../test/support/images.ts";
import { startOurServer } from "../test/support/our-server.ts";
import { freePort, startProcess, type RunningProcess } from "../test/support/processes.ts";

/** One server that holds the same image, or can fetch it. */
export interface Contender extends AsyncDisposable {
  readonly name: string;
  /** `http://127.0.0.1:PORT/v2/.../bench/image` */
  readonly base: string;
  readonly process: RunningProcess;
}

/** What all of them serve. */
export interface Content {
  readonly image: BuiltImage;
  readonly small: Digest;
  readonly large: Digest;
  /** Blobs that nobody but the origin has seen, all of one size. */
  readonly cold: readonly Digest[];
}

export const smallBytes = 20_000;
export const largeBytes = 256 * 1024 * 1024;
export const coldBytes = 64 * 1024 * 1024;
const repository = "bench/image";

/** A docker-registry that holds everything, and what it holds. `coldBlobs` are of `coldBytes` each. */
export async function startOrigin(folder: string, { coldBlobs }: { coldBlobs: number }): Promise<{ readonly origin: Contender; readonly content: Content }> {
  const registry = await startDockerRegistry({ folder: await made(folder, "origin"), isQuiet: true });
  const base = `${registry.url}/v2/${repository}`;
  const image = buildImage();
  for (const bytes of image.blobs.values()) await pushBlob(base, bytes);
  await push(`${base}/manifests/1`, image.manifest.bytes, image.manifest.descriptor.mediaType);
  const small = await pushBlob(base, seededBytes(smallBytes, "small"));
  const large = await pushBlob(base, seededBytes(largeBytes, "large"));
  const cold: Digest[] = [];
  for (let at = 0; at < coldBlobs; at++) cold.push(await pushBlob(base, seededBytes(coldBytes, `cold ${at}`)));
  return {
    origin: { name: "origin", base, process: registry.process, [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose]() },
    content: { image, small, large, cold },
  };
}

/** The origin at the end of a line of `bytesPerSecond` for each connection: what is between a cache and a registry out there. */
export async function startLine(origin: Contender, { bytesPerSecond }: { bytesPerSecond: number }): Promise<Contender> {
  const port = await freePort();
  const args = [join(import.meta.dirname, "line.ts"), String(port), new URL(origin.base).port, String(bytesPerSecond)];
  const running = await startProcess({ command: process.execPath, args, ready: { port } });
  return { name: "line", base: `http://127.0.0.1:${port}/v2/${repository}`, process: running, [Symbol.asyncDispose]: () => running.kill() };
}

/** Us, with the request line on, written to a file. */
export async function startOurs(folder: string, origin: Contender): Promise<Contender> {
  const own = await made(folder, "ours");
  const config = { logLevel: "info", logFile: join(own, "log"), registries: [{ name: new URL(origin.base).host, scheme: "http", aliases: ["up"] }] };
  const server = await startOurServer({ folder: own, config });
  return {
    name: "ociregistry",
    base: `${server.url}/v2/up/${repository}`,
    process: server.process,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Debian's docker-registry as a pull-through proxy, its access log off. */
export async function startProxy(folder: string, origin: Contender): Promise<Contender> {
  const registry = await startDockerRegistry({ folder: await made(folder, "proxy"), proxyOf: new URL(origin.base).origin, isQuiet: true });
  return {
    name: "docker-registry",
    base: `${registry.url}/v2/${repository}`,
    process: registry.process,
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}

/** nginx with sendfile on plain files at the same paths, its access log on, as ours is: what the machine can do. */
export async function startNginx(folder: string, content: Content): Promise<Contender> {
  const own = await made(folder, "nginx");
  const port = await freePort();
  const files = { manifests: await made(own, `root/v2/${repository}/manifests`), blobs: await made(own, `root/v2/${repository}/blobs`) };
  for (const name of ["1", content.image.manifest.descriptor.digest]) await writeFile(join(files.manifests, name), content.image.manifest.bytes);
  await writeFile(join(files.blobs, content.small), seededBytes(smallBytes, "small"));
  await writeFile(join(files.blobs, content.large), seededBytes(largeBytes, "large"));
  const { mediaType } = content.image.manifest.descriptor;
  const server = `server { listen 127.0.0.1:${port}; root ${own}/root; default_type ${mediaType}; access_log ${own}/access.log; }`;
  const running = await startNginxWith(own, port, nginxConf(own, server));
  return { name: "nginx", base: `http://127.0.0.1:${port}/v2/${repository}`, process: running, [Symbol.asyncDispose]: () => running.kill() };
}

async function startNginxWith(folder: string, port: number, conf: string): Promise<RunningProcess> {
  const configFile = join(folder, "nginx.conf");
  await writeFile(configFile, conf);
  return await startProcess({ command: "/usr/sbin/nginx", args: ["-c", configFile, "-p", folder, "-e", "stderr"], ready: { port } });
}

function nginxConf(folder: string, server: string): string {
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=100;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  ${server}
}
`;
}

async function pushBlob(base: string, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const location = new URL(begun.headers.get("location") ?? "", base);
  location.searchParams.set("digest", digest);
  await push(location.href, bytes, "application/octet-stream");
  return digest;
}

async function push(url: string, bytes: Uint8Array, contentType: string): Promise<void> {
  const answer = await fetch(url, {
    method: "PUT",
    headers: { "content-type": contentType },
    body: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  });
  if (!answer.ok) throw new Error(`pushing to the origin: ${answer.status} ${await answer.text()}`);
}

async function made(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  return path;
}
