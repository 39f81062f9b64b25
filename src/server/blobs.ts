/** Blobs: GET and HEAD of `/v2/NAME/blobs/DIGEST`, whole or in ranges. */
import type { Digest } from "../oci/digest.ts";
import type { Log } from "../oci/log.ts";
import { mediaTypes } from "../oci/media-types.ts";
import { lengthOf } from "../oci/ranges.ts";
import type { Answered, BlobAtHand, BlobContent, Registry } from "../oci/registry.ts";
import { apiVersionHeader, warningHeaders, type Answer } from "./answer.ts";
import { sendBlobBody } from "./blob-body.ts";
import { ClientGone, type BlobBodyOptions } from "./body-transfer.ts";
import { namesDigest, rangesApply } from "./conditions.ts";
import { RESPONSE_ALREADY_SENT, type Exchange } from "./exchange.ts";
import { contentRange, multipartLayout, type BodySegment } from "./multipart.ts";
import { parseRange } from "./ranges.ts";
import type { Route } from "./routes.ts";

type BlobRoute = Extract<Route, { kind: "blob" }>;

export interface BlobAnswersOptions extends BlobBodyOptions {
  readonly registry: Registry;
  readonly log: Log;
}

/** Blobs of this size or less answer only when their bytes are verified: a wrong one gets a status, not a cut. */
const heldBackBytes = 64 * 1024;

export class BlobAnswers {
  readonly #registry: Registry;
  readonly #log: Log;
  readonly #body: BlobBodyOptions;
  readonly #prepared = new WeakMap<BlobAtHand, readonly string[]>();

  constructor({ registry, log, pool, stallTimeoutMs }: BlobAnswersOptions) {
    this.#registry = registry;
    this.#log = log;
    this.#body = { pool, stallTimeoutMs };
  }

  /** An answer to send, or the response when the body has been sent already. */
  answer(route: BlobRoute, exchange: Exchange): Answer | Promise<Answer | Response> {
    const blob = this.#registry.blobAtHand?.(route.repository, route.digest);
    if (blob && exchange.header("range") === undefined) return this.#answerAtHand(blob, exchange);
    const isKnown = namesDigest(exchange.header("if-none-match"), route.digest);
    return exchange.method === "HEAD" || isKnown ? this.#head(route, exchange, isKnown) : this.#get(route, exchange);
  }

  #answerAtHand(blob: BlobAtHand, exchange: Exchange): Answer {
    const { descriptor, bytes, outcome } = blob;
    const headers = this.#prepared.get(blob) ?? [
      "Content-Type",
      mediaTypes.octetStream,
      "Content-Length",
      String(bytes.byteLength),
      ...blobHeaders(descriptor.digest, []),
    ];
    this.#prepared.set(blob, headers);
    return { status: namesDigest(exchange.header("if-none-match"), descriptor.digest) ? 304 : 200, headers, body: bytes, outcome };
  }

  async #head({ repository, digest }: BlobRoute, exchange: Exchange, isKnown: boolean): Promise<Answer> {
    const { sizeBytes, outcome, warnings } = await this.#registry.headBlob(repository, digest, exchange.call());
    const length = sizeBytes === undefined ? [] : ["Content-Length", String(sizeBytes)];
    const headers = ["Content-Type", mediaTypes.octetStream, ...length, ...blobHeaders(digest, warnings)];
    return { status: isKnown ? 304 : 200, headers, body: "", outcome };
  }

  async #get({ repository, digest }: BlobRoute, exchange: Exchange): Promise<Response> {
    const { outgoing } = exchange;
    if (!outgoing) throw new Error("a blob's body leaves by Node's response only: ask over a socket");
    const ranges = rangesApply(exchange.header("if-range"), digest) ? parseRange(exchange.header("range")) : undefined;
    const call = exchange.call();
    await using content = await this.#registry.getBlob(repository, digest, ranges ? { ...call, ranges } : call);
    const { status, headers, segments } = layOut(content);
    const isHeld = content.outcome === "hit";
    const head = {
      status,
      isHeld,
      headers: exchange.withOwnHeaders([...headers, ...blobHeaders(digest, content.warnings)]),
      waitsForBytes: isHeld || (content.descriptor.sizeBytes ?? Number.POSITIVE_INFINITY) <= heldBackBytes,
    };
    const sent = { bytes: 0 };
    try {
      await sendBlobBody(outgoing, head, segments, content, this.#body, sent);
    } catch (error) {
      if (!outgoing.headersSent) throw error;
      if (!(error instanceof ClientGone)) this.#log.warn({ digest, error, requestId: exchange.requestId, sentBytes: sent.bytes }, "blob cut");
    }
    exchange.tell(status, sent.bytes, content.outcome);
    return RESPONSE_ALREADY_SENT;
  }
}

interface BlobLayout {
  readonly status: number;
  readonly headers: readonly string[];
  readonly segments: readonly BodySegment[];
}

function layOut({ descriptor: { sizeBytes }, kind, ranges }: BlobContent): BlobLayout {
  const [range] = ranges;
  if (kind === "full" || range === undefined) {
    const length = sizeBytes === undefined ? [] : ["Content-Length", String(sizeBytes)];
    return { status: 200, headers: ["Content-Type", mediaTypes.octetStream, ...length], segments: [{ kind: "blob", startBytes: 0, sizeBytes }] };
  }
  if (ranges.length === 1) {
    const spanBytes = lengthOf(range);
    const headers = ["Content-Type", mediaTypes.octetStream, "Content-Length", String(spanBytes), "Content-Range", contentRange(range, sizeBytes)];
    return { status: 206, headers, segments: [{ kind: "blob", startBytes: range.startBytes, sizeBytes: spanBytes }] };
  }
  const { contentType, contentLength, segments } = multipartLayout(ranges, sizeBytes);
  return { status: 206, headers: ["Content-Type", contentType, "Content-Length", String(contentLength)], segments };
}

function blobHeaders(digest: Digest, warnings: Answered["warnings"]): readonly string[] {
  return ["Docker-Content-Digest", digest, "ETag", `"${digest}"`, "Accept-Ranges", "bytes", ...apiVersionHeader, ...warningHeaders(warnings)];
}
