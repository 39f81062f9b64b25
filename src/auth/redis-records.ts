/**
 * RedisRecords: records in Redis (`auth.sessionDriver: {name: redis}`), for processes that share no disk. It ends each record's life itself;
 * beside the records stands, for each folder of them, a set of their names.
 */
import { RedisConnection, type RedisClient, type RedisConnectionOptions } from "./redis-connection.ts";
import { checkPath, listedMax, RecordsUnavailable, type RecordPath, type Records } from "./records.ts";

export interface RedisRecordsOptions extends RedisConnectionOptions {
  /** Before every key: several registries may share one Redis. */
  readonly keyPrefix: string;
}

export class RedisRecords implements Records {
  readonly #options: RedisRecordsOptions;
  readonly #connection: RedisConnection;

  /** Dials nobody yet. Throws an Error for an address that is none; it does not quote it. */
  constructor(options: RedisRecordsOptions) {
    this.#options = options;
    this.#connection = new RedisConnection(options);
  }

  async read(path: RecordPath): Promise<string | undefined> {
    const key = this.#keyOf(path);
    return (await this.#ask((client) => client.get(key))) ?? undefined;
  }

  async write(path: RecordPath, text: string, { lifeMs }: { readonly lifeMs: number }): Promise<void> {
    const [key, index] = [this.#keyOf(path), this.#indexOf(path.slice(0, -1))];
    const nowMs = this.#options.clock.now();
    const life = Math.max(1, Math.round(lifeMs));
    await this.#ask((client) =>
      client
        .multi()
        .set(key, text, { expiration: { type: "PX", value: life } })
        .zRemRangeByScore(index, "-inf", nowMs)
        .zAdd(index, { score: nowMs + life, value: path.at(-1) ?? "" })
        // It lives as long as the last of its records: a new one is given a life, one that has one a longer one.
        .pExpire(index, life, "NX")
        .pExpire(index, life, "GT")
        .exec(),
    );
  }

  async take(path: RecordPath): Promise<string | undefined> {
    const [key, index] = [this.#keyOf(path), this.#indexOf(path.slice(0, -1))];
    const [text] = await this.#ask((client) =>
      client
        .multi()
        .getDel(key)
        .zRem(index, path.at(-1) ?? "")
        .exec(),
    );
    return typeof text === "string" ? text : undefined;
  }

  async remove(path: RecordPath): Promise<boolean> {
    return (await this.take(path)) !== undefined;
  }

  async list(folder: RecordPath): Promise<readonly string[]> {
    checkPath(folder);
    const LIMIT = { offset: 0, count: listedMax };
    return await this.#ask((client) => client.zRangeByScore(this.#indexOf(folder), `(${this.#options.clock.now()}`, "+inf", { LIMIT }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
  }

  #keyOf(path: RecordPath): string {
    checkPath(path);
    return `${this.#options.keyPrefix}:${path.join(":")}`;
  }

  /** A set of the names below, by the times that they are good until. No record's key has two colons in a row. */
  #indexOf(folder: readonly string[]): string {
    return `${this.#options.keyPrefix}::${folder.join(":")}`;
  }

  async #ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T> {
    try {
      return await this.#connection.ask(work);
    } catch (error) {
      throw new RecordsUnavailable("redis", error);
    }
  }
}
