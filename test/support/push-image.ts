/** pushImage: exact bytes into a registry that takes pushes, as the distribution specification has it; tools would change some of them. */
import type { Digest } from "../../src/oci/digest.ts";
import type { Manifest } from "../../src/oci/manifest.ts";
import { referrersTagOf } from "../../src/oci/tag.ts";
import { describe, type BuiltImage, type BuiltIndex } from "./images.ts";

/** Pushes an image, or an index with all its images, under `tag`, or by its digest alone. */
export async function pushImage(url: string, path: string, tag: string | undefined, image: BuiltImage | BuiltIndex): Promise<void> {
  for (const part of "images" in image ? image.images : []) await pushImage(url, path, undefined, part);
  for (const [digest, bytes] of image.blobs) await pushBlob(url, path, digest, bytes);
  await pushManifest(url, path, tag ?? image.manifest.descriptor.digest, image.manifest);
}

/** Pushes an artifact that refers to `subject`, and the tag that stands for the referrers API where a registry has none. */
export async function pushReferrer(url: string, path: string, subject: Manifest, artifact: BuiltImage): Promise<void> {
  await pushImage(url, path, undefined, artifact);
  const { artifactType } = JSON.parse(Buffer.from(artifact.manifest.bytes).toString()) as { artifactType: string };
  const manifests = [{ ...describe(artifact.manifest.descriptor.mediaType, artifact.manifest.bytes), artifactType }];
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  await put(`${url}/v2/${path}/manifests/${referrersTagOf(subject.descriptor.digest)}`, bytes, mediaType);
}

async function pushManifest(url: string, path: string, reference: string, { bytes, descriptor }: Manifest): Promise<void> {
  await put(`${url}/v2/${path}/manifests/${reference}`, bytes, descriptor.mediaType);
}

async function pushBlob(url: string, path: string, digest: Digest, bytes: Uint8Array): Promise<void> {
  const begun = await fetch(`${url}/v2/${path}/blobs/uploads/`, { method: "POST" });
  await begun.arrayBuffer();
  const place = new URL(begun.headers.get("location") ?? "", url);
  place.searchParams.set("digest", digest);
  await put(place.href, bytes, "application/octet-stream");
}

async function put(url: string, bytes: Uint8Array, mediaType: string): Promise<void> {
  const answer = await fetch(url, { method: "PUT", body: Buffer.from(bytes), headers: { "content-type": mediaType } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`PUT ${url}: ${answer.status} ${text}`);
}
