/** A real upstream: Debian's docker-registry (distribution 2.8), as a registry of its own or as a proxy of another. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, startProcess, type RunningProcess } from "./processes.ts";

export interface DockerRegistryOptions {
  /** Where it keeps its files; must exist. */
  readonly folder: string;
  /** Be a pull-through proxy of this URL. */
  readonly proxyOf?: string;
  /** Listen there again, after a kill. */
  readonly port?: number;
  /** Who may pull, and push: its own `auth`. Default: everybody. */
  readonly auth?: { readonly htpasswd: { readonly realm: string; readonly path: string } } | { readonly token: TokenAuth };
  /** Without an access log: it costs something, and benchmarks should not pay. */
  readonly isQuiet?: boolean;
}

/** Where it sends clients for a token, and whose signatures it trusts. */
export interface TokenAuth {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** A file of certificates. */
  readonly rootcertbundle: string;
}

export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly process: RunningProcess;
  /** Its access log so far: `GET /v2/team/app/manifests/1`. */
  readonly requests: readonly string[];
}

/** Starts one and waits until it listens. */
export async function startDockerRegistry({ folder, proxyOf, port, auth, isQuiet = false }: DockerRegistryOptions): Promise<DockerRegistry> {
  const ownPort = port ?? (await freePort());
  const config = {
    version: 0.1,
    log: { level: "error", accesslog: { disabled: isQuiet } },
    storage: { filesystem: { rootdirectory: join(folder, "storage") }, maintenance: { uploadpurging: { enabled: false } } },
    http: { addr: `127.0.0.1:${ownPort}` },
    ...(auth ? { auth } : {}),
    ...(proxyOf === undefined ? {} : { proxy: { remoteurl: proxyOf } }),
  };
  const configFile = join(folder, "docker-registry.yml");
  await writeFile(configFile, JSON.stringify(config)); // JSON is YAML.
  const env = { REGISTRY_AUTH_FILE: undefined, OTEL_TRACES_EXPORTER: "none" };
  const running = await startProcess({ command: "docker-registry", args: ["serve", configFile], env, ready: { port: ownPort } });
  return {
    host: `127.0.0.1:${ownPort}`,
    port: ownPort,
    url: `http://127.0.0.1:${ownPort}`,
    process: running,
    get requests() {
      return [...running.output.matchAll(/"((?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+) HTTP\/1\.1" \d+/g)].map((match) => match[1] ?? "");
    },
    [Symbol.asyncDispose]: () => running.kill("SIGKILL"),
  };
}
