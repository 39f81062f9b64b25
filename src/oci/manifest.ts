/**
 * Manifest: exact bytes with a media type, and what those bytes name. The bytes are never written anew; parsing only looks.
 * OCI image-spec "Image Manifest Specification" and "Image Index Specification".
 */
import type { Descriptor } from "./descriptor.ts";
import { digestOf, findDigest, type Digest, type DigestAlgorithm } from "./digest.ts";
import { OciError } from "./errors.ts";
import { mediaTypes } from "./media-types.ts";
import { readPlatform } from "./platform.ts";

/** What the spec lets clients expect (4 MiB), with containerd's margin (4 x 1048 x 1048). */
export const manifestBytesMax = 4_393_216;

const mediaTypePattern = /^[A-Za-z0-9][\w!#$&^.+-]{0,126}\/[A-Za-z0-9*][\w!#$&^.+-]{0,126}$/;
const descriptorsMax = 100_000;

export interface Manifest {
  readonly descriptor: Descriptor & { readonly sizeBytes: number };
  readonly bytes: Uint8Array;
}

/** What a manifest's JSON names. */
export interface ManifestContent {
  readonly kind: "index" | "image";
  /** Children of an index: manifests, by digest. */
  readonly manifests: readonly Descriptor[];
  /** Config and layers of an image, the config first. */
  readonly blobs: readonly Descriptor[];
  /** The first of `blobs`, where it is one: an artifact may have none. */
  readonly config: Descriptor | undefined;
  readonly subject: Descriptor | undefined;
  /** What a referrers list shows: `artifactType`, else an image's config media type. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/**
 * Makes a manifest of bytes from an upstream or the disk. `contentType` is what was said of them; a generic one (text/plain,
 * application/json, octet-stream, nothing) is replaced by the body's `mediaType`, or by its shape.
 * Throws `MANIFEST_INVALID`: too large, not a JSON object, or Docker's schema 1, whose digests cannot be verified.
 */
export function parseManifest(
  bytes: Uint8Array,
  { contentType, algorithm = "sha256" }: { contentType?: string | undefined; algorithm?: DigestAlgorithm } = {},
): Manifest {
  const json = parseObject(bytes);
  const mediaType = mediaTypeOf(json, contentType);
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes, algorithm), sizeBytes: bytes.byteLength } };
}

/** What the bytes name. Descriptors that are malformed are left out: they name nothing. Throws as `parseManifest`. */
export function readManifestContent(bytes: Uint8Array): ManifestContent {
  const json = parseObject(bytes);
  const config = findDescriptor(json["config"]);
  const kind = Array.isArray(json["manifests"]) && !config ? "index" : "image";
  const layers = [...findDescriptors(json["layers"]), ...findDescriptors(json["blobs"])];
  const artifactType =
    typeof json["artifactType"] === "string" && json["artifactType"] !== "" ? json["artifactType"] : kind === "image" ? config?.mediaType : undefined;
  return {
    kind,
    manifests: findDescriptors(json["manifests"]),
    blobs: config ? [config, ...layers] : layers,
    config,
    subject: findDescriptor(json["subject"]),
    artifactType,
    annotations: findAnnotations(json["annotations"]),
  };
}

/** Every digest that a manifest names as content of its repository; a subject is not: it may be missing. */
export function namedDescriptors(content: ManifestContent): readonly Descriptor[] {
  return [...content.manifests, ...content.blobs];
}

/** A media type without its parameters, lower case, by the grammar of RFC 6838 4.2, so that a header can carry it; undefined for none. */
export function bareMediaType(contentType: string | undefined): string | undefined {
  const bare = contentType?.split(";", 1)[0]?.trim();
  return bare !== undefined && mediaTypePattern.test(bare) ? bare.toLowerCase() : undefined;
}

/** A descriptor read from JSON, or undefined when it is not one. */
export function findDescriptor(json: unknown): Descriptor | undefined {
  if (!isObject(json) || typeof json["digest"] !== "string") return undefined;
  const digest: Digest | undefined = findDigest(json["digest"]);
  if (!digest) return undefined;
  const size = json["size"];
  const annotations = findAnnotations(json["annotations"]);
  const platform = readPlatform(json["platform"]);
  const isForeign = Array.isArray(json["urls"]) && json["urls"].length > 0;
  return {
    mediaType: typeof json["mediaType"] === "string" ? json["mediaType"] : mediaTypes.octetStream,
    digest,
    sizeBytes: typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? size : undefined,
    ...(typeof json["artifactType"] === "string" ? { artifactType: json["artifactType"] } : {}),
    ...(annotations ? { annotations } : {}),
    ...(platform ? { platform } : {}),
    ...(isForeign ? { isForeign } : {}),
  };
}

/** Descriptors of a JSON array; malformed ones are left out, anything but an array is none. */
export function findDescriptors(json: unknown): readonly Descriptor[] {
  if (!Array.isArray(json)) return [];
  return json.slice(0, descriptorsMax).flatMap((entry: unknown) => findDescriptor(entry) ?? []);
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.byteLength > manifestBytesMax) throw new OciError("MANIFEST_INVALID", `a manifest of ${bytes.byteLength} bytes: at most ${manifestBytesMax}`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  const json = tryParse(text);
  if (!isObject(json)) throw new OciError("MANIFEST_INVALID", "a manifest that is not a JSON object");
  return json;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new OciError("MANIFEST_INVALID", "a manifest that is not JSON", { cause: error });
  }
}

const genericTypes: ReadonlySet<string> = new Set(["text/plain", "text/html", "application/json", mediaTypes.octetStream]);

function mediaTypeOf(json: Record<string, unknown>, contentType: string | undefined): string {
  const said = bareMediaType(contentType);
  const inBody = typeof json["mediaType"] === "string" ? bareMediaType(json["mediaType"]) : undefined;
  const mediaType = said !== undefined && !genericTypes.has(said) ? said : (inBody ?? mediaTypeByShape(json));
  if (json["schemaVersion"] === 1 || mediaType === mediaTypes.dockerSchema1 || mediaType === mediaTypes.dockerSchema1Signed) {
    throw new OciError("MANIFEST_INVALID", "a Docker schema 1 manifest: too old to be verified; push the image again with a current tool");
  }
  if (mediaType === undefined) throw new OciError("MANIFEST_INVALID", "JSON that is neither an image manifest nor an index");
  return mediaType;
}

function mediaTypeByShape(json: Record<string, unknown>): string | undefined {
  if (Array.isArray(json["manifests"])) return mediaTypes.ociIndex;
  if (Array.isArray(json["layers"]) || isObject(json["config"])) return mediaTypes.ociManifest;
  return undefined;
}

function findAnnotations(json: unknown): Record<string, string> | undefined {
  if (!isObject(json)) return undefined;
  const entries = Object.entries(json).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
