/** Archives of images as the programs of the field write them, built by hand: so that each of their bytes can be bent. */
import { gunzipSync } from "node:zlib";
import { digestOf, hexOf } from "../../src/oci/digest.ts";
import { describe, type BuiltImage, type BuiltIndex } from "./images.ts";
import type { TarEntry } from "./tar.ts";

export interface LayoutImage {
  readonly image: BuiltImage | BuiltIndex;
  /** Of its descriptor in index.json. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The files of an OCI layout, its list first. */
export function layoutEntries(images: readonly LayoutImage[]): readonly TarEntry[] {
  const manifests = images.map(({ image, annotations }) => ({
    ...describe(image.manifest.descriptor.mediaType, image.manifest.bytes),
    ...(annotations ? { annotations } : {}),
  }));
  const blobs = new Map<string, Uint8Array>();
  for (const { image } of images) {
    for (const part of "images" in image ? [image, ...image.images] : [image]) {
      blobs.set(part.manifest.descriptor.digest, part.manifest.bytes);
      for (const [digest, bytes] of part.blobs) blobs.set(digest, bytes);
    }
  }
  return [
    { path: "oci-layout", content: JSON.stringify({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", content: JSON.stringify({ schemaVersion: 2, manifests }) },
    ...[...blobs].map(([digest, content]) => ({ path: `blobs/${digest.replace(":", "/")}`, content })),
  ];
}

export interface SavedImage {
  readonly image: BuiltImage;
  readonly names: readonly string[] | null;
}

/** What `docker save` wrote before docker 25: a folder a layer, the second of two equal layers a link, the list at the end. */
export function dockerSaveEntries(saved: readonly SavedImage[]): readonly TarEntry[] {
  const entries: TarEntry[] = [];
  const layerPaths = new Map<string, string>();
  const list = saved.map(({ image, names }, imageAt) => {
    const layers = image.layers.map((digest, at) => {
      const tar = gunzipSync(image.blobs.get(digest) ?? "");
      const id = hexOf(digestOf(Buffer.from(`layer ${imageAt} ${at}`)));
      const path = `${id}/layer.tar`;
      const known = layerPaths.get(digest);
      entries.push({ path: `${id}/` }, { path: `${id}/VERSION`, content: "1.0" }, { path: `${id}/json`, content: "{}" });
      entries.push(known === undefined ? { path, content: tar } : { path, kind: "2", target: `../${known}` });
      layerPaths.set(digest, known ?? path);
      return path;
    });
    const config = `${hexOf(image.config)}.json`;
    entries.push({ path: config, content: image.blobs.get(image.config) ?? "" });
    return { Config: config, RepoTags: names, Layers: layers };
  });
  return [...entries, { path: "manifest.json", content: JSON.stringify(list) }, { path: "repositories", content: "{}" }];
}

/** The digests of an image's layers once unpacked. */
export function plainLayers(image: BuiltImage): readonly Buffer[] {
  return image.layers.map((digest) => gunzipSync(image.blobs.get(digest) ?? ""));
}
