/** `ociregistry health`: the probe for containers that have no curl. */
import { get as httpGet, type RequestOptions } from "node:http";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { loadConfig } from "../config/load.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { misuse } from "./misuse.ts";

export interface HealthOptions {
  readonly flags: ReadonlyMap<string, string>;
  readonly io: CommandIo;
  /** Asked instead of what the configuration says. */
  readonly url?: string | undefined;
  readonly timeoutMs?: number;
}

interface Target {
  readonly url: URL;
  /** The server expects to be told who is behind a proxy. */
  readonly proxyProtocol: boolean;
}

const healthTimeoutMs = 5_000;

/** 0 when the server answers 200, else 1 with a line that says why. */
export async function health({ flags, io, url, timeoutMs = healthTimeoutMs }: HealthOptions): Promise<number> {
  const target = url === undefined ? targetOf((await loadConfig({ environment: io.environment, flags })).config) : { url: parseUrl(url), proxyProtocol: false };
  try {
    const status = await ask(target, AbortSignal.timeout(timeoutMs));
    if (status === 200) return exitCodes.done;
    io.writeError(`ociregistry: ${target.url.href} answered ${status}\n`);
  } catch (error) {
    io.writeError(`ociregistry: ${target.url.href} did not answer: ${reasonOf(error, timeoutMs)}\n`);
  }
  return exitCodes.failed;
}

/** The health port where there is one: it needs neither TLS nor a client certificate. */
function targetOf({ host, port, healthPort, serverTls, proxyProtocol }: Config): Target {
  const address = host === "::" || host === "0.0.0.0" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  if (healthPort !== undefined) return { url: new URL(`http://${address}:${healthPort}/healthz`), proxyProtocol: false };
  if (port === 0) throw new ConfigError(["port is 0, so nobody knows where the server listens: say --url"]);
  return { url: new URL(`${serverTls ? "https" : "http"}://${address}:${port}/healthz`), proxyProtocol };
}

function parseUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === "http:" || parsed?.protocol === "https:") return parsed;
  throw misuse(`--url: "${url}" is not an http or https url`);
}

function ask(target: Target, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const { url } = target;
    const socket = dial(target);
    socket.on("error", reject);
    const options: RequestOptions = {
      signal,
      path: `${url.pathname}${url.search}`,
      headers: { host: url.host, connection: "close" },
      createConnection: () => socket,
    };
    httpGet(options, (response) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    }).on("error", (error) => {
      socket.destroy();
      reject(error);
    });
  });
}

/** Whose certificate it is does not matter: we ask our own machine whether somebody is alive. */
function dial({ url, proxyProtocol }: Target): Socket {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const socket = connect({ host, port: Number(url.port || (url.protocol === "https:" ? 443 : 80)) });
  if (proxyProtocol) socket.write("PROXY UNKNOWN\r\n");
  return url.protocol === "https:" ? connectTls({ socket, rejectUnauthorized: false }) : socket;
}

function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "AbortError" || error.name === "TimeoutError") return `nothing within ${timeoutMs} ms`;
  return "code" in error && error.code === "ECONNREFUSED" ? "nobody listens there" : error.message;
}
