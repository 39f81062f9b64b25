/**
 * A client on a bare socket: for pulls that stall, dawdle or leave, by the hundred and cheaply, and for requests that no decent
 * client would send. Bodies are compared with what they should be as they arrive, not kept.
 */
import { connect, type Socket } from "node:net";

export interface PullOptions {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The whole content; the body must be its bytes from `offsetBytes` on. */
  readonly expected?: Uint8Array;
  readonly offsetBytes?: number;
  /** Read no faster. */
  readonly bytesPerSecond?: number;
  /** Stop reading after so many body bytes, and keep the connection. */
  readonly stallAfterBytes?: number;
  /** Leave after so many body bytes; 0: as soon as the request is sent. */
  readonly abortAfterBytes?: number;
  readonly deadlineMs?: number;
}

export interface PullResult {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly receivedBytes: number;
  /** Every byte so far was the expected one. */
  readonly isExact: boolean;
  /** "complete": as long as Content-Length said. "cut": the other side ended it before. "aborted": we did. "late": the deadline did. */
  readonly ending: "complete" | "cut" | "aborted" | "late";
  /** Since the start of the call; NaN when there was none. */
  readonly firstByteMs: number;
  readonly doneMs: number;
}

/** A pull that goes on. */
export interface RunningPull {
  readonly done: Promise<PullResult>;
  readonly receivedBytes: number;
  /** Resolves when so many body bytes have arrived, or the pull is over. */
  received(countBytes: number): Promise<void>;
  /** Reads on after a stall. */
  resume(): void;
  abort(): void;
}

/** GETs, reads to the end, and tells how it went. Never rejects: a refused connection is "cut" with status 0. */
export function pull(options: PullOptions): Promise<PullResult> {
  return startPull(options).done;
}

const readBufferBytes = 256 * 1024;
const headBytesMax = 64 * 1024;

/** Begins a GET. Bodies with Content-Length only: a chunked body is compared with its framing. */
export function startPull(options: PullOptions): RunningPull {
  const { host, path, headers = {}, expected, offsetBytes = 0, abortAfterBytes = Infinity, deadlineMs = 120_000 } = options;
  const startMs = performance.now();
  const over = Promise.withResolvers<PullResult>();
  const waiting: { readonly countBytes: number; readonly resolve: () => void }[] = [];
  let stallAtBytes = options.stallAfterBytes ?? Infinity;
  let head = "";
  let status = 0;
  let answered: Record<string, string> = {};
  let receivedBytes = 0;
  let isExact = true;
  let firstByteMs = NaN;
  let isOver = false;

  const pace = options.bytesPerSecond;
  const buffer = Buffer.allocUnsafe(pace === undefined ? readBufferBytes : Math.max(1, Math.min(readBufferBytes, Math.floor(pace / 20))));
  const [name, port] = splitHost(host);
  const socket: Socket = connect({ host: name, port, onread: { buffer, callback: onRead } });
  const timer = setTimeout(() => finish("late"), deadlineMs);
  socket.once("connect", () => {
    const lines = Object.entries({ host, connection: "close", ...headers }).map(([key, value]) => `${key}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`, () => {
      if (abortAfterBytes === 0) finish("aborted");
    });
  });
  socket.on("error", () => {}); // "close" follows and tells the ending.
  socket.once("end", () => finish(isComplete() ? "complete" : "cut"));
  socket.once("close", () => finish(isComplete() ? "complete" : "cut"));

  function onRead(length: number, bytes: Uint8Array): boolean {
    const arrived = Buffer.from(bytes.buffer, bytes.byteOffset, length);
    const body = status === 0 ? afterHead(arrived) : arrived;
    if (body.byteLength > 0) {
      if (receivedBytes === 0) firstByteMs = performance.now() - startMs;
      const at = offsetBytes + receivedBytes;
      if (expected && isExact) isExact = body.equals(expected.subarray(at, at + body.byteLength));
      receivedBytes += body.byteLength;
      for (const waiter of waiting) if (receivedBytes >= waiter.countBytes) waiter.resolve();
    }
    if (receivedBytes >= abortAfterBytes) finish("aborted");
    else if (status !== 0 && isComplete()) finish("complete");
    if (isOver || receivedBytes >= stallAtBytes) return false;
    if (pace === undefined) return true;
    setTimeout(() => socket.resume(), (length / pace) * 1000);
    return false;
  }

  function afterHead(arrived: Buffer): Buffer {
    head += arrived.toString("latin1");
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) {
      if (head.length > headBytesMax) finish("cut");
      return Buffer.alloc(0);
    }
    const body = Buffer.from(head.slice(end + 4), "latin1");
    const [statusLine = "", ...lines] = head.slice(0, end).split("\r\n");
    status = Number(statusLine.split(" ")[1]);
    answered = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
    return body;
  }

  function isComplete(): boolean {
    return answered["content-length"] !== undefined && receivedBytes === Number(answered["content-length"]);
  }

  function finish(ending: PullResult["ending"]): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    socket.destroy();
    for (const waiter of waiting) waiter.resolve();
    over.resolve({ status, headers: answered, receivedBytes, isExact, ending, firstByteMs, doneMs: performance.now() - startMs });
  }

  return {
    done: over.promise,
    get receivedBytes() {
      return receivedBytes;
    },
    received: (countBytes) => (isOver || receivedBytes >= countBytes ? Promise.resolve() : new Promise((resolve) => waiting.push({ countBytes, resolve }))),
    resume() {
      stallAtBytes = Infinity;
      socket.resume();
    },
    abort: () => finish("aborted"),
  };
}

/** Sends exactly `bytes` and resolves to everything that came back until the other side closed, or `deadlineMs` passed. */
export function exchange(
  host: string,
  bytes: string | Uint8Array,
  { deadlineMs = 5000 }: { deadlineMs?: number } = {},
): Promise<{ readonly received: string; readonly isClosed: boolean }> {
  const [name, port] = splitHost(host);
  return new Promise((resolve) => {
    const socket = connect({ host: name, port });
    let received = "";
    const finish = (isClosed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ received, isClosed });
    };
    const timer = setTimeout(() => finish(false), deadlineMs);
    socket.on("data", (piece) => (received += piece.toString("latin1")));
    socket.on("error", () => finish(true));
    socket.once("close", () => finish(true));
    socket.once("connect", () => socket.write(bytes));
  });
}

function splitHost(host: string): readonly [string, number] {
  const at = host.lastIndexOf(":");
  return [host.slice(0, at).replace(/^\[|\]$/g, ""), Number(host.slice(at + 1))];
}
