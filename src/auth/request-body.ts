/** Request bodies: small ones that strangers may send, read whole within limits of size and time. */
import type { Clock } from "../oci/clock.ts";

export interface BodyLimits {
  readonly bytesMax: number;
  /** From the request to the body's end. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

export type BodyReading = { readonly kind: "read"; readonly text: string } | { readonly kind: "too large" } | { readonly kind: "late" };

/** The body's text. Rejects with what reading rejects with: the client has left. */
export async function readBody(request: Request, { bytesMax, timeoutMs, clock }: BodyLimits): Promise<BodyReading> {
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return { kind: "too large" };
  if (!request.body) return { kind: "read", text: "" };
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  const cancel = clock.after(timeoutMs, () => resolve("late"));
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const piece = await Promise.race([reader.read(), late]);
      if (piece === "late") return { kind: "late" };
      if (piece.done) return { kind: "read", text: Buffer.concat(pieces).toString("utf8") };
      bytes += piece.value.byteLength;
      if (bytes > bytesMax) return { kind: "too large" };
      pieces.push(piece.value);
    }
  } finally {
    cancel();
    // Not cancelled: that would take the connection away from under the answer, which closes it when it has gone.
    reader.releaseLock();
  }
}
