/**
 * nameArchivedImages: which repository and tag each image of an archive goes to. What the archive says counts; an image that it
 * does not name, or for which it has a tag alone, takes the name that the operator gives.
 */
import { OciError } from "../oci/errors.ts";
import { dockerHub } from "../oci/repository.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { findTag } from "../oci/tag.ts";
import { quoted } from "./archive-entries.ts";
import { ArchiveRefused } from "./archive-refused.ts";
import type { ArchivedImage, ArchivedName } from "./archived-image.ts";
import { parseImageName, type ImageName } from "./image-name.ts";

export interface NamingOptions {
  readonly names: RegistryNames;
  /** The name for an image without one: `host/path:tag`; without a tag, the archive's own tag is used. */
  readonly resolveRef?: string | undefined;
}

export interface NamedImage {
  readonly image: ArchivedImage;
  /** None: it belongs to another image (a signature) or to nobody. */
  readonly names: readonly ImageName[];
}

/**
 * Names them, in their order. Throws `ArchiveRefused`: a name that no registry has; `resolveRef` for an archive whose several images
 * it cannot tell apart.
 */
export function nameArchivedImages(images: readonly ArchivedImage[], { names, resolveRef }: NamingOptions): readonly NamedImage[] {
  const nameless = images.filter((image) => image.names.length === 0);
  const given = resolveRef === undefined ? undefined : parse(resolveRef, names);
  const isOnlyOne = images.length === 1;
  if (given && !isOnlyOne && nameless.length > 1)
    throw new ArchiveRefused(`${nameless.length} images without a name: ${quoted(resolveRef ?? "")} can name one`);
  return images.map((image) => {
    // The operator's word goes before the archive's where it can mean one image only.
    if (given && (isOnlyOne || image.names.length === 0) && !hasTagAlone(image)) return { image, names: [given] };
    return { image, names: image.names.map((name) => nameOf(name, { names, resolveRef })) };
  });
}

function nameOf({ written, isDockers }: ArchivedName, { names, resolveRef }: NamingOptions): ImageName {
  if (!isTagAlone(written)) return parse(isDockers ? dockersName(written) : written, names);
  if (resolveRef === undefined) throw new ArchiveRefused(`an image called ${quoted(written)} and no repository: say which with --resolve-ref`);
  const given = parse(resolveRef, names);
  return /[:@][^/]*$/.test(resolveRef) ? given : parse(`${resolveRef}:${written}`, names);
}

/** Docker leaves out its own registry's name. */
function dockersName(written: string): string {
  const slash = written.indexOf("/");
  const first = slash < 0 ? "" : written.slice(0, slash);
  const hasHost = first.includes(".") || first.includes(":") || first === "localhost";
  return hasHost ? written : `${dockerHub}/${written}`;
}

function hasTagAlone({ names }: ArchivedImage): boolean {
  return names.some(({ written }) => isTagAlone(written));
}

/** `3.20` and `latest` are what a layout calls an image that some file's name tells the rest of. */
function isTagAlone(written: string): boolean {
  return findTag(written) !== undefined;
}

function parse(written: string, names: RegistryNames): ImageName {
  try {
    return parseImageName(written, names);
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    throw new ArchiveRefused(`an image called ${quoted(written)}: ${error.message}`, { cause: error });
  }
}
