/**
 * BundleManifest: what a bundle holds: every digest with its size, what each repository holds and what its tags mean, and what was left
 * out because the other side has it. It is the bundle's first entry, its digest is the bundle's id, and its signature vouches for all:
 * whatever follows is named in it. The same content gives the same bytes.
 */
import { digestOf, type Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { bareMediaType } from "../oci/manifest.ts";
import { findRegistryHost, parseRepositoryPath, repositoryName, type RegistryHost, type Repository } from "../oci/repository.ts";
import { parseTag, type Tag } from "../oci/tag.ts";
import { digestIn, numberIn, objectsIn, parseFormat, textIn, type JsonObject } from "./bundle-json.ts";
import { BundleRefused } from "./bundle-refused.ts";

export interface BundleManifest {
  /** For an incremental bundle: on what it builds. */
  readonly base?: BundleBase;
  /** The small files of the layout, in the order of their entries. */
  readonly files: readonly BundledFile[];
  /** What the bundle carries, manifests too, in the order of its entries. */
  readonly blobs: readonly BundledBlob[];
  /** What the images need and the other side has said that it holds. */
  readonly leftOut: readonly LeftOutBlob[];
  /** Sorted by name. */
  readonly repositories: readonly BundledRepository[];
}

export interface BundleBase {
  /** The receipt's id. */
  readonly receipt: Digest;
  /** What the receipt speaks of, the oldest first: earlier bundles, or a store as it was. */
  readonly links: readonly BaseLink[];
}

export interface BaseLink {
  readonly kind: "bundle" | "receipt";
  readonly id: Digest;
  /** The file's name, for people. */
  readonly name?: string;
}

export interface BundledFile {
  readonly name: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface BundledBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Registries of the bundle's images that delivered it. */
  readonly hosts: readonly RegistryHost[];
  /** True when anybody could have had it, so that it may be shared between registries. */
  readonly isPublic: boolean;
}

export interface LeftOutBlob extends BundledBlob {
  /** Which of the base's links brought it. */
  readonly link: number;
}

export interface BundledRepository {
  readonly repository: Repository;
  readonly manifests: readonly { readonly digest: Digest; readonly mediaType: string }[];
  /** What each tag means, and when a registry last said so, in milliseconds since 1970. */
  readonly tags: readonly { readonly tag: Tag; readonly digest: Digest; readonly checkedAtMs: number }[];
}

/** A bundle's manifest may have so many bytes: some half a million images. */
export const bundleManifestBytesMax = 256 * 1024 * 1024;

const format = "ociregistry-bundle/1";

/** The bytes, the same for the same content. Lists must be sorted already. */
export function formatBundleManifest({ base, files, blobs, leftOut, repositories }: BundleManifest): Buffer {
  const hosts = [...new Set(repositories.map(({ repository }) => repository.host))].sort();
  const blobJson = ({ digest, sizeBytes, hosts: by, isPublic }: BundledBlob): object => ({
    digest,
    size: sizeBytes,
    by: by.map((host) => hosts.indexOf(host)),
    ...(isPublic ? { public: true } : {}),
  });
  const json = {
    format,
    ...(base
      ? { base: { receipt: base.receipt, links: base.links.map(({ kind, id, name }) => ({ kind, id, ...(name === undefined ? {} : { name }) })) } }
      : {}),
    files: files.map(({ name, digest, sizeBytes }) => ({ name, digest, size: sizeBytes })),
    registries: hosts,
    repositories: repositories.map(({ repository, manifests, tags }) => ({
      name: repositoryName(repository),
      manifests: manifests.map(({ digest, mediaType }) => ({ digest, mediaType })),
      tags: tags.map(({ tag, digest, checkedAtMs }) => ({ tag, digest, checkedAt: new Date(checkedAtMs).toISOString() })),
    })),
    blobs: blobs.map(blobJson),
    ...(base ? { leftOut: leftOut.map((blob) => ({ ...blobJson(blob), link: blob.link })) } : {}),
  };
  return Buffer.from(`${JSON.stringify(json)}\n`);
}

/** Reads it, and its id. Throws `BundleRefused` for what is no such manifest, or contradicts itself. */
export function parseBundleManifest(bytes: Uint8Array): BundleManifest & { readonly id: Digest } {
  const json = parseFormat(bytes, { format, what: "an ociregistry bundle" });
  const hosts = hostsIn(json);
  const base = baseIn(json);
  const linksMax = (base?.links.length ?? 0) - 1;
  const blobs = objectsIn(json, "blobs").map((blob) => blobIn(blob, hosts));
  const leftOut = objectsIn(json, "leftOut").map((blob) => ({ ...blobIn(blob, hosts), link: numberIn(blob, "link", linksMax) }));
  const known = new Map<Digest, readonly RegistryHost[]>();
  for (const { digest, hosts: by } of [...blobs, ...leftOut]) {
    if (known.has(digest)) throw new BundleRefused(`${digest}: named twice`);
    known.set(digest, by);
  }
  const repositories = objectsIn(json, "repositories").map((repository) => repositoryIn(repository, known));
  const names = repositories.map(({ repository }) => repositoryName(repository));
  if (new Set(names).size !== names.length) throw new BundleRefused("repositories: one is named twice");
  const files = objectsIn(json, "files").map((file) => ({ name: textIn(file, "name"), digest: digestIn(file, "digest"), sizeBytes: numberIn(file, "size") }));
  return { id: digestOf(bytes), files, blobs, leftOut, repositories, ...(base ? { base } : {}) };
}

function hostsIn(json: JsonObject): readonly RegistryHost[] {
  const words: unknown = json["registries"];
  if (!Array.isArray(words)) throw new BundleRefused("registries: not a list");
  return words.map((word: unknown) => hostOf(word));
}

/** Names are canonical already: what a parser would change is nobody's. */
function hostOf(word: unknown): RegistryHost {
  // A registry that is spoken to by http may have a port that https implies.
  const found = typeof word === "string" ? [findRegistryHost(word), findRegistryHost(word, { scheme: "http" })].find((host) => host === word) : undefined;
  if (found) return found;
  throw new BundleRefused(`registries: ${JSON.stringify(word)?.slice(0, 300) ?? "nothing"} is not a registry's canonical name`);
}

function baseIn(json: JsonObject): BundleBase | undefined {
  const [base] = json["base"] === undefined ? [] : objectsIn({ base: [json["base"]] }, "base");
  if (!base) return undefined;
  const links = objectsIn(base, "links").map((link): BaseLink => {
    const kind = textIn(link, "kind");
    if (kind !== "bundle" && kind !== "receipt") throw new BundleRefused(`base: a link of the unknown kind ${kind.slice(0, 100)}`);
    return { kind, id: digestIn(link, "id"), ...(link["name"] === undefined ? {} : { name: textIn(link, "name") }) };
  });
  return { receipt: digestIn(base, "receipt"), links };
}

function blobIn(json: JsonObject, hosts: readonly RegistryHost[]): BundledBlob {
  const by: unknown = json["by"];
  const named = Array.isArray(by) ? by.map((at: unknown) => (typeof at === "number" ? hosts[at] : undefined)) : [];
  const found = named.filter((host) => host !== undefined);
  const digest = digestIn(json, "digest");
  if (found.length === 0 || found.length !== named.length) throw new BundleRefused(`${digest}: delivered by no registry of the bundle`);
  return { digest, sizeBytes: numberIn(json, "size"), hosts: found, isPublic: json["public"] === true };
}

function repositoryIn(json: JsonObject, known: ReadonlyMap<Digest, readonly RegistryHost[]>): BundledRepository {
  const repository = repositoryNamed(textIn(json, "name"));
  const manifests = objectsIn(json, "manifests").map((manifest) => {
    const [digest, said] = [digestIn(manifest, "digest"), textIn(manifest, "mediaType")];
    const mediaType = bareMediaType(said);
    if (mediaType === undefined) throw new BundleRefused(`${digest}: ${JSON.stringify(said.slice(0, 200))} is not a media type`);
    const by = known.get(digest);
    if (!by) throw new BundleRefused(`${repositoryName(repository)} holds ${digest}, of which the bundle says nothing else`);
    // Its bytes become this registry's: what is said of another's is no claim to them.
    if (!by.includes(repository.host)) throw new BundleRefused(`${repositoryName(repository)} holds ${digest}, which the bundle gives to other registries`);
    return { digest, mediaType };
  });
  const held = new Set(manifests.map(({ digest }) => digest));
  const tags = objectsIn(json, "tags").map((entry) => {
    const [tag, digest, checkedAtMs] = [tagOf(textIn(entry, "tag")), digestIn(entry, "digest"), Date.parse(textIn(entry, "checkedAt"))];
    if (Number.isNaN(checkedAtMs)) throw new BundleRefused(`${repositoryName(repository)}:${tag}: checkedAt is not a time`);
    if (!held.has(digest)) throw new BundleRefused(`${repositoryName(repository)}:${tag} means ${digest}, of which the bundle says nothing else`);
    return { tag, digest, checkedAtMs };
  });
  return { repository, manifests, tags };
}

function repositoryNamed(name: string): Repository {
  const slash = name.indexOf("/");
  const host = hostOf(name.slice(0, Math.max(slash, 0)));
  return refusing(() => ({ host, path: parseRepositoryPath(name.slice(slash + 1)) }));
}

function tagOf(raw: string): Tag {
  return refusing(() => parseTag(raw));
}

function refusing<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new BundleRefused(error.message, { cause: error });
  }
}
