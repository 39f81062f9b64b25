/** Our server with clients that are told apart, in front of an upstream of its own: `docker.io` and a second registry, both the same fake one. */
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { startFakeUpstream, type FakeUpstream } from "./fake-upstream.ts";
import { startOurServer, type OurServer } from "./our-server.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const run = promisify(execFile);

export interface GuardedServer extends AsyncDisposable {
  readonly folder: string;
  readonly upstream: FakeUpstream;
  readonly server: OurServer;
  /** Users to write into the file; each one's password is `NAME-password`. */
  writeUsers(users: readonly string[]): Promise<void>;
  get(path: string, options?: AskOptions): Promise<Response>;
}

export interface AskOptions {
  readonly method?: string;
  /** A user whose password is `NAME-password`. */
  readonly user?: string | undefined;
  readonly authorization?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface GuardedServerOptions {
  readonly repositories?: readonly string[];
  /** More keys of the configuration; `auth` too. `HTPASSWD` in it is the file of users. */
  readonly config: object;
  readonly users?: readonly string[];
  readonly registries?: (upstream: FakeUpstream) => readonly object[];
  readonly env?: Readonly<Record<string, string>>;
}

export function basic(user: string, password = `${user}-password`): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

export async function startGuardedServer({ repositories = [], config, users = [], registries, env = {} }: GuardedServerOptions): Promise<GuardedServer> {
  const folder = await temporaryFolder();
  const upstream = await startFakeUpstream();
  for (const repository of repositories) upstream.putImage(repository, "1");
  const file = join(folder.path, "htpasswd");
  const writeUsers = async (names: readonly string[]): Promise<void> => {
    const lines = await Promise.all(names.map(async (name) => (await run("htpasswd", ["-bnBC4", name, `${name}-password`])).stdout.trim()));
    await writeFile(file, `${lines.join("\n")}\n`);
  };
  await writeUsers(users);
  const text = JSON.stringify({
    tagTtl: "1h",
    logLevel: "debug",
    registries: registries?.(upstream) ?? [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }],
    ...config,
  }).replaceAll("HTPASSWD", file);
  const server = await startOurServer({ folder: folder.path, env, config: JSON.parse(text) as Record<string, unknown> });
  return {
    folder: folder.path,
    upstream,
    server,
    writeUsers,
    get(path, { method = "GET", user, authorization = user === undefined ? undefined : basic(user), headers = {}, body } = {}) {
      return fetch(`${server.url}${path}`, {
        method,
        redirect: "manual",
        headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) },
        ...(body === undefined ? {} : { body }),
      });
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await upstream.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

export interface RawAsk {
  readonly port: number;
  /** Leaves as it is written here: fetch would tidy it up. */
  readonly path: string;
  readonly method?: string;
  /** Header lines by name; several values are several lines. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Over TLS: whom to trust, and what to show. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

export interface RawAnswer {
  /** 0: the connection was cut. */
  readonly status: number;
  /** `WWW-Authenticate`. */
  readonly challenge: string | undefined;
}

/** Asks on a connection of its own. Never rejects. */
export function askRaw({ port, path, method = "GET", headers = {}, tls }: RawAsk): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const lines = Object.entries(headers).flatMap(([name, values]) => [values].flat().map((value) => `${name}: ${value}\r\n`));
    const send = (): void => void socket.write(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n${lines.join("")}\r\n`);
    const socket = tls ? connectTls({ host: "127.0.0.1", port, ...tls }, send) : connect(port, "127.0.0.1", send);
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => {}); // What had come until then is the answer.
    socket.on("close", () => {
      const [head = ""] = text.split("\r\n\r\n", 1);
      resolve({ status: Number(head.split(" ", 2)[1] ?? 0), challenge: /^www-authenticate: (.*)$/im.exec(head)?.[1]?.trim() });
    });
  });
}

/** The status that a GET with these Authorization lines gets. */
export async function rawStatus(port: number, path: string, authorization: readonly string[] = []): Promise<number> {
  return (await askRaw({ port, path, headers: { Authorization: authorization } })).status;
}
