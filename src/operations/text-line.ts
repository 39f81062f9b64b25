/**
 * A log event as people read it on a terminal: the time of day, the level when it matters, a sentence, then what else is known.
 * A request is one short line: `08:07:17 GET docker.io/library/alpine:3.20 200 491 B 12 ms hit`.
 */
import { stripVTControlCharacters } from "node:util";

const colours = { debug: "\u001B[90m", info: "", warn: "\u001B[33m", error: "\u001B[31m" } as const;
const grey = "\u001B[90m";
const plain = "\u001B[39m";

/** Turns a line of JSON into a line of text, with its line break; one that is no JSON stays as it is. In a file the date is told too. */
export function textLine(line: string, { colorize, isDated = false }: { readonly colorize: boolean; readonly isDated?: boolean }): string {
  const event = parseEvent(line);
  if (!event) return line;
  const { level, time, msg, error, ...fields } = event;
  const paint = (colour: string, text: string): string => (colorize && colour !== "" && text !== "" ? `${colour}${text}${plain}` : text);
  const word = level === "info" ? "" : String(level).toUpperCase();
  const sentence = msg === "request" ? requestSentence(fields) : String(msg);
  const rest =
    msg === "request"
      ? ""
      : Object.entries(fields)
          .map(([key, value]) => `${key}=${shown(value)}`)
          .join(" ");
  const head = [paint(grey, timeText(time, isDated)), paint(colourOf(level), word), paint(colourOf(level), sentence), paint(grey, rest)]
    .filter((part) => part !== "")
    .join(" ");
  return `${head}${errorText(error)}\n`;
}

function requestSentence(fields: Readonly<Record<string, unknown>>): string {
  const field = (key: string): string => (fields[key] === undefined ? "" : shown(fields[key]));
  const reference = field("reference");
  const name = `${field("repository")}${reference === "" ? "" : `${reference.includes(":") ? "@" : ":"}${reference}`}`;
  const client = field("user") === "" ? field("client") : `${field("user")}@${field("client")}`;
  const words = [
    field("method"),
    name,
    field("status"),
    bytesText(Number(fields["bytes"])),
    `${Math.round(Number(fields["ms"]))} ms`,
    field("outcome"),
    `from ${client}`,
  ];
  // What failed is looked for by its id.
  if (Number(fields["status"]) >= 500) words.push(`(${field("requestId")})`);
  return words.filter((word) => word !== "").join(" ");
}

function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** power;
  return `${power === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`;
}

function timeText(time: unknown, isDated: boolean): string {
  const date = new Date(String(time));
  if (Number.isNaN(date.getTime())) return "";
  const timeOfDay = date.toTimeString().slice(0, "08:07:17".length);
  if (!isDated) return timeOfDay;
  const [year, month, day] = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0"));
  return `${year}-${month}-${day} ${timeOfDay}`;
}

function errorText(error: unknown): string {
  if (typeof error !== "object" || error === null) return error === undefined ? "" : ` ${shown(error)}`;
  const { message, stack } = error as { message?: unknown; stack?: unknown };
  if (typeof stack === "string") return `\n  ${stack.split("\n").map(printable).join("\n  ")}`;
  return ` ${shown(message ?? error)}`;
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return printable(/^[^\s"=]+$/.test(text) ? text : JSON.stringify(text));
}

/** What strangers write must not steer a terminal. */
function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}/gu, "?");
}

function colourOf(level: unknown): string {
  return level === "debug" || level === "warn" || level === "error" ? colours[level] : "";
}

function parseEvent(line: string): Record<string, unknown> | undefined {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === "object" && event !== null && "msg" in event ? (event as Record<string, unknown>) : undefined;
  } catch {
    // Not one of ours: shown as it came.
    return undefined;
  }
}
