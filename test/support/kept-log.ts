/** KeptLog: what was logged, as lines: the level, the message, and the fields as JSON (of an error, its message). */
import type { Log, LogFields } from "../../src/oci/log.ts";

export class KeptLog implements Log {
  readonly lines: string[] = [];

  debug(fields: LogFields, message: string): void {
    this.#keep("debug", fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#keep("info", fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#keep("warn", fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#keep("error", fields, message);
  }

  #keep(level: string, fields: LogFields, message: string): void {
    const shown = JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? value.message : value));
    this.lines.push(`${level} ${message} ${shown}`);
  }
}
