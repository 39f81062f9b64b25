/** Asking: what tests of the upstream side begin with: an `Upstreams` over fakes on 127.0.0.1, names there, and calls. */
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import { OciError, type OciErrorCode } from "../../src/oci/errors.ts";
import { silentLog } from "../../src/oci/log.ts";
import { parseReference, type Reference } from "../../src/oci/reference.ts";
import type { BlobContent, Call } from "../../src/oci/registry.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import { Upstreams } from "../../src/upstream/upstreams.ts";
import type { UpstreamOptions, UpstreamRegistryOptions } from "../../src/upstream/upstream-options.ts";

export interface Fake {
  readonly host: string;
  readonly url: string;
}

/** A registry of the configuration that is `fake`. */
export function listedAs(fake: Fake, options: Partial<UpstreamRegistryOptions> = {}): UpstreamRegistryOptions {
  const scheme = fake.url.startsWith("https:") ? "https" : "http";
  return { host: parseRegistryHost(fake.host, { scheme }), scheme, ...options };
}

/** `Upstreams` that is closed at the end of its scope. */
export function startUpstreams(registries: readonly UpstreamRegistryOptions[], options: Partial<UpstreamOptions> = {}): Upstreams & AsyncDisposable {
  const clock: Clock = options.clock ?? systemClock;
  const upstreams = new Upstreams({ registries, unlisted: "public", log: silentLog, userAgent: "ociregistry/test", ...options, clock });
  return Object.assign(upstreams, { [Symbol.asyncDispose]: () => upstreams.close() });
}

export function repositoryAt(host: string, path = "team/app", scheme: "http" | "https" = "http"): Repository {
  return repositoryOf(parseRegistryHost(host, { scheme }), parseRepositoryPath(path));
}

export function reference(raw = "latest"): Reference {
  return parseReference(raw);
}

export function call(more: Partial<Call> = {}): Call {
  return { signal: new AbortController().signal, requestId: "test", purpose: "pull", mayFetch: true, ...more };
}

/** Everything that is left of a blob, from `fromBytes` on. */
export async function readAll(blob: BlobContent, fromBytes = blob.ranges[0]?.startBytes ?? 0): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const target = Buffer.alloc(100_000);
  let position = fromBytes;
  for (;;) {
    const count = await blob.read(target, position);
    if (count === 0) return Buffer.concat(pieces);
    pieces.push(Buffer.from(target.subarray(0, count)));
    position += count;
  }
}

/** The `OciError` that `work` rejects with; fails the test when it does not, or when it is of another code. */
export async function failureOf(work: Promise<unknown>, code?: OciErrorCode): Promise<OciError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OciError)) throw new Error(`expected an OciError, not ${String(error)}`, { cause: error });
  if (code !== undefined && error.code !== code) throw new Error(`expected ${code}, not ${error.code}: ${error.message}`, { cause: error });
  return error;
}
