/** Writing an answer piece by piece, such that whoever writes always learns what became of it. */
import type { ServerResponse } from "node:http";

/** Told once what became of a write: nothing when the connection has taken it, else why not. */
export type Written = (error?: Error | null) => void;

/**
 * Writes `bytes`; `written` is told once, by whichever comes first of all handed over and connection gone. Node never calls back
 * for an answer whose turn on its connection did not come: a client may ask for several ahead, and leave.
 */
export function writeTo(outgoing: ServerResponse, bytes: Uint8Array, written: Written): void {
  const settle = untilClosed(outgoing, written);
  outgoing.write(bytes, settle);
}

/** As `writeTo`, and ends the answer. */
export function endWith(outgoing: ServerResponse, bytes: Uint8Array, written: Written): void {
  const settle = untilClosed(outgoing, written);
  outgoing.once("finish", () => settle());
  outgoing.end(bytes);
}

/** `written`, called for once only: by whoever gets the result, or when the connection closes. */
function untilClosed(outgoing: ServerResponse, written: Written): Written {
  let isSettled = false;
  function settle(error?: Error | null): void {
    if (isSettled) return;
    isSettled = true;
    outgoing.off("close", onClose);
    written(error);
  }
  function onClose(): void {
    settle(new Error("the connection closed before these bytes were out"));
  }
  outgoing.once("close", onClose);
  return settle;
}
