/**
 * OciregistryFolder: what the Go ociregistry keeps under its imagePath. `blobs/<hex>` are bytes as they are; `img/<hex>`, and
 * `lts/<hex>` for what is called latest, are JSON about one manifest: `digest`, `imageUrl`, `bytes` in base64, and the times `created`
 * and `pulled`, local and without a zone, or absent. Nothing in it is believed before it was hashed: it hashed nothing itself.
 */
import { createReadStream } from "node:fs";
import { opendir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { digestOf, findDigest, hexOf, type Digest } from "../oci/digest.ts";
import { OciError } from "../oci/errors.ts";
import { manifestBytesMax, parseManifest, readManifestContent, type Manifest, type ManifestContent } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { isObject } from "./archive-json.ts";
import { parseImageName, type ImageName } from "./image-name.ts";

/** What one of its files says. The manifest's bytes are read again when they are needed: there may be a hundred thousand. */
export interface OciregistryRecord {
  /** `img/<hex>`, `lts/<hex>` */
  readonly file: string;
  readonly digest: Digest;
  readonly kind: ManifestContent["kind"];
  readonly name: ImageName;
  /** When it asked the registry, in milliseconds since 1970: as the record says, else as the file's time does. */
  readonly createdAtMs: number;
}

/** A file that cannot be used, and why. */
export interface OciregistryProblem {
  readonly file: string;
  readonly message: string;
}

/** A manifest as base64 and once more as JSON, with margin. */
const recordBytesMax = 32 * 1024 * 1024;
const recordsMax = 1_000_000;
const readBytes = 1024 * 1024;
const hexPattern = /^[a-f0-9]{64}$/;
/** `type`, where the manifest does not say itself what it is. */
const typesByNumber: readonly string[] = [mediaTypes.dockerManifestList, mediaTypes.dockerManifest, mediaTypes.ociIndex, mediaTypes.ociManifest];

/** What a record's file says can be wrong. */
class RecordDamaged extends Error {}

export class OciregistryFolder {
  readonly #root: string;
  readonly #names: RegistryNames;

  private constructor(root: string, names: RegistryNames) {
    this.#root = root;
    this.#names = names;
  }

  /** Throws an Error in words where `root` is none of its folders. */
  static async open(root: string, names: RegistryNames): Promise<OciregistryFolder> {
    const kinds = await Promise.all(["blobs", "img", "lts"].map((name) => isFolder(join(root, name))));
    if (kinds[0] !== true || (kinds[1] !== true && kinds[2] !== true))
      throw new Error(`${root} is no folder of ociregistry 1: it has no blobs/ and img/ or lts/`);
    return new OciregistryFolder(root, names);
  }

  /** Its records, as they come; a damaged one does not end them. */
  async *records(signal: AbortSignal): AsyncGenerator<OciregistryRecord | OciregistryProblem> {
    let count = 0;
    for (const folder of ["img", "lts"]) {
      if (!(await isFolder(join(this.#root, folder)))) continue;
      for await (const entry of await opendir(join(this.#root, folder))) {
        signal.throwIfAborted();
        if (!entry.isFile()) continue;
        count += 1;
        if (count > recordsMax) throw new Error(`${this.#root} has more than ${recordsMax} records`);
        yield await this.#readRecord(`${folder}/${entry.name}`);
      }
    }
  }

  /** The manifest of a record that was read before. Throws an Error in words when it is not there any more. */
  async manifest({ file, digest }: OciregistryRecord): Promise<{ readonly manifest: Manifest; readonly content: ManifestContent }> {
    const { manifest } = this.#parse(file, await readFile(join(this.#root, file)));
    if (manifest.descriptor.digest !== digest) throw new Error(`${file} was changed meanwhile`);
    return { manifest, content: readManifestContent(manifest.bytes) };
  }

  /** A blob's bytes, unchecked; undefined when there is no such file, or one of another length than `sizeBytes`. */
  async findBlob(
    digest: Digest,
    sizeBytes: number | undefined,
  ): Promise<{ readonly sizeBytes: number; readonly pieces: AsyncIterable<Uint8Array> } | undefined> {
    const path = join(this.#root, "blobs", hexOf(digest));
    const found = await stat(path).catch(() => undefined); // Whatever the reason: it cannot be had.
    if (found?.isFile() !== true || (sizeBytes !== undefined && found.size !== sizeBytes)) return undefined;
    return { sizeBytes: found.size, pieces: piecesOf(path) };
  }

  async #readRecord(file: string): Promise<OciregistryRecord | OciregistryProblem> {
    const path = join(this.#root, file);
    try {
      const { size, mtimeMs } = await stat(path);
      if (size > recordBytesMax) return { file, message: `${size} bytes: a record has at most ${recordBytesMax}` };
      const { manifest, json } = this.#parse(file, await readFile(path));
      const { kind } = readManifestContent(manifest.bytes);
      const name = parseImageName(typeof json["imageUrl"] === "string" ? json["imageUrl"] : "", this.#names);
      return { file, digest: manifest.descriptor.digest, kind, name, createdAtMs: timeOf(json["created"]) ?? timeOf(json["pulled"]) ?? mtimeMs };
    } catch (error) {
      if (error instanceof RecordDamaged || error instanceof OciError || isSystemError(error)) return { file, message: error.message };
      throw error;
    }
  }

  /** Throws `RecordDamaged` or `OciError`. */
  #parse(file: string, text: Buffer): { readonly manifest: Manifest; readonly json: Readonly<Record<string, unknown>> } {
    const json = parseJson(text);
    const raw = typeof json["bytes"] === "string" ? json["bytes"] : "";
    if (raw === "") throw new RecordDamaged("the record holds no manifest");
    if (raw.length > manifestBytesMax * 2) throw new RecordDamaged(`a manifest of more than ${manifestBytesMax} bytes`);
    const bytes = Buffer.from(raw, "base64");
    const wanted = findDigest(`sha256:${file.slice(file.indexOf("/") + 1)}`);
    const said = typeof json["digest"] === "string" ? json["digest"].replace(/^sha256:/, "") : "";
    const digest = digestOf(bytes);
    if (wanted !== digest || (hexPattern.test(said) && said !== hexOf(digest))) throw new RecordDamaged(`the manifest in it is ${digest}: its bytes are wrong`);
    const contentType = typeof json["type"] === "number" ? typesByNumber[json["type"]] : undefined;
    // What the manifest says of itself goes before what the record says of it.
    const manifest = parseManifest(bytes, { contentType: ownMediaType(bytes) ?? contentType });
    return { manifest, json };
  }
}

/** Opened when the first is asked for. */
async function* piecesOf(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path, { highWaterMark: readBytes }) as AsyncIterable<Buffer>;
}

function parseJson(text: Buffer): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text.toString("utf8"));
    if (isObject(json)) return json;
  } catch (error) {
    throw new RecordDamaged("the record is not JSON: torn, perhaps", { cause: error });
  }
  throw new RecordDamaged("the record is not a JSON object");
}

function ownMediaType(bytes: Buffer): string | undefined {
  const said = parseJson(bytes)["mediaType"];
  return typeof said === "string" && said !== "" ? said : undefined;
}

/** ECMAScript takes a time without a zone for a local one, which it is. */
function timeOf(raw: unknown): number | undefined {
  const timeMs = typeof raw === "string" && /^\d{4}-\d\d-\d\dT/.test(raw) ? Date.parse(raw) : Number.NaN;
  return timeMs > 0 ? timeMs : undefined;
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined); // Whatever the reason: it cannot be read.
  return found?.isDirectory() === true;
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}
