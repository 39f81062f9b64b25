/** LdapPool: connections that wait for their next use, so that a login dials nobody; with a deadline on everything. */
import type { Clock } from "../oci/clock.ts";
import type { LdapConnection } from "./ldap-connection.ts";

const connectionsMax = 8;
const waitingMax = 256;
/** Shorter than directories and firewalls like to wait before they drop a connection without a word. */
const idleMs = 30_000;
/** A connection that waited so long may be dead: how much of the deadline is spent on finding out. */
const reusedMsMax = 1_500;

export interface LdapPoolOptions {
  /** A connection that is ready for use; whoever is given it closes it. */
  readonly open: (connection: LdapConnection) => Promise<void>;
  readonly create: () => LdapConnection;
  /** The directory answered, though perhaps not as one wished: no other connection would be told anything else. */
  readonly isAnswer: (error: unknown) => boolean;
  readonly clock: Clock;
}

interface Idle {
  readonly connection: LdapConnection;
  readonly cancel: () => void;
}

export class LdapPool {
  readonly #options: LdapPoolOptions;
  readonly #idle: Idle[] = [];
  readonly #busy = new Set<LdapConnection>();
  readonly #waiting: (() => void)[] = [];
  #inUse = 0;
  #isClosed = false;

  constructor(options: LdapPoolOptions) {
    this.#options = options;
  }

  /** Does `work` on a connection of its own. Rejects with what `work` or `open` rejects, or when `untilMs` of the clock's elapsed time has come. */
  async use<T>(work: (connection: LdapConnection) => Promise<T>, untilMs: number): Promise<T> {
    await this.#turn(untilMs);
    try {
      const reused = this.#takeIdle();
      if (!reused) return await this.#onNew(work, untilMs);
      try {
        return await this.#run(reused, work(reused), Math.min(untilMs, this.#options.clock.elapsed() + reusedMsMax));
      } catch (error) {
        if (this.#options.isAnswer(error)) throw error;
        return await this.#onNew(work, untilMs);
      }
    } finally {
      this.#inUse--;
      this.#waiting.shift()?.();
    }
  }

  /** Closes every connection. What is under way rejects. */
  close(): void {
    this.#isClosed = true;
    for (const wake of this.#waiting.splice(0)) wake();
    for (const { connection, cancel } of this.#idle.splice(0)) {
      cancel();
      connection.destroy();
    }
    for (const connection of this.#busy) connection.destroy();
  }

  /** How many connections there are. */
  get size(): number {
    return this.#idle.length + this.#busy.size;
  }

  #onNew<T>(work: (connection: LdapConnection) => Promise<T>, untilMs: number): Promise<T> {
    if (this.#isClosed) throw new Error("the directory is no longer asked");
    const { create, open } = this.#options;
    const connection = create();
    return this.#run(
      connection,
      open(connection).then(() => work(connection)),
      untilMs,
    );
  }

  async #run<T>(connection: LdapConnection, work: Promise<T>, untilMs: number): Promise<T> {
    this.#busy.add(connection);
    try {
      const result = await this.#timely(work, untilMs);
      this.#release(connection);
      return result;
    } catch (error) {
      if (this.#options.isAnswer(error)) this.#release(connection);
      else connection.destroy();
      throw error;
    } finally {
      this.#busy.delete(connection);
    }
  }

  /** Waits until fewer are in use than may be, and is one of them. */
  async #turn(untilMs: number): Promise<void> {
    while (this.#inUse >= connectionsMax) {
      if (this.#waiting.length >= waitingMax) throw new Error("too many logins wait for the directory");
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      try {
        await this.#timely(promise, untilMs);
      } finally {
        const place = this.#waiting.indexOf(resolve);
        if (place !== -1) this.#waiting.splice(place, 1);
      }
    }
    this.#inUse++;
  }

  async #timely<T>(work: Promise<T>, untilMs: number): Promise<T> {
    const { clock } = this.#options;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = clock.after(Math.max(0, untilMs - clock.elapsed()), () => reject(new Error("no answer in time")));
    try {
      return await Promise.race([work, late]);
    } finally {
      cancel();
    }
  }

  #takeIdle(): LdapConnection | undefined {
    for (;;) {
      const idle = this.#idle.pop();
      if (!idle) return undefined;
      idle.cancel();
      if (idle.connection.isOpen) return idle.connection;
    }
  }

  #release(connection: LdapConnection): void {
    if (this.#isClosed || !connection.isOpen) return connection.destroy();
    const entry: Idle = {
      connection,
      cancel: this.#options.clock.after(idleMs, () => {
        this.#idle.splice(this.#idle.indexOf(entry), 1);
        connection.destroy();
      }),
    };
    this.#idle.push(entry);
  }
}
