/**
 * readArchiveList: which images an archive holds. Its list is an OCI layout's index.json, or the manifest.json of `docker save`; where
 * there are both (docker 25, ctr) the first is the truth: its manifests are those that a registry had.
 * OCI image-spec "Image Layout"; containerd and docker put the full name into an annotation of their own.
 */
import { findDescriptors } from "../oci/manifest.ts";
import type { Archive } from "./archive.ts";
import { isObject, readArchiveJson } from "./archive-json.ts";
import { ArchiveRefused } from "./archive-refused.ts";
import type { ArchivedImage } from "./archived-image.ts";
import { readDockerImages } from "./docker-archive.ts";

const listBytesMax = 64 * 1024 * 1024;
const nameAnnotation = "io.containerd.image.name";
const refNameAnnotation = "org.opencontainers.image.ref.name";

/** Throws `ArchiveRefused`: no list, a damaged one, or one that does not fit what is there. */
export async function readArchiveList(archive: Archive, { signal }: { signal: AbortSignal }): Promise<readonly ArchivedImage[]> {
  const layout = await readList(archive, "index.json");
  if (isObject(layout) && Array.isArray(layout["manifests"]) && layout["manifests"].length > 0) return readLayout(layout["manifests"]);
  const docker = await readList(archive, "manifest.json");
  if (docker !== undefined) return await readDockerImages(archive, docker, { signal });
  throw new ArchiveRefused(
    layout === undefined ? "no archive of images: neither index.json nor manifest.json is in it" : "an OCI layout without images: its index.json names none",
  );
}

function readLayout(entries: readonly unknown[]): readonly ArchivedImage[] {
  const descriptors = findDescriptors(entries);
  if (descriptors.length !== entries.length) throw new ArchiveRefused("index.json names something that is no manifest's descriptor");
  return descriptors.map((descriptor) => {
    const written = descriptor.annotations?.[nameAnnotation] ?? descriptor.annotations?.[refNameAnnotation];
    return { names: written === undefined ? [] : [{ written, isDockers: false }], root: { kind: "blob", descriptor } };
  });
}

async function readList(archive: Archive, path: string): Promise<unknown> {
  const file = await archive.find(path);
  return file && (await readArchiveJson(file, { path, bytesMax: listBytesMax }));
}
