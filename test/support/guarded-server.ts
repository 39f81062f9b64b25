/** Our server with clients that are told apart, in front of an upstream of its own: `docker.io` and a second registry, both the same fake one. */
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
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
}

export interface GuardedServerOptions {
  readonly repositories?: readonly string[];
  /** More keys of the configuration; `auth` too. `HTPASSWD` in it is the file of users. */
  readonly config: object;
  readonly users?: readonly string[];
  readonly registries?: (upstream: FakeUpstream) => readonly object[];
}

export function basic(user: string, password = `${user}-password`): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

export async function startGuardedServer({ repositories = [], config, users = [], registries }: GuardedServerOptions): Promise<GuardedServer> {
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
  const server = await startOurServer({ folder: folder.path, config: JSON.parse(text) as Record<string, unknown> });
  return {
    folder: folder.path,
    upstream,
    server,
    writeUsers,
    get(path, { method = "GET", user, authorization = user === undefined ? undefined : basic(user), headers = {} } = {}) {
      return fetch(`${server.url}${path}`, { method, redirect: "manual", headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) } });
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await upstream.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** The status of a request whose path leaves as it is written here (fetch would tidy it up), with these Authorization lines. */
export function rawStatus(port: number, path: string, authorization: readonly string[] = []): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      const lines = authorization.map((value) => `Authorization: ${value}\r\n`).join("");
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines}\r\n`);
    });
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("end", () => resolve(Number(text.split(" ", 2)[1])));
    socket.on("error", reject);
  });
}
