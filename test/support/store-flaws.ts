/** What is wrong with a store on disk, as somebody sees it who has nothing but the documented layout (docs/operating.md). */
import { readdir, readFile } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { digestOf, hexOf } from "../../src/oci/digest.ts";

/**
 * One line for each flaw: a blob whose bytes are not what its name says; a tag, a manifest or a delivery of something that is not
 * there; a temporary file. None of a store that nobody uses any more.
 */
export async function findStoreFlaws(imagePath: string): Promise<readonly string[]> {
  const flaws: string[] = [];
  const held = new Set<string>();
  const files = await filesUnder(imagePath);
  for (const file of files.filter((name) => name.startsWith(`blobs${sep}`))) {
    const bytes = await readFile(join(imagePath, file));
    if (hexOf(digestOf(bytes)) === basename(file)) held.add(basename(file));
    else flaws.push(`${file} holds other bytes`);
  }
  for (const file of files) {
    if (file.startsWith(`tmp${sep}`)) flaws.push(`${file} is left`);
    if (!file.startsWith(`upstreams${sep}`)) continue;
    const hex = file.includes(`${sep}_tags${sep}`) ? hexOfTag(await readFile(join(imagePath, file), "utf8")) : hexOfRecord(file);
    if (hex !== undefined && !held.has(hex)) flaws.push(`${file} dangles`);
  }
  return flaws;
}

/** The digests whose blobs are there. */
export async function heldHexes(imagePath: string): Promise<readonly string[]> {
  return (await filesUnder(join(imagePath, "blobs"))).map((file) => basename(file)).toSorted();
}

function hexOfTag(text: string): string | undefined {
  return /sha256:([a-f0-9]{64})/.exec(text)?.[1] ?? "unreadable";
}

function hexOfRecord(file: string): string | undefined {
  return file.includes(`${sep}_manifests${sep}`) || file.includes(`${sep}_deliveries${sep}`) ? basename(file) : undefined;
}

async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
