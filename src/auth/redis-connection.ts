/**
 * RedisConnection: one connection to Redis, dialled when somebody asks something. Nobody waits long for it: what is not answered in time
 * has failed, the connection is given up, and it is dialled again by whoever asks after a pause; in the pause everybody fails at once.
 */
import { createClient, ErrorReply, MultiErrorReply, type RedisClientType } from "redis";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { Secret } from "../oci/secret.ts";
import { atMost } from "../oci/waiting.ts";

export interface RedisConnectionOptions {
  /** `redis://user:password@host:6379/0`, or `rediss:` for TLS. */
  readonly url: Secret;
  readonly clock: Clock;
  readonly log: Log;
}

export type RedisClient = RedisClientType;

/** For an answer, dialling included. */
export const answerMs = 1_000;
/** After a failure; it doubles with each that follows. */
const pauseMs = 100;
const pauseMsMax = 5_000;
/** Commands that wait for their answers. */
const commandsMax = 10_000;

interface Link {
  readonly client: RedisClient;
  readonly opened: Promise<unknown>;
}

/** What one question went over. */
interface Used {
  link: Link | undefined;
  isOpen: boolean;
}

export class RedisConnection implements Disposable {
  readonly #options: RedisConnectionOptions;
  readonly #url: string;
  #link: Link | undefined;
  #failures = 0;
  #dialNotBeforeMs = 0;
  #complaint: string | undefined;
  #isClosed = false;

  /** Dials nobody yet. Throws an Error for an address that is none; it does not quote it. */
  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#url = checkedUrl(options.url);
  }

  /** What `work` gets from Redis. Rejects with why there is no answer within `answerMs`; the log has it too, once. */
  async ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T> {
    const used: Used = { link: undefined, isOpen: false };
    const asking = this.#open(used).then(async (client) => ({ value: await work(client) }));
    asking.catch(() => {}); // Nobody may wait for it any more when it fails.
    try {
      const answer = await atMost(this.#options.clock, answerMs, asking);
      if (answer === "late") throw new Error(`no answer within ${answerMs} ms`);
      this.#recover();
      return answer.value;
    } catch (error) {
      // A command that Redis refuses is an answer too: only what does not come is a reason to dial anew.
      if (used.link && !(used.isOpen && error instanceof ErrorReply)) this.#giveUp(used.link);
      this.#complain(error);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#link?.client.destroy();
  }

  async #open(used: Used): Promise<RedisClient> {
    const link = this.#link ?? this.#dial();
    used.link = link;
    await link.opened;
    used.isOpen = true;
    return link.client;
  }

  #dial(): Link {
    if (this.#isClosed) throw new Error("closed");
    if (this.#options.clock.elapsed() < this.#dialNotBeforeMs) throw new Error(this.#complaint ?? "not connected");
    const client = createClient({
      url: this.#url,
      disableOfflineQueue: true,
      commandsQueueMaxLength: commandsMax,
      maintNotifications: "disabled",
      socket: { connectTimeout: answerMs, reconnectStrategy: false },
    });
    const link: Link = { client, opened: client.connect() };
    link.opened.catch(() => {}); // Who asked hears of it.
    // Whoever waits for an answer over it hears why; nobody else need.
    client.on("error", () => this.#forget(link));
    this.#link = link;
    return link;
  }

  #giveUp(link: Link): void {
    if (this.#link !== link) return;
    this.#forget(link);
    this.#dialNotBeforeMs = this.#options.clock.elapsed() + Math.min(pauseMs * 2 ** this.#failures, pauseMsMax);
    this.#failures = Math.min(this.#failures + 1, 10);
  }

  #forget(link: Link): void {
    if (this.#link === link) this.#link = undefined;
    link.client.destroy();
  }

  #complain(error: unknown): void {
    const problem = problemOf(error);
    if (this.#isClosed || problem === this.#complaint) return;
    this.#options.log.warn({ problem }, "redis is away: sessions and keys that are kept there cannot be checked");
    this.#complaint = problem;
  }

  #recover(): void {
    this.#failures = 0;
    if (this.#complaint === undefined) return;
    this.#options.log.info({}, "redis answers again");
    this.#complaint = undefined;
  }
}

/** In one line, and without an address. */
function problemOf(error: unknown): string {
  if (error instanceof MultiErrorReply) return problemOf([...error.errors()][0]);
  return error instanceof Error ? error.message : String(error);
}

function checkedUrl(url: Secret): string {
  const text = url.reveal();
  const { protocol, hostname } = URL.parse(text) ?? {};
  if ((protocol !== "redis:" && protocol !== "rediss:") || !hostname) throw new Error("must be redis://host:port, or rediss://host:port for TLS");
  return text;
}
