/**
 * What asking clients who they are costs: cached manifests without it, with Basic and with a token, side by side; beside people who guess
 * passwords; and while the directory is away.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { basic } from "../support/guarded-server.ts";
import { htpasswdLine } from "../support/htpasswd-lines.ts";
import { startModestClient, timesWithin, type Times } from "../support/modest-client.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { directoryBase, startSlapd } from "../support/slapd.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface AskedWith {
  readonly url: string;
  readonly server: OurServer;
  readonly headers: Readonly<Record<string, string>>;
}

export const credentialKinds = ["none", "basic", "bearer"] as const;
export type CredentialKind = (typeof credentialKinds)[number];

export type ComparedKinds<T> = Readonly<Record<CredentialKind, readonly T[]>>;

const path = "/v2/team/app/manifests/1";
/** What people's files have: Apache's default is 5, ours is 10. */
const cost = 10;

/**
 * Measures the held manifest of an open server, and of one on the same store that has `accessControl` and takes passwords and its own
 * tokens, in turn; each comes first equally often.
 */
export async function compareKinds<T>({ rounds, measure }: { rounds: number; measure: (asked: AskedWith) => Promise<T> }): Promise<ComparedKinds<T>> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await temporaryFolder());
  const start = await storeWithImage(stack, folder);
  const open = await start("open", {});
  const guarded = await start("guarded", {
    auth: { htpasswd: { path: await writePasswords(folder, ["alice"]) }, tokenService: "builtin" },
    accessControl: { repositories: { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] } } },
  });
  const authorized = async (kind: CredentialKind): Promise<AskedWith> => {
    if (kind === "none") return { url: open.url + path, server: open, headers: {} };
    const authorization = kind === "basic" ? basic("alice") : `Bearer ${await tokenOf(guarded)}`;
    return { url: guarded.url + path, server: guarded, headers: { authorization } };
  };
  const compared = { none: new Array<T>(), basic: new Array<T>(), bearer: new Array<T>() };
  for (const kind of credentialKinds) await measure(await authorized(kind)); // What is compiled once.
  for (let round = 0; round < rounds; round++) {
    for (const at of credentialKinds.keys()) {
      const kind = credentialKinds[(round + at) % credentialKinds.length] ?? "none";
      compared[kind].push(await measure(await authorized(kind)));
    }
  }
  return compared;
}

async function tokenOf({ url }: OurServer): Promise<string> {
  const answer = await fetch(`${url}/zot/auth/token?service=ociregistry&scope=repository:team/app:pull`, { headers: { authorization: basic("alice") } });
  return ((await answer.json()) as { token: string }).token; // The token service's contract.
}

export interface GuessersResult {
  readonly calm: Times;
  readonly meanwhile: Times;
  /** Wrong passwords that were refused, and how long the longest of them took. */
  readonly refused: number;
  readonly otherStatuses: readonly number[];
}

export interface GuessersOptions {
  /** Guesses a second. */
  readonly guesses: number;
  /** From one address, where budgets end it soon; or each from another, where nothing but the hashes does. */
  readonly from: "one address" | "everywhere";
  readonly durationMs: number;
  /** Good requests a second. */
  readonly perSecond: number;
}

/** Somebody who is logged in pulls on, alone and beside people who guess passwords of a name that exists and of ones that do not. */
export async function runGuessers({ guesses, from, durationMs, perSecond }: GuessersOptions): Promise<GuessersResult> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await temporaryFolder());
  const start = await storeWithImage(stack, folder);
  const server = await start("guarded", { trustedProxies: ["127.0.0.1"], auth: { htpasswd: { path: await writePasswords(folder, ["alice"]) } } });
  const good = { url: server.url + path, perSecond, headers: { authorization: basic("alice"), "x-forwarded-for": "192.0.2.1" } };
  await timesWithin(2_000, good);
  const calm = await timesWithin(durationMs, good);
  const guessers = startGuessing(server.url + path, guesses, from);
  const meanwhile = await timesWithin(durationMs, good).finally(() => guessers.stop());
  const statuses = await guessers.statuses;
  return {
    calm,
    meanwhile,
    refused: statuses.filter((status) => status === 401).length,
    otherStatuses: [...new Set(statuses)].filter((status) => status !== 401),
  };
}

