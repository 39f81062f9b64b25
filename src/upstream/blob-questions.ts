/** Asking one endpoint for blobs, whole or in part. OCI distribution-spec 1.1 "Pulling blobs"; RFC 9110 14 for ranges. */
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import { lengthOf as lengthOfRange, type ByteRange, type RangeSpec } from "../oci/ranges.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { parseContentRange } from "./content-range.ts";
import { checkStatus, type Delivered, type Endpoint, type EndpointAnswer } from "./endpoint.ts";
import { unusable, type Sought } from "./errors.ts";
import { NetworkBlob } from "./network-blob.ts";

export interface AskBlobOptions {
  readonly range: RangeSpec | undefined;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly pullTimeoutMs: number;
}

/**
 * The blob, once its headers are there: in part when a range was asked and could be honoured. One that is honoured wrongly is as
 * good as none: the whole blob comes then. Dispose of it.
 */
export async function askBlob(
  endpoint: Endpoint,
  repository: Repository,
  digest: Digest,
  { range, signal, clock, pullTimeoutMs }: AskBlobOptions,
): Promise<Delivered<{ readonly blob: NetworkBlob }>> {
  const sought = blobSought(repository, digest);
  const question = { repository: repository.path, path: `/blobs/${digest}`, method: "GET", lane: "blob" } as const;
  const deliver = (answer: EndpointAnswer, part: Part | undefined): Delivered<{ readonly blob: NetworkBlob }> => {
    const sizeBytes = isEmpty(answer) ? 0 : part ? part.sizeBytes : lengthOf(answer);
    const descriptor = { mediaType: mediaTypes.octetStream, digest, sizeBytes };
    if (isEmpty(answer)) answer.body.discard();
    return {
      blob: new NetworkBlob({ descriptor, range: part?.range, body: answer.body, pullTimeoutMs, host: answer.url.host }),
      isPublic: answer.isPublic,
    };
  };
  const delivered =
    range &&
    (await endpoint.ask({ ...question, range: rangeHeader(range) }, signal, async (answer) => {
      const part = answer.status === 206 ? findPart(answer, range) : undefined;
      const isHonoured = answer.status === 206 ? part !== undefined : answer.status !== 416 || isAbsent(range, answer);
      if (isHonoured && !isEmpty(answer)) checkStatus(answer, sought, clock);
      if (isHonoured) return deliver(answer, part);
      answer.body.discard();
      return undefined;
    }));
  if (delivered) return delivered;
  return endpoint.ask(question, signal, async (answer) => {
    if (answer.status === 206) throw unusable(answer.url, "a part of a blob, though nobody asked for one");
    checkStatus(answer, sought, clock);
    return deliver(answer, undefined);
  });
}

/** Whether it is there, and how large. Where HEAD is refused (a URL signed for GET), one byte is asked for. */
export async function askBlobDescriptor(
  endpoint: Endpoint,
  repository: Repository,
  digest: Digest,
  { signal, clock }: { signal: AbortSignal; clock: Clock },
): Promise<Delivered<Descriptor>> {
  const sought = blobSought(repository, digest);
  const question = { repository: repository.path, path: `/blobs/${digest}` } as const;
  const headed = await endpoint.ask({ ...question, method: "HEAD" }, signal, (answer) => {
    const isRefused = answer.status === 405 || answer.status === 501 || (!answer.isOwn && [400, 401, 403].includes(answer.status));
    if (isRefused) return Promise.resolve(undefined);
    checkStatus(answer, sought, clock);
    return Promise.resolve({ mediaType: mediaTypes.octetStream, digest, sizeBytes: lengthOf(answer), isPublic: answer.isPublic });
  });
  if (headed) return headed;
  return endpoint.ask({ ...question, method: "GET", range: "bytes=0-0" }, signal, (answer) => {
    const sizeBytes = answer.status === 200 ? lengthOf(answer) : parseContentRange(answer.header("content-range") ?? "")?.sizeBytes;
    if (!isEmpty(answer)) checkStatus(answer, sought, clock);
    answer.body.discard();
    return Promise.resolve({ mediaType: mediaTypes.octetStream, digest, sizeBytes, isPublic: answer.isPublic });
  });
}

/** An empty blob has no byte 0, and so no range at all: it is what it is. */
function isEmpty(answer: EndpointAnswer): boolean {
  return answer.status === 416 && parseContentRange(answer.header("content-range") ?? "")?.sizeBytes === 0;
}

interface Part {
  readonly range: ByteRange;
  /** Of the whole blob. */
  readonly sizeBytes: number | undefined;
}

/** What a 206 carries; undefined when that is not (the beginning of) what was asked for. */
function findPart(answer: EndpointAnswer, spec: RangeSpec): Part | undefined {
  const said = parseContentRange(answer.header("content-range") ?? "");
  if (!said?.range) return undefined;
  const { range, sizeBytes } = said;
  const length = lengthOf(answer);
  if (length !== undefined && length !== lengthOfRange(range)) return undefined;
  if ("suffixBytes" in spec) {
    const isSuffix = sizeBytes !== undefined && range.startBytes === Math.max(0, sizeBytes - spec.suffixBytes) && range.endBytes === sizeBytes - 1;
    return isSuffix ? { range, sizeBytes } : undefined;
  }
  const isBeginning = range.startBytes === spec.startBytes && (spec.endBytes === undefined || range.endBytes <= spec.endBytes);
  return isBeginning ? { range, sizeBytes } : undefined;
}

/** True when a 416 tells of a size in which there is no such range. */
function isAbsent(spec: RangeSpec, answer: EndpointAnswer): boolean {
  const sizeBytes = parseContentRange(answer.header("content-range") ?? "")?.sizeBytes;
  if (sizeBytes === undefined) return false;
  if ("suffixBytes" in spec) return sizeBytes === 0 || spec.suffixBytes === 0;
  return spec.startBytes >= sizeBytes || (spec.endBytes ?? sizeBytes) < spec.startBytes;
}

function rangeHeader(spec: RangeSpec): string {
  return "suffixBytes" in spec ? `bytes=-${spec.suffixBytes}` : `bytes=${spec.startBytes}-${spec.endBytes ?? ""}`;
}

function lengthOf(answer: EndpointAnswer): number | undefined {
  const length = answer.header("content-length");
  return length !== undefined && /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined;
}

function blobSought(repository: Repository, digest: Digest): Sought {
  return { unknown: "BLOB_UNKNOWN", name: `blob ${digest} of ${repositoryName(repository)}` };
}
