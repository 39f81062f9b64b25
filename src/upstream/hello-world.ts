/** HelloWorld: answers `docker.io/library/hello-world:latest` out of files in the package, so that a first pull needs no network. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, hexOf, parseDigest, type Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { namedDescriptors, parseManifest, readManifestContent, type Manifest } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import { resolveRanges, type ByteRange, type RangeSpec } from "../oci/ranges.ts";
import { referenceName, type Reference } from "../oci/reference.ts";
import type { Answered, BlobContent, Registry } from "../oci/registry.ts";
import { dockerHub, repositoryName, type Repository } from "../oci/repository.ts";

export interface HelloWorldOptions {
  /** Answers everything else. */
  readonly next: Registry;
  /** An OCI image layout: `assets/hello-world` in the package. */
  readonly files: string;
}

const path = "library/hello-world";
const tag = "latest";
const answered: Answered = { outcome: "passed", warnings: [], source: "package", isPublic: true };

/** The image, read once: a few kilobytes. */
interface Image {
  readonly latest: Digest;
  readonly manifests: ReadonlyMap<Digest, Manifest>;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

/** In front of any registry. What the package does not hold, `next` is asked for. */
export class HelloWorld implements Registry {
  readonly #next: Registry;
  readonly #files: string;
  #image: Promise<Image> | undefined;

  constructor({ next, files }: HelloWorldOptions) {
    this.#next = next;
    this.#files = files;
  }

  getManifest: Registry["getManifest"] = async (repository, reference, call) => {
    const manifest = await this.#manifest(repository, reference);
    return manifest ? { ...manifest, ...answered } : this.#next.getManifest(repository, reference, call);
  };

  headManifest: Registry["headManifest"] = async (repository, reference, call) => {
    const manifest = await this.#manifest(repository, reference);
    return manifest ? { ...manifest.descriptor, ...answered } : this.#next.headManifest(repository, reference, call);
  };

  getBlob: Registry["getBlob"] = async (repository, digest, call) => {
    const bytes = await this.#blob(repository, digest);
    return bytes ? Object.assign(new MemoryBlob(digest, bytes, call.ranges), answered) : this.#next.getBlob(repository, digest, call);
  };

  headBlob: Registry["headBlob"] = async (repository, digest, call) => {
    const bytes = await this.#blob(repository, digest);
    return bytes ? { mediaType: mediaTypes.octetStream, digest, sizeBytes: bytes.byteLength, ...answered } : this.#next.headBlob(repository, digest, call);
  };

  listTags: Registry["listTags"] = async (repository, call) => {
    if (!isOurs(repository)) return this.#next.listTags(repository, call);
    const isListed = (call.last === undefined || call.last < tag) && call.limit !== 0;
    return { tags: isListed ? [tag] : [], ...answered };
  };

  listReferrers: Registry["listReferrers"] = async (repository, digest, call) => {
    if (!isOurs(repository) || !(await this.#load()).manifests.has(digest)) return this.#next.listReferrers(repository, digest, call);
    return { manifests: [], ...answered };
  };

  async #manifest(repository: Repository, reference: Reference): Promise<Manifest | undefined> {
    if (!isOurs(repository)) return undefined;
    const image = await this.#load();
    if (reference.kind === "digest") return image.manifests.get(reference.digest);
    return referenceName(reference) === tag ? image.manifests.get(image.latest) : undefined;
  }

  async #blob(repository: Repository, digest: Digest): Promise<Uint8Array | undefined> {
    return isOurs(repository) ? (await this.#load()).blobs.get(digest) : undefined;
  }

  #load(): Promise<Image> {
    this.#image ??= loadImage(this.#files).catch((error: unknown) => {
      this.#image = undefined;
      throw new OciError("MANIFEST_UNKNOWN", `${dockerHub}/${path}: the package's own files cannot be read`, { cause: error });
    });
    return this.#image;
  }
}

function isOurs(repository: Repository): boolean {
  return repositoryName(repository) === `${dockerHub}/${path}`;
}

async function loadImage(files: string): Promise<Image> {
  const layout: unknown = JSON.parse(await readFile(join(files, "index.json"), "utf8"));
  const [top] = readManifestContent(Buffer.from(JSON.stringify(layout))).manifests;
  if (!top) throw new Error(`no manifest in ${join(files, "index.json")}`);
  const manifests = new Map<Digest, Manifest>();
  const blobs = new Map<Digest, Uint8Array>();
  const wanted = [top.digest];
  for (let digest = wanted.pop(); digest !== undefined; digest = wanted.pop()) {
    const manifest = parseManifest(await readBlob(files, digest));
    manifests.set(digest, manifest);
    const content = readManifestContent(manifest.bytes);
    for (const named of namedDescriptors(content)) {
      if (content.kind === "index") wanted.push(named.digest);
      else blobs.set(named.digest, await readBlob(files, named.digest));
    }
  }
  return { latest: top.digest, manifests, blobs };
}

async function readBlob(files: string, digest: Digest): Promise<Buffer> {
  const bytes = await readFile(join(files, "blobs", "sha256", hexOf(parseDigest(digest))));
  if (digestOf(bytes) === digest) return bytes;
  throw new Error(`the bytes of ${digest} in ${files} were changed`);
}

/** A blob that lies in memory. */
class MemoryBlob implements BlobContent {
  readonly descriptor;
  readonly kind: "full" | "partial";
  readonly ranges: readonly ByteRange[];
  readonly #bytes: Uint8Array;

  constructor(digest: Digest, bytes: Uint8Array, specs: readonly RangeSpec[] | undefined) {
    const ranges = specs ? resolveRanges(specs, bytes.byteLength) : undefined;
    this.descriptor = { mediaType: mediaTypes.octetStream, digest, sizeBytes: bytes.byteLength };
    this.kind = ranges ? "partial" : "full";
    this.ranges = ranges ?? [];
    this.#bytes = bytes;
  }

  read(target: Uint8Array, positionBytes: number): Promise<number> {
    const part = this.#bytes.subarray(positionBytes, positionBytes + target.byteLength);
    target.set(part);
    return Promise.resolve(part.byteLength);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
