/** Asking one endpoint for manifests: what comes is what was asked for, or an error. OCI distribution-spec 1.1 "Pulling manifests". */
import type { Clock } from "../oci/clock.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, findDigest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { bareMediaType, manifestBytesMax, parseManifest, type Manifest } from "../oci/manifest.ts";
import { manifestAccept, mediaTypes } from "../oci/media-types.ts";
import { referenceName, type Reference } from "../oci/reference.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { checkStatus, type Delivered, type Endpoint, type EndpointAnswer } from "./endpoint.ts";
import { unusable, type Sought } from "./errors.ts";

const schema1Types: ReadonlySet<string> = new Set([mediaTypes.dockerSchema1, mediaTypes.dockerSchema1Signed]);
/** What a manifest is announced as, when it is announced as anything. */
const manifestTypes: ReadonlySet<string> = new Set([mediaTypes.ociIndex, mediaTypes.ociManifest, mediaTypes.dockerManifest, mediaTypes.dockerManifestList]);

/** The exact bytes. By digest, they have it; by tag, they are whatever the tag means there now. */
export function askManifest(endpoint: Endpoint, repository: Repository, reference: Reference, signal: AbortSignal, clock: Clock): Promise<Delivered<Manifest>> {
  const sought = manifestSought(repository, reference);
  const question = { repository: repository.path, path: `/manifests/${referenceName(reference)}`, method: "GET", accept: manifestAccept } as const;
  return endpoint.ask(question, signal, async (answer) => {
    checkStatus(answer, sought, clock);
    const length = Number(answer.header("content-length") ?? 0);
    if (length > manifestBytesMax) throw unusable(answer.url, `a manifest of ${length} bytes: at most ${manifestBytesMax}`);
    const bytes = await answer.body.readAll(manifestBytesMax, signal);
    return { ...readManifest(answer, bytes, reference, sought), isPublic: answer.isPublic };
  });
}

/** What a reference means, without its bytes. Rejects with `UNSUPPORTED` when the endpoint cannot tell without sending them. */
export function askManifestDescriptor(
  endpoint: Endpoint,
  repository: Repository,
  reference: Reference,
  signal: AbortSignal,
  clock: Clock,
): Promise<Delivered<Descriptor>> {
  const sought = manifestSought(repository, reference);
  const question = { repository: repository.path, path: `/manifests/${referenceName(reference)}`, method: "HEAD", accept: manifestAccept } as const;
  return endpoint.ask(question, signal, (answer) => {
    // A URL that was signed for GET refuses HEAD.
    if (answer.status === 405 || answer.status === 501 || (!answer.isOwn && [400, 401, 403].includes(answer.status)))
      throw untold(answer, "refuses HEAD", sought);
    checkStatus(answer, sought, clock);
    return Promise.resolve({ ...readDescriptor(answer, reference, sought), isPublic: answer.isPublic });
  });
}

function readManifest(answer: EndpointAnswer, bytes: Buffer, reference: Reference, sought: Sought): Manifest {
  const contentType = bareMediaType(answer.header("content-type"));
  const algorithm = reference.kind === "digest" ? algorithmOf(reference.digest) : "sha256";
  if (contentType !== undefined && schema1Types.has(contentType)) throw tooOld(answer, sought);
  let manifest;
  try {
    manifest = parseManifest(bytes, { contentType, algorithm });
  } catch (error) {
    if (!(error instanceof OciError) || error.code !== "MANIFEST_INVALID") throw error;
    if (isSchema1(bytes)) throw tooOld(answer, sought);
    throw unusable(answer.url, `${sought.name} is ${error.message}`, error);
  }
  if (reference.kind === "digest" && manifest.descriptor.digest !== reference.digest) {
    throw unusable(answer.url, `the bytes of ${sought.name} have the digest ${manifest.descriptor.digest}`);
  }
  return manifest;
}

function readDescriptor(answer: EndpointAnswer, reference: Reference, sought: Sought): Descriptor {
  const said = findDigest(answer.header("docker-content-digest")?.trim() ?? "");
  const digest = reference.kind === "digest" ? reference.digest : said;
  const length = answer.header("content-length");
  const mediaType = bareMediaType(answer.header("content-type"));
  if (!digest) throw untold(answer, "says no digest", sought);
  if (length === undefined || !/^[0-9]{1,15}$/.test(length)) throw untold(answer, "says no length", sought);
  if (mediaType === undefined || !manifestTypes.has(mediaType)) throw untold(answer, "says no manifest's media type", sought);
  return { mediaType, digest, sizeBytes: Number(length) };
}

function isSchema1(bytes: Buffer): boolean {
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof json === "object" && json !== null && "schemaVersion" in json && json.schemaVersion === 1;
  } catch {
    return false; // Not JSON: not schema 1 either.
  }
}

function manifestSought(repository: Repository, reference: Reference): Sought {
  const what = reference.kind === "tag" ? `tag ${reference.tag}` : `manifest ${reference.digest}`;
  return { unknown: "MANIFEST_UNKNOWN", name: `${what} of ${repositoryName(repository)}` };
}

function tooOld(answer: EndpointAnswer, sought: Sought): OciError {
  return new OciError(
    "MANIFEST_UNKNOWN",
    `${sought.name} is only there in Docker's schema 1 at ${answer.url.host}, which nothing can verify: push it again with a current tool`,
    { source: "upstream" },
  );
}

function untold(answer: EndpointAnswer, why: string, sought: Sought): OciError {
  return new OciError("UNSUPPORTED", `${sought.name}: ${answer.url.host} ${why}`, { source: "upstream" });
}
