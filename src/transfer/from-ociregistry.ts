/**
 * importOciregistry: the images of a Go ociregistry's folder into this store, under the names that they have there. Each image by
 * itself: what is damaged or lacks something is told of and left out, the rest goes on, and a second run goes on where the first stopped.
 */
import { DepositRefused } from "../cache/deposit-failures.ts";
import { Deposits } from "../cache/deposits.ts";
import type { Store } from "../cache/store.ts";
import type { Clock } from "../oci/clock.ts";
import { isElsewhere, type Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { OciregistryFolder, type OciregistryProblem, type OciregistryRecord } from "./ociregistry-folder.ts";

export interface FromOciregistryOptions {
  /** Its imagePath. */
  readonly folder: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly names: RegistryNames;
  /** Tags that are here keep what they mean, however old. */
  readonly keepTags?: boolean;
  readonly signal: AbortSignal;
  readonly onImage?: (image: TakenOverImage) => void;
}

export interface TakenOverImage {
  readonly repository: Repository;
  /** Absent for one that was pulled by its digest alone. */
  readonly tag?: Tag;
  readonly digest: Digest;
  /** "kept": the tag means something here that is newer, or is to stay; the image is held by its digest. */
  readonly verdict: "taken" | "kept";
  /** Blobs that this store did not hold before. */
  readonly newBytes: number;
}

export interface FromOciregistryResult {
  readonly images: readonly TakenOverImage[];
  /** What was left out, and why. Files first, then images. */
  readonly problems: readonly OciregistryProblem[];
}

const depthMax = 6;

/** Throws an Error in words where `folder` is none of its folders, `StoreUnwritable`, and the signal's reason. */
export async function importOciregistry(options: FromOciregistryOptions): Promise<FromOciregistryResult> {
  const { folder, names, signal, onImage } = options;
  const source = await OciregistryFolder.open(folder, names);
  const records: OciregistryRecord[] = [];
  const problems: OciregistryProblem[] = [];
  for await (const read of source.records(signal)) {
    if ("message" in read) problems.push(read);
    else records.push(read);
  }
  const taking = new Taking(source, records, options);
  const images: TakenOverImage[] = [];
  for (const image of imagesOf(records)) {
    signal.throwIfAborted();
    if (image.tag === undefined && taking.hasTried(image.record)) continue; // It came, or failed, as a part of its index.
    try {
      const taken = await taking.take(image);
      images.push(taken);
      onImage?.(taken);
    } catch (error) {
      if (!(error instanceof Incomplete || error instanceof DepositRefused)) throw error;
      problems.push({ file: image.record.file, message: `${nameOf(image)}: ${error.message}` });
    }
  }
  return { images, problems: [...problems, ...taking.damagedChildren] };
}

/** An image that lacks something. */
class Incomplete extends Error {}

interface Image {
  readonly record: OciregistryRecord;
  readonly tag: Tag | undefined;
}

/**
 * Which records begin an image. Of two that claim one tag the index is meant, of two of a kind the newer; the other stays an image
 * without a tag, unless an index names it: then it comes with that.
 */
function imagesOf(records: readonly OciregistryRecord[]): readonly Image[] {
  const byTag = new Map<string, OciregistryRecord>();
  const tagOf = ({ name }: OciregistryRecord): Tag | undefined => (name.digest ? undefined : name.tag);
  const keyOf = (record: OciregistryRecord): string => `${repositoryName(record.name.repository)}:${tagOf(record) ?? ""}`;
  const isBefore = (one: OciregistryRecord, other: OciregistryRecord): boolean =>
    one.kind === other.kind ? one.createdAtMs > other.createdAtMs : one.kind === "index";
  for (const record of records) {
    const known = byTag.get(keyOf(record));
    if (tagOf(record) !== undefined && (!known || isBefore(record, known))) byTag.set(keyOf(record), record);
  }
  const tagged = [...byTag.values()];
  const chosen = new Set(tagged);
  // Indexes first: what they bring along need not come by itself.
  const others = records.filter((record) => !chosen.has(record)).toSorted((one, other) => Number(other.kind === "index") - Number(one.kind === "index"));
  return [...tagged.map((record) => ({ record, tag: tagOf(record) })), ...others.map((record) => ({ record, tag: undefined }))];
}

class Taking {
  /** Children of indexes that were left out. */
  readonly damagedChildren: OciregistryProblem[] = [];
  readonly #source: OciregistryFolder;
  readonly #options: FromOciregistryOptions;
  readonly #deposits: Deposits;
  readonly #byDigest: ReadonlyMap<Digest, OciregistryRecord>;
  /** By repository and digest: how many bytes were new, or why it was left out. */
  readonly #tried = new Map<string, number | Error>();
  /** Whose bytes were hashed in this run: the file need not be read again for another registry. */
  readonly #hashed = new Set<Digest>();
  /** Manifests that came with the image that is taken now. */
  readonly #brought = new Set<Digest>();

  constructor(source: OciregistryFolder, records: readonly OciregistryRecord[], options: FromOciregistryOptions) {
    this.#source = source;
    this.#options = options;
    this.#deposits = new Deposits(options);
    this.#byDigest = new Map(records.map((record) => [record.digest, record]));
  }

  async take({ record, tag }: Image): Promise<TakenOverImage> {
    const { repository } = record.name;
    this.#brought.clear();
    const newBytes = await this.#deposit(record, repository, 0);
    const verdict = tag === undefined ? "taken" : await this.#setTag(repository, tag, record);
    await this.#deposits.confirm(repository, [record.digest, ...this.#brought]);
    return { repository, digest: record.digest, verdict, newBytes, ...(tag === undefined ? {} : { tag }) };
  }

  hasTried({ name: { repository }, digest }: OciregistryRecord): boolean {
    return this.#tried.has(`${repositoryName(repository)}@${digest}`);
  }

  /** Once for each repository. The bytes that were new here. */
  async #deposit(record: OciregistryRecord, repository: Repository, depth: number): Promise<number> {
    const key = `${repositoryName(repository)}@${record.digest}`;
    const tried = this.#tried.get(key);
    if (tried instanceof Error) throw tried;
    if (tried !== undefined) return 0;
    try {
      const newBytes = await this.#depositOnce(record, repository, depth);
      this.#tried.set(key, newBytes);
      return newBytes;
    } catch (error) {
      if (error instanceof Incomplete || error instanceof DepositRefused) this.#tried.set(key, error);
      throw error;
    }
  }

  /** Blobs, then manifests, children before parents. */
  async #depositOnce(record: OciregistryRecord, repository: Repository, depth: number): Promise<number> {
    if (depth > depthMax) throw new Incomplete(`more than ${depthMax} levels of manifests`);
    const { manifest, content } = await this.#source.manifest(record);
    let newBytes = content.kind === "index" ? await this.#depositChildren(content.manifests, repository, depth) : 0;
    for (const blob of content.blobs) newBytes += await this.#depositBlob(blob, repository);
    const { digest, mediaType } = manifest.descriptor;
    await this.#deposits.manifest(repository, { bytes: manifest.bytes, mediaType, digest });
    this.#brought.add(digest);
    return newBytes;
  }

  /** It kept one platform of an index, mostly. */
  async #depositChildren(children: readonly Descriptor[], repository: Repository, depth: number): Promise<number> {
    let newBytes = 0;
    let whole = 0;
    for (const child of children) {
      const record = this.#byDigest.get(child.digest);
      if (!record) continue;
      try {
        newBytes += await this.#deposit(record, repository, depth + 1);
        whole += 1;
      } catch (error) {
        if (!(error instanceof Incomplete || error instanceof DepositRefused)) throw error;
        this.damagedChildren.push({ file: record.file, message: `a part of ${repositoryName(repository)}: ${error.message}` });
      }
    }
    if (whole === 0 && children.length > 0) throw new Incomplete("none of the manifests that the index names is there and whole");
    return newBytes;
  }

  async #depositBlob(blob: Descriptor, { host }: Repository): Promise<number> {
    const { signal } = this.#options;
    const { digest } = blob;
    signal.throwIfAborted();
    if (await this.#deposits.covers(host, blob)) return 0;
    const found = await this.#source.findBlob(digest, blob.sizeBytes);
    if (!found && isElsewhere(blob)) return 0;
    if (!found) throw new Incomplete(`blobs/${digest.slice(digest.indexOf(":") + 1)} is missing, or has another length than ${blob.sizeBytes ?? "it should"}`);
    const { sizeBytes, pieces } = found;
    if (this.#hashed.has(digest) && (await this.#deposits.vouch(host, { digest, sizeBytes }))) return 0;
    const kept = await this.#deposits.blob(host, { digest, sizeBytes }, pieces);
    this.#hashed.add(digest);
    return kept === "kept" ? sizeBytes : 0;
  }

  /** What is newer stays. */
  async #setTag(repository: Repository, tag: Tag, { digest, createdAtMs }: OciregistryRecord): Promise<TakenOverImage["verdict"]> {
    const { store, keepTags = false } = this.#options;
    const known = await store.repositories.findTag(repository, tag);
    if (known && known.digest !== digest && (keepTags || known.checkedAtMs > createdAtMs)) return "kept";
    await this.#deposits.tag(repository, tag, digest, { checkedAtMs: createdAtMs });
    return "taken";
  }
}

function nameOf({ record, tag }: Image): string {
  return `${repositoryName(record.name.repository)}${tag === undefined ? `@${record.digest}` : `:${tag}`}`;
}
