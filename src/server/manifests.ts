/** Manifests: GET and HEAD of `/v2/NAME/manifests/REFERENCE`. The hottest path of all: what never changes is prepared once. */
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { bareMediaType, type Manifest } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Reference } from "../oci/reference.ts";
import type { Answered, Registry } from "../oci/registry.ts";
import { apiVersionHeader, warningHeaders, type Answer } from "./answer.ts";
import { namesDigest } from "./conditions.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./routes.ts";

type ManifestRoute = Extract<Route, { kind: "manifest" }>;

interface Prepared {
  readonly headers: readonly string[];
  readonly body: Uint8Array | string;
}

/** Up to this size a body leaves as one string together with its head, in one write: a tenth of the whole request's cost. */
const preparedBytesMax = 16 * 1024;

export class ManifestAnswers {
  readonly #registry: Registry;
  /** By the descriptor object: a cache hands out the same one until the manifest is another. */
  readonly #prepared = new WeakMap<Descriptor, Prepared>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** At once when the manifest is at hand. */
  answer(route: ManifestRoute, exchange: Exchange): Answer | Promise<Answer> {
    const manifest = exchange.noCache ? undefined : this.#registry.manifestAtHand?.(route.repository, route.reference);
    if (manifest) return this.#answer(manifest, route, exchange);
    return exchange.method === "HEAD" ? this.#head(route, exchange) : this.#get(route, exchange);
  }

  async #get(route: ManifestRoute, exchange: Exchange): Promise<Answer> {
    return this.#answer(await this.#registry.getManifest(route.repository, route.reference, exchange.call()), route, exchange);
  }

  #answer({ descriptor, bytes, outcome, warnings }: Manifest & Answered, { reference }: ManifestRoute, exchange: Exchange): Answer {
    const prepared = this.#prepare(descriptor, bytes, reference);
    const headers = withWarnings(prepared.headers, warnings);
    if (namesDigest(exchange.header("if-none-match"), shownDigest(descriptor, reference))) return notModified(headers, outcome);
    return { status: 200, headers, body: prepared.body, encoding: "latin1", outcome };
  }

  async #head({ repository, reference }: ManifestRoute, exchange: Exchange): Promise<Answer> {
    const { outcome, warnings, ...descriptor } = await this.#registry.headManifest(repository, reference, exchange.call());
    const headers = withWarnings(manifestHeaders(descriptor, shownDigest(descriptor, reference)), warnings);
    if (namesDigest(exchange.header("if-none-match"), shownDigest(descriptor, reference))) return notModified(headers, outcome);
    return { status: 200, headers, body: "", outcome };
  }

  #prepare(descriptor: Descriptor, bytes: Uint8Array, reference: Reference): Prepared {
    const digest = shownDigest(descriptor, reference);
    if (digest !== descriptor.digest) return { headers: manifestHeaders(descriptor, digest), body: bytes };
    const known = this.#prepared.get(descriptor);
    if (known) return known;
    const body = bytes.byteLength <= preparedBytesMax ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1") : bytes;
    const prepared = { headers: manifestHeaders(descriptor, digest), body };
    this.#prepared.set(descriptor, prepared);
    return prepared;
  }
}

/** The digest as the client asked for it: the same bytes have one for each algorithm. */
function shownDigest(descriptor: Descriptor, reference: Reference): Digest {
  return reference.kind === "digest" ? reference.digest : descriptor.digest;
}

function manifestHeaders({ mediaType, sizeBytes }: Descriptor, digest: Digest): readonly string[] {
  return [
    "Content-Type",
    bareMediaType(mediaType) ?? mediaTypes.octetStream,
    ...(sizeBytes === undefined ? [] : ["Content-Length", String(sizeBytes)]),
    "Docker-Content-Digest",
    digest,
    "ETag",
    `"${digest}"`,
    ...apiVersionHeader,
  ];
}

function withWarnings(headers: readonly string[], warnings: readonly string[]): readonly string[] {
  return warnings.length === 0 ? headers : [...headers, ...warningHeaders(warnings)];
}

function notModified(headers: readonly string[], outcome: Answered["outcome"]): Answer {
  return { status: 304, headers, body: "", outcome };
}
