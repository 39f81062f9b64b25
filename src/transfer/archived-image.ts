/** ArchivedImage: one image of an archive as its list has it: what it is called there, and the manifest that it begins with. */
import type { Descriptor } from "../oci/descriptor.ts";
import type { Manifest } from "../oci/manifest.ts";

export interface ArchivedImage {
  /** None: an image without a name. Several: what `docker save` and `podman save` wrote for one image. */
  readonly names: readonly ArchivedName[];
  readonly root: ArchivedRoot;
}

export interface ArchivedName {
  /** As written in the archive: `docker.io/library/alpine:3`, `alpine:3`, `3`. */
  readonly written: string;
  /** Docker writes the names of its own registry without it: `alpine:3` is Docker Hub's, whatever the default registry is. */
  readonly isDockers: boolean;
}

/** A manifest that the archive holds as a blob, or one that was made of what `docker save` wrote. */
export type ArchivedRoot = { readonly kind: "blob"; readonly descriptor: Descriptor } | { readonly kind: "made"; readonly made: MadeManifest };

export interface MadeManifest {
  readonly manifest: Manifest;
  /** The paths at which the archive has what it names, in its order: config, layers. */
  readonly paths: readonly string[];
}
