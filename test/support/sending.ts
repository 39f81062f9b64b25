/** Sends a body at a pace, with the faults of a quirk, and counts what really left. */
import type { ServerResponse } from "node:http";
import type { Quirk } from "./quirks.ts";

const sliceBytesMax = 64 * 1024;
const slicesPerSecond = 50;
/** So much of what a late timer cost is made up for, unless told otherwise. */
const catchUpMsDefault = 100;

/** A pace that several answers share: so many bytes a second of all of them together. */
export class Throttle {
  readonly bytesPerSecond: number;
  readonly #catchUpMs: number;
  #freeAtMs: number | undefined;

  constructor({ bytesPerSecond, catchUpMs = catchUpMsDefault }: { bytesPerSecond: number; catchUpMs?: number }) {
    this.bytesPerSecond = bytesPerSecond;
    this.#catchUpMs = catchUpMs;
  }

  /** How many bytes to send at a time, so that the pace is even. */
  get sliceBytes(): number {
    return Math.max(1, Math.min(sliceBytesMax, Math.floor(this.bytesPerSecond / slicesPerSecond)));
  }

  /** Resolves when `countBytes` may leave. */
  async take(countBytes: number): Promise<void> {
    const now = performance.now();
    const startMs = Math.max(this.#freeAtMs ?? now, now - this.#catchUpMs);
    this.#freeAtMs = startMs + (countBytes / this.bytesPerSecond) * 1000;
    const waitMs = startMs - now;
    if (waitMs >= 1) await new Promise<void>((resolve) => setTimeout(resolve, waitMs));
  }
}

export interface SendOptions {
  readonly quirk: Quirk;
  /** Where `body` lies in the whole content, and how large that is: `wrongBytes` changes a byte of the content, not of the answer. */
  readonly offsetBytes: number;
  readonly contentBytes: number;
  /** Told of every piece that the system has taken. */
  readonly onSent: (countBytes: number) => void;
}

/** Sends `body` and ends the answer, or cuts it as the quirk says. Resolves when nothing more will be sent. Headers are written already. */
export async function sendBody(response: ServerResponse, body: Uint8Array, { quirk, offsetBytes, contentBytes, onSent }: SendOptions): Promise<void> {
  const cutAtBytes = typeof quirk.cutAfterBytes === "function" ? quirk.cutAfterBytes() : (quirk.cutAfterBytes ?? Infinity);
  const throttle = typeof quirk.bytesPerSecond === "number" ? new Throttle({ bytesPerSecond: quirk.bytesPerSecond }) : quirk.bytesPerSecond;
  const sliceBytes = throttle?.sliceBytes ?? sliceBytesMax;
  const changedAt = changedPosition(quirk, contentBytes) - offsetBytes;
  const endBytes = quirk.endless && body.byteLength > 0 ? Infinity : body.byteLength;
  let held = quirk.holdBody === undefined;
  let position = 0;
  while (position < endBytes) {
    if (!held && quirk.holdBody && position >= quirk.holdBody.atBytes) {
      held = true;
      await quirk.holdBody.until;
    }
    if (position >= cutAtBytes) break;
    const start = position % body.byteLength;
    const stop = Math.min(
      start + sliceBytes,
      body.byteLength,
      start + cutAtBytes - position,
      held ? Infinity : start + (quirk.holdBody?.atBytes ?? 0) - position,
    );
    await throttle?.take(stop - start);
    if (!(await write(response, changedSlice(body, start, stop, changedAt)))) return;
    onSent(stop - start);
    position += stop - start;
  }
  if (position >= cutAtBytes) response.socket?.destroy();
  else response.end();
}

function changedPosition(quirk: Quirk, contentBytes: number): number {
  if (!quirk.wrongBytes) return -1;
  return quirk.wrongBytes === true ? Math.floor(contentBytes / 2) : quirk.wrongBytes.atBytes;
}

function changedSlice(body: Uint8Array, start: number, stop: number, changedAt: number): Uint8Array {
  const slice = body.subarray(start, stop);
  if (changedAt < start || changedAt >= stop) return slice;
  const changed = Uint8Array.from(slice);
  changed[changedAt - start] = (changed[changedAt - start] ?? 0) ^ 0xff;
  return changed;
}

/** False when the connection is gone. */
function write(response: ServerResponse, bytes: Uint8Array): Promise<boolean> {
  if (response.destroyed || response.socket === null || response.socket.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onClose = (): void => resolve(false);
    response.once("close", onClose);
    response.write(bytes, (error) => {
      response.off("close", onClose);
      resolve(!error);
    });
  });
}
