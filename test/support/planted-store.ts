/**
 * PlantedStore: a store as a cache would have written it over months, written in seconds: images with a tag each, every tenth with an
 * artifact that refers to it, all of one registry, most of them in one repository or spread over others. Of their blobs only one is there.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Layout, layoutVersion } from "../../src/cache/layout.ts";
import { formatRecord } from "../../src/cache/record.ts";
import { digestOf, type Digest } from "../../src/oci/digest.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { describe, seededBytes } from "./images.ts";

export interface PlantOptions {
  /** `host[:port]` of the registry that delivered everything. */
  readonly host: string;
  /** How many manifests each repository holds, by its path. The first one's first image is the one with a blob. */
  readonly repositories: Readonly<Record<string, number>>;
}

export interface PlantedStore {
  readonly first: { readonly tag: string; readonly digest: Digest; readonly blob: Digest };
  /** `path@digest` of every manifest. */
  readonly manifests: readonly { readonly path: string; readonly digest: Digest }[];
}

const blobBytes = 20_000;
const referrerEvery = 10;
const shared = digestOf(Buffer.from("shared by all"));

/** Writes it into `root`, synced by nobody. */
export function plantStore(root: string, { host, repositories }: PlantOptions): PlantedStore {
  const planting = new Planting(root);
  const manifests: { path: string; digest: Digest }[] = [];
  const blob = seededBytes(blobBytes, "planted");
  for (const [path, count] of Object.entries(repositories)) {
    const repository = repositoryOf(parseRegistryHost(host), parseRepositoryPath(path));
    let last: Descriptor | undefined;
    for (let number = 0; number < count; number++) {
      const isReferrer = number % referrerEvery === 1;
      const layer = manifests.length === 0 ? describe(mediaTypes.ociLayerGzip, blob) : madeUp(`${path} ${number}`);
      const digest = planting.manifest(repository, isReferrer ? undefined : `t${number}`, layer, isReferrer ? last : undefined);
      last = { mediaType: mediaTypes.ociManifest, digest, sizeBytes: undefined };
      manifests.push({ path, digest });
    }
  }
  planting.write(planting.layout.version(), `${layoutVersion}\n`);
  const [first] = manifests;
  if (!first) throw new Error("a planted store holds a manifest at least");
  planting.blob(parseRegistryHost(host), blob);
  return { first: { tag: "t0", digest: first.digest, blob: digestOf(blob) }, manifests };
}

class Planting {
  readonly layout: Layout;
  readonly #folders = new Set<string>();

  constructor(root: string) {
    this.layout = new Layout(root);
  }

  manifest(repository: Repository, tag: string | undefined, layer: Named, subject: Descriptor | undefined): Digest {
    const { layout } = this;
    const config = madeUp(`config of ${layer.digest}`);
    const layers = [{ mediaType: mediaTypes.ociLayerGzip, digest: shared, size: 1_000 }, layer];
    const json = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers,
      ...(subject ? { subject, artifactType: "application/vnd.example.sbom" } : {}),
    };
    const bytes = Buffer.from(JSON.stringify(json));
    const digest = this.blob(repository.host, bytes);
    const record = { digest, mediaType: mediaTypes.ociManifest, size: bytes.byteLength };
    for (const { digest: named, size } of [config, ...layers]) this.write(layout.link(repository, named), formatRecord({ size }));
    if (subject) this.write(layout.referrer(repository, subject.digest, digest), "");
    this.write(layout.manifest(repository, digest), formatRecord({ ...record, ...(subject ? { subject: subject.digest } : {}) }));
    if (tag !== undefined) this.write(layout.tag(repository, parseTag(tag)), formatRecord(record));
    return digest;
  }

  blob(host: Repository["host"], bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    this.write(this.layout.blob(digest), bytes);
    this.write(this.layout.delivery(host, digest), "");
    return digest;
  }

  write(path: string, bytes: Uint8Array | string): void {
    const folder = dirname(path);
    if (!this.#folders.has(folder)) mkdirSync(folder, { recursive: true });
    this.#folders.add(folder);
    writeFileSync(path, bytes);
  }
}

type Named = ReturnType<typeof describe>;

/** A descriptor of something that is not there. */
function madeUp(what: string): Named {
  return { mediaType: mediaTypes.ociConfig, digest: digestOf(Buffer.from(what)), size: 1_000 };
}