function startGuessing(url: string, perSecond: number, from: GuessersOptions["from"]): { stop(): void; readonly statuses: Promise<readonly number[]> } {
  const agent = new Agent({ keepAlive: true });
  const asked: Promise<number>[] = [];
  const guess = (number: number): Promise<number> =>
    new Promise((resolve) => {
      const client = from === "everywhere" ? `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}` : "198.51.100.1";
      const headers = { authorization: basic(number % 2 === 0 ? "alice" : `nobody-${number}`, `guess-${number}`), "x-forwarded-for": client };
      const one = request(url, { agent, headers }, (answer) => {
        answer.resume().once("end", () => resolve(answer.statusCode ?? 0));
      });
      one.once("error", () => resolve(0)).end(); // Counted as another status.
    });
  const timer = setInterval(() => asked.push(guess(asked.length)), 1_000 / perSecond);
  const stopped = Promise.withResolvers<readonly number[]>();
  return {
    stop() {
      clearInterval(timer);
      stopped.resolve(Promise.all(asked).finally(() => agent.destroy()));
    },
    statuses: stopped.promise,
  };
}

export type DirectoryFault = "refuses" | "hangs";

export interface AwayDirectoryResult {
  /** How long first logins of people of the password file took, in ms. */
  readonly before: readonly number[];
  readonly meanwhile: readonly number[];
  /** Somebody who was logged in all the while. */
  readonly known: Times;
}

export interface AwayDirectoryOptions {
  readonly fault: DirectoryFault;
  /** Logins in all, spread over `durationMs`; each by somebody who was not there before. */
  readonly logins: number;
  readonly durationMs: number;
}

/** People of the password file log in beside a directory that answers, then beside one that does not. Needs slapd and ldap-utils. */
export async function runAwayDirectory({ fault, logins, durationMs }: AwayDirectoryOptions): Promise<AwayDirectoryResult> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await temporaryFolder());
  const start = await storeWithImage(stack, folder);
  const directory = stack.use(await startSlapd(folder));
  const users = Array.from({ length: logins }, (_, at) => `user-${at}`);
  const htpasswd = { path: await writePasswords(folder, ["alice", ...users], 5) };
  const ldap = { address: "127.0.0.1", port: directory.port, baseDN: directoryBase, userAttribute: "uid", insecure: true, subtreeSearch: true };
  // Before is measured with one server, meanwhile with another: who has logged in is remembered.
  const [before, after] = [await start("before", { auth: { htpasswd, ldap } }), await start("after", { auth: { htpasswd, ldap } })];
  const loginsOf = async (server: OurServer, everyMs: number): Promise<readonly number[]> => {
    await timesWithin(1_000, { url: server.url + path, perSecond: 20, headers: { authorization: basic("alice") } });
    const times: number[] = [];
    const startMs = performance.now();
    for (const [at, user] of users.entries()) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, startMs + at * everyMs - performance.now())));
      const askedMs = performance.now();
      const answer = await fetch(server.url + path, { headers: { authorization: basic(user) } });
      await answer.arrayBuffer();
      if (answer.status !== 200) throw new Error(`${user}: ${answer.status}`);
      times.push(performance.now() - askedMs);
    }
    return times;
  };
  const beforeTimes = await loginsOf(before, 20);
  if (fault === "hangs") directory.freeze();
  else await directory[Symbol.asyncDispose]();
  await using known = startModestClient({ url: after.url + path, perSecond: 50, headers: { authorization: basic("alice") } });
  const meanwhile = await loginsOf(after, durationMs / logins);
  return { before: beforeTimes, meanwhile, known: await known.stop() };
}

/** Starts servers on one store that holds the image. */
async function storeWithImage(stack: AsyncDisposableStack, folder: string): Promise<(name: string, config: object) => Promise<OurServer>> {
  // What else the machine does is not what is measured. What a server does to itself is: its threads start from one niceness.
  const through = process.getuid?.() === 0 ? ["nice", "-n", "-15"] : [];
  const upstream = stack.use(await startFakeUpstream());
  upstream.putImage("team/app", "1");
  const common = { imagePath: join(folder, "store"), tagTtl: "-1", registries: [{ name: "docker.io", endpoints: [upstream.url], originFallback: false }] };
  const start = async (name: string, config: object): Promise<OurServer> => {
    await mkdir(join(folder, name));
    return await startOurServer({ folder: join(folder, name), config: { ...common, logFile: join(folder, name, "log"), ...config }, through });
  };
  await using filler = await start("filler", {});
  await (await fetch(filler.url + path)).arrayBuffer();
  return async (name, config) => stack.use(await start(name, config));
}

async function writePasswords(folder: string, users: readonly string[], hashCost = cost): Promise<string> {
  const file = join(folder, "htpasswd");
  await writeFile(file, `${users.map((user) => htpasswdLine(user, `${user}-password`, { cost: hashCost })).join("\n")}\n`);
  return file;
}
