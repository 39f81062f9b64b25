/**
 * ImageConfig: what an image says of itself, for people to read. OCI image-spec "OCI Image Configuration". Everything in it was written by
 * whoever built the image: it is shown, and decides nothing.
 */

export interface ImageConfig {
  readonly created: string | undefined;
  readonly author: string | undefined;
  /** `linux/arm64/v8` */
  readonly platform: string | undefined;
  readonly user: string | undefined;
  readonly workingDir: string | undefined;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: readonly string[];
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  readonly stopSignal: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly history: readonly HistoryStep[];
}

export interface HistoryStep {
  readonly createdBy: string;
  readonly created: string | undefined;
  readonly comment: string | undefined;
  /** True when it made no layer. */
  readonly isEmptyLayer: boolean;
}

/** More of anything is left out: a page is for people. */
const entriesMax = 1_000;
const textLengthMax = 4_096;

/** Reads a config's bytes; undefined when they are no JSON object. What is malformed in it is left out. */
export function readImageConfig(bytes: Uint8Array): ImageConfig | undefined {
  const json = objectIn(parse(bytes));
  if (!json) return undefined;
  const config = objectIn(json["config"]) ?? {};
  return {
    created: textIn(json["created"]),
    author: textIn(json["author"]),
    platform: platformIn(json),
    user: textIn(config["User"]),
    workingDir: textIn(config["WorkingDir"]),
    entrypoint: textsIn(config["Entrypoint"]),
    command: textsIn(config["Cmd"]),
    environment: textsIn(config["Env"]),
    exposedPorts: Object.keys(objectIn(config["ExposedPorts"]) ?? {}).slice(0, entriesMax),
    volumes: Object.keys(objectIn(config["Volumes"]) ?? {}).slice(0, entriesMax),
    stopSignal: textIn(config["StopSignal"]),
    labels: labelsIn(config["Labels"]),
    history: listIn(json["history"]).flatMap(stepIn),
  };
}

function stepIn(json: unknown): readonly HistoryStep[] {
  const step = objectIn(json);
  if (!step) return [];
  const { created_by: createdBy, created, comment, empty_layer: isEmptyLayer } = step;
  return [{ createdBy: textIn(createdBy) ?? "", created: textIn(created), comment: textIn(comment), isEmptyLayer: isEmptyLayer === true }];
}

function platformIn(json: Readonly<Record<string, unknown>>): string | undefined {
  const words = [json["os"], json["architecture"], json["variant"]].flatMap((word) => textIn(word) ?? []);
  return words.length < 2 ? undefined : words.join("/");
}

function labelsIn(json: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(objectIn(json) ?? {}).slice(0, entriesMax);
  return Object.fromEntries(entries.flatMap(([name, value]) => (typeof value === "string" ? [[name.slice(0, textLengthMax), cut(value)]] : [])));
}

function textsIn(json: unknown): readonly string[] {
  return listIn(json).flatMap((entry) => (typeof entry === "string" ? [cut(entry)] : []));
}

function listIn(json: unknown): readonly unknown[] {
  return Array.isArray(json) ? json.slice(0, entriesMax) : [];
}

/** Undefined for an empty one too: nothing is said then. */
function textIn(json: unknown): string | undefined {
  return typeof json === "string" && json !== "" ? cut(json) : undefined;
}

function cut(text: string): string {
  return text.length > textLengthMax ? `${text.slice(0, textLengthMax)}…` : text;
}

function objectIn(json: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof json === "object" && json !== null && !Array.isArray(json) ? (json as Readonly<Record<string, unknown>>) : undefined;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
  } catch {
    // An artifact's config may be anything: it says nothing that could be shown.
    return undefined;
  }
}
