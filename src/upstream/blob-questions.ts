/** Asking one endpoint for blobs, whole or in part. OCI distribution-spec 1.1 "Pulling blobs"; RFC 9110 14 for ranges. */
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { ByteRange, RangeSpec } from "../oci/ranges.ts";
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

/** The blob, once its headers are there: in part when a range was asked and could be honoured. Dispose of it. */
export function askBlob(
  endpoint: Endpoint,
  repository: Repository,
  digest: Digest,
  options: AskBlobOptions,
): Promise<{ readonly blob: NetworkBlob; readonly isPublic: boolean }> {
  const { range: spec, signal, clock, pullTimeoutMs } = options;
  const sought = blobSought(repository, digest);
  const question = {
    repository: repository.path,
    path: `/blobs/${digest}`,
    method: "GET",
    lane: "blob",
    ...(spec ? { range: rangeHeader(spec) } : {}),
  } as const;
  return endpoint.ask(question, signal, (answer) => {
    if (isEmpty(answer)) return Promise.resolve({ blob: emptyBlob(answer, digest, pullTimeoutMs), isPublic: answer.isPublic });
    checkStatus(answer, sought, clock);
    const range = answer.status === 206 ? readRange(answer, spec) : undefined;
    const sizeBytes = range ? range.sizeBytes : lengthOf(answer);
    const descriptor = { mediaType: mediaTypes.octetStream, digest, sizeBytes };
    const blob = new NetworkBlob({ descriptor, range: range?.range, body: answer.body, pullTimeoutMs, host: answer.url.host });
    return Promise.resolve({ blob, isPublic: answer.isPublic });
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

function emptyBlob(answer: EndpointAnswer, digest: Digest, pullTimeoutMs: number): NetworkBlob {
  answer.body.discard();
  return new NetworkBlob({
    descriptor: { mediaType: mediaTypes.octetStream, digest, sizeBytes: 0 },
    range: undefined,
    body: answer.body,
    pullTimeoutMs,
    host: answer.url.host,
  });
}

/** What a 206 carries. Throws when that is not (the beginning of) what was asked for. */
function readRange(answer: EndpointAnswer, spec: RangeSpec | undefined): { readonly range: ByteRange; readonly sizeBytes: number | undefined } {
  const said = parseContentRange(answer.header("content-range") ?? "");
  if (!spec || !said?.range) throw unusable(answer.url, "a part of a blob that does not say which");
  const { range, sizeBytes } = said;
  const length = lengthOf(answer);
  if (length !== undefined && length !== range.endBytes - range.startBytes + 1)
    throw unusable(answer.url, "a part of a blob that has another length than it says");
  if ("suffixBytes" in spec) {
    const isSuffix = sizeBytes !== undefined && range.startBytes === Math.max(0, sizeBytes - spec.suffixBytes) && range.endBytes === sizeBytes - 1;
    if (!isSuffix) throw unusable(answer.url, `another part of a blob (${range.startBytes}-${range.endBytes}) than the last ${spec.suffixBytes} bytes`);
  } else if (range.startBytes !== spec.startBytes || (spec.endBytes !== undefined && range.endBytes > spec.endBytes)) {
    throw unusable(answer.url, `another part of a blob (${range.startBytes}-${range.endBytes}) than was asked for (${rangeHeader(spec)})`);
  }
  return { range, sizeBytes };
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
