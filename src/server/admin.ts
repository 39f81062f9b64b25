/**
 * The administrative routes, as the Go ociregistry has them: what is held, pruning, stopping. Text in columns for people, JSON for who
 * accepts it. What they do is handed in: here is only how it is asked for and shown.
 */
import { OciError } from "../oci/errors.ts";
import type { AdminDoor } from "./admin-door.ts";
import { AdminQuery } from "./admin-query.ts";
import { jsonAnswer, textAnswer, type Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";

/** A manifest that is held, under one of its names. */
export interface AdminManifest {
  /** `docker.io/library/alpine:3.20`, or with `@` and its digest where no tag means it. */
  readonly name: string;
  readonly digest: string;
  /** Milliseconds since 1970. */
  readonly heldSinceMs: number;
  /** Undefined: nobody has pulled it. */
  readonly pulledAtMs: number | undefined;
  /** Digests of the config and layers that it names, where they were asked for. */
  readonly blobs: readonly string[];
}

export interface AdminBlob {
  readonly digest: string;
  /** How many held images need it. */
  readonly references: number;
  readonly sizeBytes: number | undefined;
}

/** An image that was pruned, or would be. */
export interface AdminPruned {
  readonly name: string;
  readonly digest: string;
  /** In a few words. */
  readonly reason: string;
  /** What goes with it: what no other image needs. */
  readonly sizeBytes: number;
}

export interface AdminPruneQuery {
  readonly type: "accessed" | "created" | "pattern";
  /** As it was written: `30d`. */
  readonly duration: string | undefined;
  readonly expression: string | undefined;
  /** Undefined: any number. */
  readonly countMax: number | undefined;
  /** Undefined: what the configuration says. */
  readonly dryRun: boolean | undefined;
  readonly signal: AbortSignal;
}

/** `dryRun`: nothing went, it only would. */
export interface AdminPruneResult {
  readonly dryRun: boolean;
  readonly images: readonly AdminPruned[];
  readonly sizeBytes: number;
  /** Images that were meant, and are pinned or kept. */
  readonly stayingCount: number;
}

export interface AdminListQuery {
  /** Undefined: as many as there are. */
  readonly countMax: number | undefined;
  readonly signal: AbortSignal;
}

/** What the routes do. Each throws `REQUEST_INVALID` for what it cannot understand. */
export interface AdminActions {
  /** In the order of their names. `patterns`: regular expressions with commas between; `blob`: a part of the digest of a blob that it names. */
  listManifests(query: AdminListQuery & { readonly patterns?: string; readonly blob?: string; readonly withBlobs: boolean }): Promise<readonly AdminManifest[]>;
  /** In the order of their digests. `part`: of the digest. */
  listBlobs(query: AdminListQuery & { readonly part?: string }): Promise<readonly AdminBlob[]>;
  prune(query: AdminPruneQuery): Promise<AdminPruneResult>;
  /** Returns at once; what runs is finished first. */
  stop(): void;
}

export const adminPaths = "/cmd/*";

interface AdminRoute {
  readonly method: "GET" | "DELETE";
  readonly answer: (exchange: Exchange, actions: AdminActions) => Promise<Answer>;
}

const routes: ReadonlyMap<string, AdminRoute> = new Map([
  ["/cmd/manifest/list", { method: "GET", answer: answerManifests }],
  ["/cmd/image/list", { method: "GET", answer: answerImages }],
  ["/cmd/blob/list", { method: "GET", answer: answerBlobs }],
  ["/cmd/prune", { method: "DELETE", answer: answerPrune }],
  ["/cmd/stop", { method: "GET", answer: answerStop }],
]);

/** Answers a request below `/cmd/` once the door has let it in: whoever is kept out does not learn what there is. */
export function answerAdmin(
  exchange: Exchange,
  { door, actions }: { readonly door: Pick<AdminDoor, "pass">; readonly actions: AdminActions },
): ReturnType<AdminDoor["pass"]> {
  return door.pass(exchange, async () => {
    const path = exchange.target.split("?", 1)[0] ?? "";
    const route = routes.get(path);
    if (!route) throw new OciError("NAME_UNKNOWN", `there is nothing at ${path.slice(0, 256)}`);
    if (exchange.method !== route.method) return wrongMethod(exchange.method, path, route);
    const answer = await route.answer(exchange, actions);
    return { ...answer, headers: [...answer.headers, "Cache-Control", "no-store"] };
  });
}

async function answerManifests(exchange: Exchange, actions: AdminActions): Promise<Answer> {
  const query = new AdminQuery(exchange.target, ["pattern", "count"]);
  const manifests = await actions.listManifests({ ...patternsOf(query), withBlobs: false, countMax: query.count(), signal: exchange.signal });
  return shown(exchange, manifests.map(manifestJson), { header: "URL DIGEST CREATED PULLED", none: "no manifests found", lines: manifests.map(manifestLine) });
}

async function answerImages(exchange: Exchange, actions: AdminActions): Promise<Answer> {
  const query = new AdminQuery(exchange.target, ["pattern", "digest", "count"]);
  const blob = query.text("digest");
  const by = query.text("pattern") === undefined && blob !== undefined ? { blob } : patternsOf(query);
  const manifests = await actions.listManifests({ ...by, withBlobs: true, countMax: query.count(), signal: exchange.signal });
  return shown(
    exchange,
    manifests.map((manifest) => ({ ...manifestJson(manifest), blobs: manifest.blobs })),
    {
      header: "URL DIGEST CREATED PULLED",
      none: "no manifests found",
      lines: manifests.map((manifest) => [manifestLine(manifest), ...manifest.blobs.map((digest) => `- ${digest}`)].join("\n")),
    },
  );
}

async function answerBlobs(exchange: Exchange, actions: AdminActions): Promise<Answer> {
  const query = new AdminQuery(exchange.target, ["substr", "count"]);
  const part = query.text("substr");
  const blobs = await actions.listBlobs({ ...(part === undefined ? {} : { part }), countMax: query.count(), signal: exchange.signal });
  return shown(
    exchange,
    blobs.map(({ digest, references, sizeBytes }) => ({ digest, references, size: sizeBytes })),
    { header: "URL REFCNT", none: "no blobs found", lines: blobs.map(({ digest, references }) => `${digest} ${references}`) },
  );
}

async function answerPrune(exchange: Exchange, actions: AdminActions): Promise<Answer> {
  const query = new AdminQuery(exchange.target, ["type", "dur", "expr", "count", "dryRun"]);
  const { dryRun, images, sizeBytes, stayingCount } = await actions.prune({
    type: query.choice("type", ["accessed", "created", "pattern"]),
    duration: query.text("dur"),
    expression: query.text("expr"),
    countMax: query.count(),
    dryRun: query.flag("dryRun"),
    signal: exchange.signal,
  });
  const json = {
    dryRun,
    size: sizeBytes,
    staying: stayingCount,
    images: images.map(({ name, digest, reason, sizeBytes: size }) => ({ name, digest, reason, size })),
  };
  const verb = dryRun ? "would prune" : "pruned";
  const lines = images.map(({ name, digest, reason, sizeBytes: size }) => `${verb} ${name} ${digest} ${size} ${reason}`);
  const staying = stayingCount === 0 ? "" : `; ${stayingCount} ${stayingCount === 1 ? "image matches and stays" : "images match and stay"}: pinned or kept`;
  const text = [...lines, `${verb} ${images.length} ${images.length === 1 ? "image" : "images"}, ${sizeBytes} bytes${staying}`];
  return exchange.accepts("application/json") ? jsonAnswer(200, json) : textAnswer(200, `${text.join("\n")}\n`);
}

async function answerStop(exchange: Exchange, actions: AdminActions): Promise<Answer> {
  new AdminQuery(exchange.target, []);
  actions.stop();
  return exchange.accepts("application/json") ? jsonAnswer(200, { stopping: true }) : textAnswer(200, "stopping\n");
}

function patternsOf(query: AdminQuery): { readonly patterns?: string } {
  const patterns = query.text("pattern");
  return patterns === undefined ? {} : { patterns };
}

interface Columns {
  readonly header: string;
  readonly none: string;
  readonly lines: readonly string[];
}

function shown(exchange: Exchange, json: readonly object[], { header, none, lines }: Columns): Answer {
  if (exchange.accepts("application/json")) return jsonAnswer(200, json);
  return textAnswer(200, lines.length === 0 ? `${none}\n` : `${[header, ...lines].join("\n")}\n`);
}

function manifestJson({ name, digest, heldSinceMs, pulledAtMs }: AdminManifest) {
  return { name, digest, created: new Date(heldSinceMs).toISOString(), pulled: pulledAtMs === undefined ? null : new Date(pulledAtMs).toISOString() };
}

/** A digest in a name is cut short, as it follows whole. */
function manifestLine(manifest: AdminManifest): string {
  const { name, digest, created, pulled } = manifestJson(manifest);
  return `${name.replace(/(@sha\d+:[0-9a-f]{10})[0-9a-f]+$/, "$1")} ${digest} ${created} ${pulled ?? "-"}`;
}

function wrongMethod(method: string, path: string, { method: allowed }: AdminRoute): Answer {
  const message = `${method.slice(0, 16)} does not go with ${path}: ${allowed} does`;
  return jsonAnswer(405, { errors: [{ code: "UNSUPPORTED", message }] }, { headers: ["Allow", allowed] });
}
