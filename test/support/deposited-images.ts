/** DepositedImages: images put into a store as an operator brings them, and the question that every removal has to answer: is what can be seen whole? */
import { readdir } from "node:fs/promises";
import { Deposits } from "../../src/cache/deposits.ts";
import { HeldImages, imageNames, type HeldImage } from "../../src/cache/held-images.ts";
import { findDigest, type Digest } from "../../src/oci/digest.ts";
import type { Clock } from "../../src/oci/clock.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf, type Repository } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import type { Store } from "../../src/cache/store.ts";
import type { BuiltImage, BuiltIndex } from "./images.ts";

/** `registry.example.com/team/app`, as a repository. */
export function repositoryNamed(name: string): Repository {
  const [host = "", ...path] = name.split("/");
  return repositoryOf(parseRegistryHost(host), parseRepositoryPath(path.join("/")));
}

/** Deposits an image under `host/path:tag`, or under its digest alone. */
export async function depositImage(store: Store, clock: Clock, name: string, image: BuiltImage | BuiltIndex): Promise<Digest> {
  const [path = "", tag] = name.split(/:(?=[^/]*$)/);
  const repository = repositoryNamed(path);
  const deposits = new Deposits({ store, clock });
  for (const part of "images" in image ? [...image.images, image] : [image]) {
    for (const [digest, bytes] of part.blobs) await deposits.blob(repository.host, { digest, sizeBytes: bytes.byteLength }, once(bytes));
    await deposits.manifest(repository, { bytes: part.manifest.bytes, mediaType: part.manifest.descriptor.mediaType });
  }
  const { digest } = image.manifest.descriptor;
  if (tag !== undefined) await deposits.tag(repository, parseTag(tag), digest);
  return digest;
}

/** The names of all images that can be seen, each by all its names, sorted. */
export async function heldNames(store: Store, clock: Clock): Promise<readonly string[]> {
  return (await heldImages(store, clock)).flatMap((image) => imageNames(image)).sort();
}

/** What is missing of images that can be seen: `name digest`; none when all are whole. */
export async function missingParts(store: Store, clock: Clock): Promise<readonly string[]> {
  const walk = new HeldImages({ store, clock });
  const missing: string[] = [];
  for (const image of await heldImages(store, clock)) {
    const { manifests, blobs } = await walk.contents(image);
    for (const part of [...manifests, ...blobs]) if (!part.isHeld) missing.push(`${imageNames(image).join(" ")} ${part.digest}`);
  }
  return missing;
}

/** The digests of all blob files. */
export async function blobFiles(root: string): Promise<ReadonlySet<Digest>> {
  const names = await readdir(`${root}/blobs`, { recursive: true });
  return new Set(names.flatMap((name) => findDigest(`sha256:${name.split("/").at(-1)}`) ?? []));
}

async function heldImages(store: Store, clock: Clock): Promise<readonly HeldImage[]> {
  return await Array.fromAsync(new HeldImages({ store, clock }).walk());
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
