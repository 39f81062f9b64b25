/**
 * Whether the running server and `auth check` decide alike: policies that are made up, loaded one after the other by a server that runs,
 * and asked about by people with passwords, by strangers, and in other spellings of the same names. Nothing is dialled: the server is
 * air-gapped, and whoever may read a name finds it or hears that it is not held.
 */
import fc from "fast-check";
import { rename, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { inquire } from "../../src/access.ts";
import { readConfig } from "../../src/config/load.ts";
import { arbitraryHosts, arbitraryQuestion, arbitraryRules, arbitraryUsers } from "../auth/arbitrary-rules.ts";
import { naiveAllows, naiveLists, type PlainQuestion, type PlainRules } from "../auth/naive-policy.ts";
import { htpasswdLine } from "../support/htpasswd-lines.ts";
import { lookUntil } from "../support/looking.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { plantStore } from "../support/planted-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface AgreementOptions {
  readonly seed: number;
  readonly policies: number;
  readonly questionsEach: number;
}

export interface AgreementResult {
  readonly questions: number;
  readonly allowed: number;
  readonly denied: number;
  /** Catalogs that were compared, each user's of each policy. */
  readonly listings: number;
  /** In words, with all that it takes to ask again. */
  readonly disagreements: readonly string[];
}

/** Of the names that questions are about, those that the store holds. */
const heldPaths = ["app", "team/app", "prod/team", "infra/app/team"];
const [defaultHost, otherHost] = arbitraryHosts;
/** Nothing else may begin with it: no pattern that is made up is longer. */
const marker = "whether-this-policy-has-been-loaded-yet/number";
const socketsMax = 8;

export async function runAgreement({ seed, policies, questionsEach }: AgreementOptions): Promise<AgreementResult> {
  const rules = fc.sample(arbitraryRules, { seed, numRuns: policies });
  const questions = fc.sample(fc.tuple(arbitraryQuestion, arbitrarySpelling, fc.boolean()), { seed, numRuns: policies * questionsEach });
  await using folder = await temporaryFolder();
  const htpasswd = join(folder.path, "htpasswd");
  await writeFile(htpasswd, arbitraryUsers.map((user) => `${htpasswdLine(user, passwordOf(user))}\n`).join(""));
  for (const host of [defaultHost, otherHost])
    plantStore(join(folder.path, "store"), { host, repositories: Object.fromEntries(heldPaths.map((path) => [path, 1])) });
  const configOf = (number: number): Record<string, unknown> => settings({ htpasswd, rules: rules[number] ?? {}, number });
  await using server = await startOurServer({ folder: folder.path, config: configOf(0) });
  using client = new KeptClient(server);
  const tally = { allowed: 0, denied: 0, listings: 0 };
  const disagreements: string[] = [];
  for (const [number, plain] of rules.entries()) {
    await load(server, client, configOf(number), number);
    const about = `seed ${seed}, policy ${number} ${JSON.stringify(plain)}`;
    const { config } = readConfig(JSON.stringify(configOf(number)), { configFile: "config.json", environment: {} });
    const judge = async ([question, spelling, isList]: (typeof questions)[number]): Promise<void> => {
      const asked = { ...question, groups: [], action: "read" };
      const repository = spelling(asked);
      const user = asked.user === "" ? undefined : asked.user;
      const inquiry = { user, groups: [], action: "read", repository, reference: undefined, client: undefined };
      const { isAllowed, rule } = await inquire(config, inquiry, { environment: {}, nowMs: Date.now() });
      const { status } = await client.ask("HEAD", `/v2/${repository}/${isList ? "tags/list" : "manifests/t0"}`, user);
      tally[isAllowed ? "allowed" : "denied"]++;
      const expected = isAllowed ? [heldPaths.includes(asked.path) && asked.host !== arbitraryHosts[2] ? 200 : 404] : [user === undefined ? 401 : 403];
      if (!expected.includes(status) || isAllowed !== naiveAllows(plain, asked, defaultHost))
        disagreements.push(`${user ?? "nobody"} ${repository}: ${status}, auth check says ${isAllowed} by ${rule}; ${about}`);
    };
    await inTurns(questions.slice(number * questionsEach, (number + 1) * questionsEach), judge);
    for (const user of arbitraryUsers) {
      const { body } = await client.ask("GET", "/v2/_catalog?n=1000", user);
      const expected = [defaultHost, otherHost].flatMap((host) =>
        heldPaths.filter((path) => naiveLists(plain, { user, groups: [], host, path, action: "read" }, defaultHost)).map((path) => `${host}/${path}`),
      );
      tally.listings++;
      if (JSON.stringify(namesIn(body)) !== JSON.stringify(expected.toSorted())) disagreements.push(`${user}'s catalog: ${body}; ${about}`);
    }
  }
  return { questions: questions.length, ...tally, disagreements };
}

/** One name, as clients write it in a path. */
const arbitrarySpelling: fc.Arbitrary<(question: PlainQuestion) => string> = fc.constantFrom(
  ({ host, path }: PlainQuestion) => (host === defaultHost ? path : `${host}/${path}`),
  ({ host, path }: PlainQuestion) => `${host}/${path}`,
  ({ host, path }: PlainQuestion) => `${host.toUpperCase()}/${path}`,
  ({ host, path }: PlainQuestion) => `${host === otherHost ? "gh" : host}/${path}`,
);

function settings({ htpasswd, rules, number }: { htpasswd: string; rules: PlainRules; number: number }): Record<string, unknown> {
  // The next one's marker is closed: a policy that opens all names must not be taken for the next.
  const markers = { [`${marker}-${number}`]: { anonymousPolicy: ["read"] }, [`${marker}-${number + 1}`]: {} };
  const repositories = { ...rules.repositories, ...markers };
  return {
    airGapped: true,
    logFile: `${htpasswd}.log`,
    defaultNs: defaultHost,
    registries: arbitraryHosts.map((name) => ({ name, scheme: "http", ...(name === otherHost ? { aliases: ["gh"] } : {}) })),
    auth: { htpasswd: { path: htpasswd } },
    accessControl: { ...rules, repositories },
  };
}

/** Gives the server another policy, and resolves once it goes by it. */
async function load({ configFile, imagePath, process: running }: OurServer, client: KeptClient, config: object, number: number): Promise<void> {
  await writeFile(`${configFile}.new`, JSON.stringify({ host: "127.0.0.1", port: 0, logFormat: "json", ...config, imagePath }));
  await rename(`${configFile}.new`, configFile);
  if (number > 0) running.signal("SIGHUP");
  const look = async (): Promise<number> => (await client.ask("HEAD", `/v2/${marker}-${number}/manifests/1`)).status;
  const status = await lookUntil(look, (seen) => seen === 404, { waitMs: 20_000, everyMs: 10 });
  if (status !== 404) throw new Error(`policy ${number} is not loaded: ${status}`);
}

async function inTurns<Item>(items: readonly Item[], judge: (item: Item) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.pop(); item !== undefined; item = rest.pop()) await judge(item);
  };
  await Promise.all(Array.from({ length: socketsMax }, worker));
}

function namesIn(body: string): readonly string[] {
  const { repositories = [] } = JSON.parse(body) as { repositories?: readonly string[] };
  return repositories.toSorted();
}

function passwordOf(user: string): string {
  return `${user}-password`;
}

/** A client that keeps its connections, as clients do. */
class KeptClient implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: socketsMax });
  readonly #port: number;

  constructor({ port }: OurServer) {
    this.#port = port;
  }

  ask(method: string, path: string, user?: string): Promise<{ readonly status: number; readonly body: string }> {
    const headers = user === undefined ? {} : { authorization: `Basic ${Buffer.from(`${user}:${passwordOf(user)}`).toString("base64")}` };
    return new Promise((resolve, reject) => {
      const outgoing = request({ host: "127.0.0.1", port: this.#port, method, path, headers, agent: this.#agent }, (incoming) => {
        let body = "";
        incoming.on("data", (piece: Buffer) => (body += piece.toString()));
        incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, body }));
        incoming.once("error", reject);
      });
      outgoing.once("error", reject);
      outgoing.end();
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
