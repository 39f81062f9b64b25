/**
 * The clients of a soak: each visit is one of the things that clients do, good ones and others, and looks at every byte it is given.
 * What is held has to be served whatever its registry does; what is not may fail, never be wrong, and is owed until it has been had.
 */
import { Agent, request, type IncomingHttpHeaders } from "node:http";
import { seededBytes } from "../support/images.ts";
import type { OurServer } from "../support/our-server.ts";
import { exchange, pull, type PullOptions, type PullResult } from "../support/raw-client.ts";
import { hotTags, movingTag, type SoakBlob, type SoakImage, type SoakUpstream, type SoakUpstreams } from "./soak-upstreams.ts";

/** What the clients saw. */
export interface SoakTally {
  /** Visits by what was done and how it ended. */
  readonly visits: ReadonlyMap<string, number>;
  /** Complete answers with a byte that was not the right one. */
  readonly wrong: readonly string[];
  /** What had to succeed and did not: what is held, and all of the registry that is always well. */
  readonly failed: readonly string[];
  readonly bodyBytes: number;
}

const kibibyte = 1024;
const toldMax = 20;
/** One cold blob in so many is large. */
const largeEach = 300;
const largeBytes = 16 * 1024 * kibibyte;
const deadlineMs = 120_000;
const flood = Array.from({ length: 3_000 }, (_, at) => `x-flood-${at}: ${"y".repeat(40)}\r\n`).join("");

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export class SoakVisits implements Disposable {
  /** What is done, and how often a second. */
  readonly perSecond: Readonly<Record<string, { readonly rate: number; readonly visit: () => Promise<string> }>> = {
    tag: { rate: 8, visit: () => this.#manifest(one(hotTags)) },
    digest: { rate: 4, visit: () => this.#manifest(undefined) },
    moving: { rate: 1, visit: () => this.#moving() },
    head: { rate: 4, visit: () => this.#head() },
    blob: { rate: 4, visit: () => this.#heldBlob() },
    range: { rate: 3, visit: () => this.#range() },
    ranges: { rate: 1, visit: () => this.#ranges() },
    slow: { rate: 0.2, visit: () => this.#heldBlob({ bytesPerSecond: 512 * kibibyte }) },
    leaving: { rate: 1, visit: () => this.#leaving() },
    cold: { rate: 1.2, visit: () => this.#cold() },
    owed: { rate: 2, visit: () => this.payOne() },
    absent: { rate: 1, visit: () => this.#absent() },
    tags: { rate: 0.5, visit: () => this.#tags() },
    referrers: { rate: 0.5, visit: () => this.#referrers() },
    half: { rate: 0.5, visit: () => this.#unfinished("GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Half: ") },
    flood: { rate: 0.2, visit: () => this.#unfinished(`GET /v2/ HTTP/1.1\r\nHost: x\r\n${flood}\r\n`) },
  };
  readonly #server: OurServer;
  readonly #upstreams: SoakUpstreams;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  readonly #held: SoakImage[] = [];
  readonly #owed: SoakImage[] = [];
  readonly #visits = new Map<string, number>();
  readonly #wrong: string[] = [];
  readonly #failed: string[] = [];
  #coldCount = 0;
  #bodyBytes = 0;

  constructor(server: OurServer, upstreams: SoakUpstreams) {
    this.#server = server;
    this.#upstreams = upstreams;
  }

  /** Pulls that failed and have not been made good yet. */
  get owedCount(): number {
    return this.#owed.length;
  }

  tally(): SoakTally {
    return { visits: this.#visits, wrong: this.#wrong, failed: this.#failed, bodyBytes: this.#bodyBytes };
  }

  /** Everything that counts as held is held from here on. Throws when it cannot be had. */
  async warm(): Promise<void> {
    for (const { alias, hot } of this.#upstreams.all) {
      const paths = [...hotTags.map((tag) => `manifests/${tag}`), `manifests/${movingTag}`, `manifests/${hot.manifest.descriptor.digest}`, "tags/list"];
      const lists = [...paths, `referrers/${hot.manifest.descriptor.digest}`, ...hot.blobs.map(({ digest }) => `blobs/${digest}`)];
      for (const path of lists) {
        const { status } = await this.#ask(`/v2/${alias}/team/app/${path}`);
        if (status !== 200) throw new Error(`${alias} gave ${status} for ${path}`);
      }
      this.#held.push(hot);
    }
  }

  /** Does one thing, and counts how it ended. Never rejects. */
  async visit(kind: string): Promise<void> {
    const does = this.perSecond[kind];
    let ending: string;
    try {
      ending = (await does?.visit()) ?? "unknown";
    } catch (error) {
      ending = "broken";
      this.#tell(this.#failed, `${kind}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const key = `${kind} ${ending}`;
    this.#visits.set(key, (this.#visits.get(key) ?? 0) + 1);
  }

  /** Pulls again what failed before. */
  async payOne(): Promise<string> {
    const image = this.#owed.shift();
    return image ? await this.#pullCold(image) : "nothing owed";
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #manifest(reference: string | undefined): Promise<string> {
    const image = reference === undefined ? one(this.#held) : this.#anyUpstream().hot;
    const path = pathOf(image, `manifests/${reference ?? image.manifest.descriptor.digest}`);
    const answer = await this.#ask(path);
    this.#mustBe(path, answer, image.manifest.bytes);
    return endingOf(answer);
  }

  async #moving(): Promise<string> {
    const path = pathOf(this.#anyUpstream().hot, `manifests/${movingTag}`);
    const answer = await this.#ask(path);
    if (answer.status !== 200) this.#tell(this.#failed, `${path}: ${answer.status} ${answer.body.toString()}`);
    else if (!this.#upstreams.wasMoving(answer.body)) this.#tell(this.#wrong, path);
    return endingOf(answer);
  }

  async #head(): Promise<string> {
    const image = one(this.#held);
    const blob = one(image.blobs);
    const [part, sizeBytes] = one([
      [`blobs/${blob.digest}`, blob.sizeBytes],
      [`manifests/${image.manifest.descriptor.digest}`, image.manifest.bytes.byteLength],
    ] as const);
    const path = pathOf(image, part);
    const answer = await this.#ask(path, { method: "HEAD" });
    if (answer.status !== 200) this.#tell(this.#failed, `HEAD ${path}: ${answer.status}`);
    else if (Number(answer.headers["content-length"]) !== sizeBytes) this.#tell(this.#wrong, `HEAD ${path}`);
    return endingOf(answer);
  }

  async #heldBlob(more: Partial<PullOptions> = {}): Promise<string> {
    const image = one(this.#held);
    const blob = one(image.blobs);
    const result = await this.#pull(image, blob, more);
    if (!isWhole(result)) this.#tell(this.#failed, `${pathOf(image, `blobs/${blob.digest}`)}: ${result.status} ${result.ending}`);
    return `${result.status} ${result.ending}`;
  }

  async #range(): Promise<string> {
    const image = one(this.#held);
    const blob = one(image.blobs.filter(({ sizeBytes }) => sizeBytes > 0));
    const offsetBytes = Math.floor(Math.random() * blob.sizeBytes);
    const endBytes = offsetBytes + Math.floor(Math.random() * (blob.sizeBytes - offsetBytes));
    const result = await this.#pull(image, blob, { offsetBytes, headers: { range: `bytes=${offsetBytes}-${endBytes}` } });
    const isRight = result.status === 206 && result.ending === "complete" && result.receivedBytes === endBytes - offsetBytes + 1;
    if (!isRight) this.#tell(this.#failed, `${pathOf(image, `blobs/${blob.digest}`)} ${offsetBytes}-${endBytes}: ${result.status} ${result.ending}`);
    return `${result.status} ${result.ending}`;
  }

  async #ranges(): Promise<string> {
    const image = one(this.#held);
    const blob = one(image.blobs.filter(({ sizeBytes }) => sizeBytes >= 1_000));
    const bytes = bytesOf(blob);
    const path = pathOf(image, `blobs/${blob.digest}`);
    const answer = await this.#ask(path, { headers: { range: "bytes=0-99,300-499,-50" } });
    const expected = [bytes.subarray(0, 100), bytes.subarray(300, 500), bytes.subarray(-50)];
    const parts = partsOf(answer);
    if (answer.status !== 206) this.#tell(this.#failed, `${path} in ranges: ${answer.status}`);
    else if (parts.length !== 3 || !parts.every((part, at) => part.equals(expected[at] ?? Buffer.alloc(0)))) this.#tell(this.#wrong, `${path} in ranges`);
    return endingOf(answer);
  }

  async #leaving(): Promise<string> {
    if (Math.random() < 0.5) return (await this.#pull(one(this.#held), one(this.#anyUpstream().hot.blobs), { abortAfterBytes: 10 })).ending;
    const image = this.#newImage(this.#anyUpstream());
    const blob = one(image.blobs);
    await this.#ask(pathOf(image, `manifests/${image.tag}`));
    const result = await this.#pull(image, blob, { abortAfterBytes: Math.floor(Math.random() * blob.sizeBytes) });
    this.#owed.push(image);
    return `cold ${result.ending}`;
  }

  async #cold(): Promise<string> {
    return await this.#pullCold(this.#newImage(this.#anyUpstream()));
  }

  /** As a client does: the manifest by tag, then all blobs at once. */
  async #pullCold(image: SoakImage): Promise<string> {
    const path = pathOf(image, `manifests/${image.tag}`);
    const answer = await this.#ask(path);
    if (answer.status === 200 && !answer.body.equals(image.manifest.bytes)) this.#tell(this.#wrong, path);
    const results = answer.status === 200 ? await Promise.all(image.blobs.map((blob) => this.#pull(image, blob))) : [];
    const isHad = results.length > 0 && results.every(isWhole);
    if (isHad) {
      this.#held.push(image);
      this.#upstreams.forgetCold(image);
      return "had";
    }
    this.#owed.push(image);
    const ending = results.find((result) => !isWhole(result));
    const how = ending ? `blob ${ending.status} ${ending.ending}` : `manifest ${answer.status}`;
    if (this.#upstreams.all.some(({ alias, isWell }) => isWell && alias === image.alias)) this.#tell(this.#failed, `${path}: ${how}`);
    return how;
  }

  async #absent(): Promise<string> {
    const upstream = this.#anyUpstream();
    const path = `/v2/${upstream.alias}/team/app/manifests/absent-${Math.floor(Math.random() * 1e6)}`;
    const answer = await this.#ask(path);
    if (answer.status < 400 || (upstream.isWell && answer.status !== 404)) this.#tell(this.#failed, `${path}: ${answer.status}`);
    return endingOf(answer);
  }

  async #tags(): Promise<string> {
    const path = pathOf(this.#anyUpstream().hot, "tags/list");
    const answer = await this.#ask(path);
    const expected = JSON.stringify([...hotTags, movingTag]);
    const isRight = answer.status === 200 && answer.body.includes(expected);
    if (!isRight) this.#tell(this.#failed, `${path}: ${answer.status} ${answer.body.toString()}`);
    return endingOf(answer);
  }

  async #referrers(): Promise<string> {
    const { hot } = this.#anyUpstream();
    const path = pathOf(hot, `referrers/${hot.manifest.descriptor.digest}`);
    const answer = await this.#ask(path);
    const isRight = answer.status === 200 && answer.body.includes("application/vnd.example.signature");
    if (!isRight) this.#tell(this.#failed, `${path}: ${answer.status} ${answer.body.toString()}`);
    return endingOf(answer);
  }

  async #unfinished(bytes: string): Promise<string> {
    const { received } = await exchange(this.#server.host, bytes, { deadlineMs: 3_000 });
    return received.split(" ", 2)[1] ?? "no answer";
  }

  #newImage(upstream: SoakUpstream): SoakImage {
    const number = this.#coldCount++;
    const sizeBytes = (): number => (Math.random() * largeEach < 1 ? largeBytes : Math.floor(kibibyte * 4096 ** Math.random()));
    return this.#upstreams.putCold(upstream, number, [sizeBytes(), sizeBytes()]);
  }

  #anyUpstream(): SoakUpstream {
    return one(this.#upstreams.all);
  }

  async #pull(image: SoakImage, blob: SoakBlob, more: Partial<PullOptions> = {}): Promise<PullResult> {
    const path = pathOf(image, `blobs/${blob.digest}`);
    const result = await pull({ host: this.#server.host, path, expected: bytesOf(blob), deadlineMs, ...more });
    this.#bodyBytes += result.receivedBytes;
    if (result.status < 300 && result.ending === "complete" && !result.isExact) this.#tell(this.#wrong, path);
    return result;
  }

  #ask(path: string, { method = "GET", headers = {} }: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port: this.#server.port, path, method, headers, agent: this.#agent, signal: AbortSignal.timeout(deadlineMs) };
      const asked = request(options, (response) => {
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.once("error", reject);
        response.once("end", () => {
          const body = Buffer.concat(pieces);
          this.#bodyBytes += body.byteLength;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      });
      asked.once("error", reject).end();
    });
  }

  #mustBe(path: string, { status, body }: Answer, expected: Uint8Array): void {
    if (status !== 200) this.#tell(this.#failed, `${path}: ${status} ${body.toString()}`);
    else if (!body.equals(expected)) this.#tell(this.#wrong, path);
  }

  #tell(list: string[], what: string): void {
    if (list.length < toldMax) list.push(what);
  }
}

function pathOf({ alias, repository }: SoakImage, rest: string): string {
  return `/v2/${alias}/${repository}/${rest}`;
}

function bytesOf({ sizeBytes, seed }: SoakBlob): Buffer {
  return seededBytes(sizeBytes, seed);
}

function one<Item>(items: readonly Item[]): Item {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new Error("nothing to choose from");
  return item;
}

function isWhole({ status, ending, isExact }: PullResult): boolean {
  return status === 200 && ending === "complete" && isExact;
}

/** `200`, and `200 stale` for what came with a warning. */
function endingOf({ status, headers }: Answer): string {
  return headers["warning"] === undefined ? String(status) : `${status} stale`;
}

/** The bodies of a multipart answer. */
function partsOf({ headers, body }: Answer): readonly Buffer[] {
  const boundary = /boundary="?([^";]+)/.exec(headers["content-type"] ?? "")?.[1];
  if (boundary === undefined) return [];
  const text = body.toString("latin1");
  const pieces = text.split(`--${boundary}`).slice(1, -1);
  return pieces.map((piece) => Buffer.from(piece.slice(piece.indexOf("\r\n\r\n") + 4, -2), "latin1"));
}
