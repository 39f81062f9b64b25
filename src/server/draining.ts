/**
 * Draining: how a server leaves without anybody noticing. First probes say no and answers ask for the connection to be closed,
 * so that load balancers and clients go elsewhere; then the listeners close; then bodies get time to finish; then what is left
 * is cut, which clients resume at another server.
 */
import { delay, type Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { Listener } from "./listening.ts";

export interface DrainOptions {
  readonly listeners: readonly Listener[];
  /** How long new connections are still taken, so that whoever watches `/readyz` can stop sending them. */
  readonly shutdownDelayMs: number;
  /** How long bodies get to finish after that; Infinity: as long as somebody takes them. */
  readonly drainTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export class Draining {
  #started = false;

  /** True from the first moment of `drain` on: `/readyz` answers 503, answers carry `Connection: close`. */
  get started(): boolean {
    return this.#started;
  }

  /** Resolves when every listener is closed and no connection is left. To be called once. */
  async drain({ listeners, shutdownDelayMs, drainTimeoutMs, clock, log }: DrainOptions): Promise<void> {
    this.#started = true;
    log.info({ shutdownDelayMs, drainTimeoutMs }, "draining");
    if (shutdownDelayMs > 0) await delay(clock, shutdownDelayMs);
    const closed = Promise.all(listeners.map((listener) => listener.close()));
    if (drainTimeoutMs === Infinity) return void (await closed);
    const cancel = clock.after(drainTimeoutMs, () => {
      log.warn({ drainTimeoutMs }, "connections cut: not done within the drain timeout");
      for (const listener of listeners) listener.destroyConnections();
    });
    await closed;
    cancel();
  }
}
