/**
 * readArchivedTree: what an image of an archive consists of, as far as the archive has it: its manifests, children before parents,
 * and the blobs that they need. An index may lack children (a sparse one); a manifest that is there has to be whole.
 */
import { OciError } from "../oci/errors.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { manifestBytesMax, parseManifest, readManifestContent, type Manifest, type ManifestContent } from "../oci/manifest.ts";
import { platformName, type Platform } from "../oci/platform.ts";
import type { StagedBlob } from "../cache/staged-blob.ts";
import type { Archive } from "./archive.ts";
import { ArchiveRefused } from "./archive-refused.ts";
import type { ArchivedRoot, MadeManifest } from "./archived-image.ts";
import { sortChildren } from "./platform-choice.ts";

export interface ArchivedManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly subject: Digest | undefined;
  /** Its bytes, read when they are needed: an archive may have thousands. */
  readonly read: () => Promise<Uint8Array>;
}

/** A config or a layer, and its bytes where the archive has them. */
export interface ArchivedBlob {
  readonly descriptor: Descriptor;
  readonly namedBy: Digest;
  readonly staged: StagedBlob | undefined;
}

export interface ArchivedTree {
  readonly root: Digest;
  /** Children before parents: the root is the last. */
  readonly manifests: readonly ArchivedManifest[];
  readonly blobs: readonly ArchivedBlob[];
  /** Platforms that were asked for, and that the archive has nothing for. */
  readonly lacking: readonly string[];
}

const depthMax = 6;
const manifestsMax = 10_000;

/** Throws `ArchiveRefused` naming the manifest that is missing, damaged, or has nothing for `platforms`. */
export async function readArchivedTree(archive: Archive, root: ArchivedRoot, { platforms }: { platforms: readonly Platform[] | "all" }): Promise<ArchivedTree> {
  return root.kind === "made" ? await treeOfMade(archive, root.made) : await new TreeReading(archive, platforms).read(root.descriptor);
}

async function treeOfMade(archive: Archive, { manifest, paths }: MadeManifest): Promise<ArchivedTree> {
  const { digest, mediaType } = manifest.descriptor;
  const blobs = new Map<Digest, ArchivedBlob>();
  for (const [at, descriptor] of readManifestContent(manifest.bytes).blobs.entries()) {
    blobs.set(descriptor.digest, { descriptor, namedBy: digest, staged: await archive.find(paths[at] ?? "") });
  }
  return { root: digest, manifests: [{ digest, mediaType, subject: undefined, read: async () => manifest.bytes }], blobs: [...blobs.values()], lacking: [] };
}

class TreeReading {
  readonly #archive: Archive;
  readonly #platforms: readonly Platform[] | "all";
  readonly #manifests = new Map<Digest, ArchivedManifest>();
  readonly #blobs = new Map<Digest, ArchivedBlob>();
  readonly #lacking = new Set<string>();
  readonly #entered = new Set<Digest>();

  constructor(archive: Archive, platforms: readonly Platform[] | "all") {
    this.#archive = archive;
    this.#platforms = platforms;
  }

  async read(root: Descriptor): Promise<ArchivedTree> {
    const staged = await this.#archive.findBlob(root.digest);
    if (!staged) throw new ArchiveRefused(`${root.digest}, which the archive lists as an image, is not in it`);
    await this.#visit(root, staged, 0);
    return { root: root.digest, manifests: [...this.#manifests.values()], blobs: [...this.#blobs.values()], lacking: [...this.#lacking] };
  }

  async #visit(descriptor: Descriptor, staged: StagedBlob, depth: number): Promise<void> {
    const { digest } = descriptor;
    if (this.#entered.has(digest)) return;
    this.#entered.add(digest);
    if (depth > depthMax || this.#entered.size > manifestsMax) {
      throw new ArchiveRefused(`${digest}: more than ${manifestsMax} manifests, or more than ${depthMax} levels of them`);
    }
    const { manifest, content } = await readManifest(descriptor, staged);
    if (content.kind === "index") await this.#visitChildren(digest, content.manifests, depth);
    for (const blob of content.blobs) await this.#addBlob(digest, blob);
    this.#manifests.set(digest, {
      digest,
      mediaType: manifest.descriptor.mediaType,
      subject: content.subject?.digest,
      read: async () => (await readManifest(descriptor, staged)).manifest.bytes,
    });
  }

  async #visitChildren(parent: Digest, children: readonly Descriptor[], depth: number): Promise<void> {
    const { needed, lacking } = sortChildren(children, this.#platforms);
    for (const platform of lacking) this.#lacking.add(platformName(platform));
    let found = 0;
    for (const child of needed) {
      const staged = await this.#archive.findBlob(child.digest);
      if (staged) await this.#visit(child, staged, depth + 1);
      else if (child.platform && this.#platforms !== "all") this.#lacking.add(platformName(child.platform));
      if (staged) found += 1;
    }
    if (found > 0 || children.length === 0) return;
    const wanted = this.#platforms === "all" ? "" : ` for ${this.#platforms.map(platformName).join(", ")}`;
    const offered = [...new Set(children.flatMap(({ platform }) => (platform ? [platformName(platform)] : [])))].join(", ");
    throw new ArchiveRefused(`${parent}: the archive has none of its manifests${wanted}${offered === "" ? "" : `; the index names ${offered}`}`);
  }

  async #addBlob(namedBy: Digest, descriptor: Descriptor): Promise<void> {
    if (this.#blobs.has(descriptor.digest)) return;
    const staged = await this.#archive.findBlob(descriptor.digest);
    if (staged && descriptor.sizeBytes !== undefined && staged.sizeBytes !== descriptor.sizeBytes) {
      throw new ArchiveRefused(`${namedBy}: it says that ${descriptor.digest} has ${descriptor.sizeBytes} bytes, and it has ${staged.sizeBytes}`);
    }
    this.#blobs.set(descriptor.digest, { descriptor, namedBy, staged });
  }
}

async function readManifest({ digest, mediaType }: Descriptor, staged: StagedBlob): Promise<{ manifest: Manifest; content: ManifestContent }> {
  const bytes = await staged.read(manifestBytesMax);
  if (!bytes) throw new ArchiveRefused(`${digest}: a manifest of ${staged.sizeBytes} bytes: at most ${manifestBytesMax}`);
  try {
    return { manifest: parseManifest(bytes, { contentType: mediaType }), content: readManifestContent(bytes) };
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new ArchiveRefused(`${digest}: ${error.message}`, { cause: error });
  }
}
