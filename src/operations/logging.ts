/** Logging: where events go. Written in the background, readable on a terminal, JSON for machines. */
import { openSync } from "node:fs";
import { pino, stdSerializers, type DestinationStream } from "pino";
import type { Log } from "../oci/log.ts";
import type { RequestRecord } from "../oci/request-record.ts";
import { requestLevel, requestLine } from "./request-line.ts";
import { textLine } from "./text-line.ts";

export interface LoggingOptions {
  readonly level: "error" | "warn" | "info" | "debug";
  /** Append to this file; absent: stderr. */
  readonly file?: string;
  /** "auto": text when stderr is a terminal and no file is given, else JSON. */
  readonly format?: "auto" | "json" | "text";
}

export interface Logging {
  readonly log: Log;
  /** Writes the line of an answered request. */
  readonly logRequest: (record: RequestRecord) => void;
  /** Whether debug is written. */
  readonly isDebug: () => boolean;
  /** From now on only this and worse is written. */
  readonly setLevel: (level: LoggingOptions["level"]) => void;
  /** Opens `file` anew after it was moved away (SIGHUP). Throws, and goes on with the old one, when it cannot be opened. */
  readonly reopen: () => void;
  /** Resolves when all that was said so far is written, or nobody took it for a second: to be awaited before the process exits. */
  readonly flush: () => Promise<void>;
}

const stderr = 2;
const flushTimeoutMs = 1_000;
/** What has collected leaves after this time, or at this size. */
const collectedMs = 50;
const collectedBytes = 8 * 1024;
/** Lines that nobody takes are dropped beyond this: a log reader that hangs must not eat the memory. */
const bufferedBytesMax = 16 * 1024 * 1024;

/** Throws an Error when `file` cannot be opened. */
export function createLogging({ level, file, format = "auto" }: LoggingOptions): Logging {
  const sink = new Sink(file);
  const isText = format === "text" || (format === "auto" && file === undefined && process.stderr.isTTY === true);
  const stream = isText ? textStream(sink, { colorize: file === undefined && process.stderr.isTTY === true }) : sink;
  const timestamp = isoTimestamps();
  const log = pino(
    {
      level,
      base: null,
      timestamp,
      formatters: { level: (word) => ({ level: word }) },
      serializers: { error: stdSerializers.err },
      errorKey: "error",
    },
    stream,
  );
  return {
    log,
    logRequest(record) {
      if (log.isLevelEnabled(requestLevel(record))) stream.write(requestLine(record, timestamp()));
    },
    isDebug: () => log.isLevelEnabled("debug"),
    setLevel: (word) => {
      log.level = word;
    },
    reopen: () => sink.reopen(),
    flush: () => sink.flush(),
  };
}

/** pino's own `isoTime`, at a tenth of its cost: within a second only the milliseconds are written anew. */
function isoTimestamps(): () => string {
  let second = -1;
  let written = "";
  return () => {
    const now = Date.now();
    const milliseconds = now % 1_000;
    if (now - milliseconds !== second) {
      second = now - milliseconds;
      written = `,"time":"${new Date(second).toISOString().slice(0, "2026-01-01T00:00:00.".length)}`;
    }
    return `${written}${String(milliseconds).padStart(3, "0")}Z"`;
  };
}

function textStream(sink: Sink, { colorize }: { colorize: boolean }): DestinationStream {
  return { write: (line) => sink.write(textLine(line, { colorize, isDated: !colorize })) };
}

/** The file or stderr. Lines collect for a moment and leave together: a write each would cost more than making them. */
class Sink implements DestinationStream {
  readonly #file: string | undefined;
  #isScheduled = false;
  /** A flush is passed over while something is being written: once that is out, what has collected meanwhile follows. */
  #isFlushDue = false;
  #destination: ReturnType<typeof pino.destination>;

  constructor(file: string | undefined) {
    this.#file = file;
    this.#destination = this.#open();
  }

  write(line: string): void {
    this.#destination.write(line);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setTimeout(() => {
      this.#isScheduled = false;
      this.#isFlushDue = true;
      this.#destination.flush();
    }, collectedMs);
  }

  reopen(): void {
    if (this.#file === undefined) return;
    const old = this.#destination;
    this.#destination = this.#open();
    old.end();
  }

  #open(): ReturnType<typeof pino.destination> {
    const destination = openDestination(this.#file);
    destination.on("drain", () => {
      if (!this.#isFlushDue || destination !== this.#destination) return;
      this.#isFlushDue = false;
      destination.flush();
    });
    return destination;
  }

  flush(): Promise<void> {
    const destination = this.#destination;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, flushTimeoutMs);
      // The callback's error is that of an fsync, which terminals and pipes do not know.
      destination.flush(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function openDestination(file: string | undefined): ReturnType<typeof pino.destination> {
  const destination = pino.destination({
    dest: file === undefined ? stderr : openSync(file, "a"),
    sync: false,
    minLength: collectedBytes,
    maxLength: bufferedBytesMax,
  });
  // A log that cannot be written has nobody to be told to; the process goes on without it.
  destination.on("error", () => {});
  return destination;
}
