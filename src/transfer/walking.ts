/**
 * ImageWalk: one walk over an image, as `walkImage` promises it. Each digest is visited once; what lies side by side is asked for
 * side by side, and told in its order.
 */
import { randomUUID } from "node:crypto";
import { isElsewhere, type Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { isUnknown, OciError } from "../oci/errors.ts";
import { readManifestContent, type Manifest } from "../oci/manifest.ts";
import { platformName } from "../oci/platform.ts";
import type { Reference } from "../oci/reference.ts";
import type { Answered, Call, Registry } from "../oci/registry.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { findTag, referrersTagOf, type Tag } from "../oci/tag.ts";
import type { ImageWalkOptions, Walked, WalkedRole } from "./walked.ts";
import { inOrder } from "./in-order.ts";
import { sortChildren } from "./platform-choice.ts";

/** Indexes in indexes, and signatures of signatures; deeper is nobody's image. */
const depthMax = 6;
/** Manifests of one image that are asked for at once. */
const askedAtOnce = 6;
/** What one image may have of manifests, and how much all of them may be: whoever keeps an image keeps them until it is whole. */
const manifestsMax = 10_000;
const manifestBytesMaxTotal = 128 * 1024 * 1024;

type Got = Manifest & Answered;

interface Place {
  readonly role: WalkedRole;
  readonly depth: number;
  readonly parent?: Digest;
  readonly subject?: Digest;
  readonly tags?: readonly Tag[];
  readonly descriptor?: Descriptor;
}

export class ImageWalk {
  readonly #registry: Registry;
  readonly #repository: Repository;
  readonly #options: ImageWalkOptions;
  readonly #call: Call;
  readonly #seen = new Set<Digest>();
  #manifests = 0;
  #manifestBytes = 0;

  constructor(registry: Registry, repository: Repository, options: ImageWalkOptions) {
    const { signal, mayFetch = true, purpose = "load", requestId = randomUUID() } = options;
    this.#registry = registry;
    this.#repository = repository;
    this.#options = options;
    this.#call = { signal, requestId, purpose, mayFetch };
  }

  async *walk(reference: Reference): AsyncGenerator<Walked> {
    yield* this.#visit(await this.#get(reference), { role: "root", depth: 0 });
  }

  async *#visit(got: Got, place: Place): AsyncGenerator<Walked> {
    const { digest } = got.descriptor;
    const { role, depth, parent, subject, tags, descriptor } = place;
    if (this.#seen.has(digest)) return;
    this.#seen.add(digest);
    this.#check(got, depth);
    const content = readManifestContent(got.bytes);
    yield {
      kind: "manifest",
      role,
      manifest: { bytes: got.bytes, descriptor: got.descriptor },
      content,
      outcome: got.outcome,
      ...(parent === undefined ? {} : { parent }),
      ...(descriptor?.platform === undefined ? {} : { platform: descriptor.platform }),
      ...(subject === undefined ? {} : { subject }),
      ...(tags === undefined ? {} : { tags }),
    };
    for (const blob of content.blobs) {
      if (this.#seen.has(blob.digest)) continue;
      this.#seen.add(blob.digest);
      yield { kind: "blob", descriptor: blob, parent: digest, isForeign: isElsewhere(blob) };
    }
    yield* this.#visitChildren(got, content.manifests, place);
    const isList = role === "referrer" && content.kind === "index"; // What stands in for the referrers API is no subject itself.
    if (this.#options.referrers && !isList) yield* this.#visitReferrers(digest, { depth, tagged: role !== "referrer" });
  }

  #check({ bytes }: Got, depth: number): void {
    this.#manifests += 1;
    this.#manifestBytes += bytes.byteLength;
    if (depth <= depthMax && this.#manifests <= manifestsMax && this.#manifestBytes <= manifestBytesMaxTotal) return;
    const limits = `more than ${manifestsMax} manifests, ${manifestBytesMaxTotal >> 20} MiB or ${depthMax} levels of them`;
    throw new OciError("MANIFEST_INVALID", `${repositoryName(this.#repository)}: ${limits}`);
  }

  async *#visitChildren({ descriptor: { digest } }: Got, children: readonly Descriptor[], { role, depth, subject }: Place): AsyncGenerator<Walked> {
    const { needed, aside, lacking } = sortChildren(children, role === "root" || role === "child" ? this.#options.platforms : "all");
    for (const child of aside) {
      yield { kind: "aside", descriptor: child, parent: digest, ...(child.platform === undefined ? {} : { platform: child.platform }) };
    }
    if (needed.length === 0 && children.length > 0) {
      const has = [...new Set(children.flatMap(({ platform }) => (platform ? [platformName(platform)] : [])))].join(", ");
      throw new OciError(
        "MANIFEST_UNKNOWN",
        `${repositoryName(this.#repository)}@${digest} has nothing for ${lacking.map(platformName).join(", ")}, only for ${has}`,
      );
    }
    for (const platform of lacking) yield { kind: "lack", platform, parent: digest };
    const childRole = role === "referrer" ? "referrer" : "child";
    yield* this.#visitAll(needed, { role: childRole, depth: depth + 1, parent: digest, ...(subject === undefined ? {} : { subject }) });
  }

  /** Tags are for images: nobody signs a signature by one. */
  async *#visitReferrers(subject: Digest, { depth, tagged: isTagged }: { depth: number; tagged: boolean }): AsyncGenerator<Walked> {
    const cosigns = isTagged ? signatureTagsOf(subject) : [];
    const [listed, ...found] = await Promise.all([this.#listReferrers(subject), ...cosigns.map((tag) => this.#findByTag(tag))]);
    // A registry without the referrers API lists them under a tag; where it lists none there is no such tag.
    const tagged = listed.length > 0 && isTagged ? [await this.#findByTag(referrersTagOf(subject)), ...found] : found;
    const place = { role: "referrer", depth: depth + 1, subject } as const;
    for (const one of tagged) {
      // Where the tag is the subject itself (gitlab) it says nothing.
      if (one && one.got.descriptor.digest !== subject) yield* this.#visit(one.got, { ...place, tags: [one.tag] });
    }
    yield* this.#visitAll(listed, place);
  }

  async *#visitAll(descriptors: readonly Descriptor[], place: Omit<Place, "descriptor">): AsyncGenerator<Walked> {
    const unseen = descriptors.filter(({ digest }) => !this.#seen.has(digest));
    for await (const { item, result } of inOrder(unseen, { atOnce: askedAtOnce, run: (descriptor) => this.#tryGet(descriptor) })) {
      if (!(result instanceof OciError)) {
        yield* this.#visit(result, { ...place, descriptor: item });
        continue;
      }
      const parent = place.parent ?? place.subject;
      if (parent === undefined || place.role === "root") throw result;
      yield {
        kind: "gap",
        role: place.role,
        descriptor: item,
        parent,
        error: result,
        ...(item.platform === undefined ? {} : { platform: item.platform }),
      };
    }
  }

  async #get(reference: Reference): Promise<Got> {
    return await this.#registry.getManifest(this.#repository, reference, this.#call);
  }

  /** The error, where that is one with a name. */
  async #tryGet({ digest }: Descriptor): Promise<Got | OciError> {
    try {
      return await this.#get({ kind: "digest", digest });
    } catch (error) {
      if (error instanceof OciError && !this.#options.signal.aborted) return error;
      throw error;
    }
  }

  async #listReferrers(subject: Digest): Promise<readonly Descriptor[]> {
    try {
      return (await this.#registry.listReferrers(this.#repository, subject, this.#call)).manifests;
    } catch (error) {
      if (isNone(error)) return [];
      throw error;
    }
  }

  async #findByTag(tag: Tag): Promise<{ readonly tag: Tag; readonly got: Got } | undefined> {
    try {
      return { tag, got: await this.#get({ kind: "tag", tag }) };
    } catch (error) {
      if (isNone(error)) return undefined;
      throw error;
    }
  }
}

/** What cosign calls a signature, attestations and a bill of material. */
function signatureTagsOf(subject: Digest): readonly Tag[] {
  const tag = referrersTagOf(subject);
  return [".sig", ".att", ".sbom"].flatMap((ending) => findTag(`${tag}${ending}`) ?? []);
}

/** Where there is nothing to find some registries say that it is forbidden to look. */
function isNone(error: unknown): boolean {
  return isUnknown(error) || (error instanceof OciError && (error.code === "DENIED" || error.code === "UNAUTHORIZED" || error.code === "UNSUPPORTED"));
}
