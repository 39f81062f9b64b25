/**
 * BundleReader: a bundle, entry by entry, in the one order in which a bundle's entries come. What its manifest does not announce is
 * refused by its name before a byte of it is taken: another path, another size, something twice, something more.
 */
import type { KeyObject } from "node:crypto";
import { digestOf, type Digest } from "../oci/digest.ts";
import { bundleEntries } from "./bundle-layout.ts";
import { bundleManifestBytesMax, parseBundleManifest, type BundledFile, type BundleManifest } from "./bundle-manifest.ts";
import { BundleRefused } from "./bundle-refused.ts";
import { checkSignature, signatureBytes } from "./bundle-signature.ts";
import type { ByteSource } from "./byte-source.ts";
import { paddingOf, parsePathRecord, parseTarHeader, tarBlockBytes, type TarHeader } from "./tar-format.ts";

export interface BundleReaderOptions {
  readonly source: ByteSource;
  /** What is missing if the bundle ends early: the name of a part. */
  readonly next: string | undefined;
}

export interface ReadBundle extends BundleManifest {
  readonly id: Digest;
  readonly isSigned: boolean;
}

const pathRecordBytesMax = 4_096;
const smallFileBytesMax = 512 * 1024 * 1024;
const pieceBytes = 512 * 1024;
/** Zeros behind a tar's end, as tape drives like them. */
const trailerBytesMax = 1024 * 1024;

export class BundleReader {
  readonly #source: ByteSource;
  readonly #next: string | undefined;
  /** A header that was read to see what comes. */
  #ahead: TarHeader | undefined;

  constructor({ source, next }: BundleReaderOptions) {
    this.#source = source;
    this.#next = next;
  }

  /** The first entries. With `verifyKey` its signature must be the key's own. Throws `BundleRefused`. */
  async manifest({ verifyKey }: { readonly verifyKey?: KeyObject | undefined } = {}): Promise<ReadBundle> {
    const first = await this.#first();
    if (first?.name !== bundleEntries.manifest) {
      throw new BundleRefused(
        `this is not an ociregistry bundle: its first file is ${first ? JSON.stringify(first.name) : "missing"}, not ${bundleEntries.manifest}; an archive of images is taken by \`ociregistry load --image-file\``,
      );
    }
    const bytes = await this.#bytes(first, bundleManifestBytesMax);
    this.#ahead = await this.#header();
    const isSigned = this.#ahead?.name === bundleEntries.signature;
    const signature = isSigned ? await this.#signature() : undefined;
    if (verifyKey) checkSignature(bytes, signature, verifyKey);
    return { ...parseBundleManifest(bytes), isSigned };
  }

  /** A small file of the layout, which has to come next, with these bytes. Throws `BundleRefused`. */
  async file({ name, digest, sizeBytes }: BundledFile): Promise<void> {
    await this.expect(name, sizeBytes);
    const bytes = await this.#bytes({ name, sizeBytes, kind: "file" }, smallFileBytesMax);
    if (digestOf(bytes) !== digest) throw new BundleRefused(`${name}: its bytes are wrong`);
  }

  /** Makes sure that just this file comes next: read its content, or pass over it. Throws `BundleRefused` naming what comes instead. */
  async expect(name: string, sizeBytes: number): Promise<void> {
    const header = this.#ahead ?? (await this.#header());
    this.#ahead = undefined;
    if (!header) throw new BundleRefused(`${name} is missing: the bundle ends before it`);
    if (header.name !== name) throw new BundleRefused(`${JSON.stringify(header.name)} is not what the bundle announces: ${name} should come here`);
    if (header.sizeBytes !== sizeBytes) throw new BundleRefused(`${name}: its header says ${header.sizeBytes} bytes, the bundle's manifest ${sizeBytes}`);
  }

  /** The content of the file that was expected. Read all of it. Throws `BundleRefused` where the bundle ends early. */
  async *content(name: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
    for (let leftBytes = sizeBytes; leftBytes > 0;) {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, leftBytes));
      await this.#fill(piece, name);
      leftBytes -= piece.byteLength;
      yield piece;
    }
    await this.#skip(paddingOf(sizeBytes), name);
  }

  /** Passes over the content of the file that was expected. Throws as `content`. */
  async pass(name: string, sizeBytes: number): Promise<void> {
    await this.#skip(sizeBytes + paddingOf(sizeBytes), name);
  }

  /** Makes sure that nothing more comes. Throws `BundleRefused` naming it. */
  async end(): Promise<void> {
    const header = this.#ahead ?? (await this.#header());
    if (header) throw new BundleRefused(`${JSON.stringify(header.name)} is more than the bundle announces`);
    const block = Buffer.alloc(tarBlockBytes);
    let trailerBytes = 0;
    for (let length = await this.#source.read(block); length > 0; length = await this.#source.read(block)) {
      trailerBytes += length;
      if (block.subarray(0, length).some((byte) => byte !== 0) || trailerBytes > trailerBytesMax) throw new BundleRefused("something follows the bundle's end");
    }
    if (trailerBytes < tarBlockBytes) throw this.#endsEarly("its last block");
  }

  /** Other archives begin with a folder, other files with no header at all. */
  async #first(): Promise<TarHeader | undefined> {
    try {
      return await this.#header();
    } catch (error) {
      if (!(error instanceof BundleRefused)) throw error;
      throw new BundleRefused(`this is no bundle: ${error.message}; archives of images and lists are taken by \`ociregistry load --image-file\``, {
        cause: error,
      });
    }
  }

  async #signature(): Promise<Buffer> {
    const header = this.#ahead;
    this.#ahead = undefined;
    if (header?.sizeBytes !== signatureBytes) throw new BundleRefused(`${bundleEntries.signature}: not ${signatureBytes} bytes`);
    return await this.#bytes(header, signatureBytes);
  }

  async #bytes({ name, sizeBytes }: TarHeader, bytesMax: number): Promise<Buffer> {
    if (sizeBytes > bytesMax) throw new BundleRefused(`${name}: its header says ${sizeBytes} bytes, it may have ${bytesMax}`);
    const pieces: Uint8Array[] = [];
    // Piece by piece: what a header claims is only believed when it is there.
    for await (const piece of this.content(name, sizeBytes)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async #header(): Promise<TarHeader | undefined> {
    const header = await this.#oneHeader();
    if (header?.kind !== "path") return header;
    if (header.sizeBytes > pathRecordBytesMax) throw new BundleRefused(`an extended tar header of ${header.sizeBytes} bytes: at most ${pathRecordBytesMax}`);
    const name = parsePathRecord(await this.#bytes(header, pathRecordBytesMax));
    const named = await this.#oneHeader();
    if (named?.kind !== "file") throw new BundleRefused(`${JSON.stringify(name)} has no file`);
    return { ...named, name };
  }

  async #oneHeader(): Promise<TarHeader | undefined> {
    const block = Buffer.alloc(tarBlockBytes);
    await this.#fill(block, "the next file");
    return parseTarHeader(block);
  }

  async #fill(target: Buffer, name: string): Promise<void> {
    if ((await this.#source.read(target)) < target.byteLength) throw this.#endsEarly(name);
  }

  async #skip(sizeBytes: number, name: string): Promise<void> {
    if ((await this.#source.skip(sizeBytes)) < sizeBytes) throw this.#endsEarly(name);
  }

  #endsEarly(name: string): BundleRefused {
    const missing = this.#next === undefined ? "the file is not whole" : `${this.#next} is missing, or the last part is not whole`;
    return new BundleRefused(`the bundle ends early, in ${name}: ${missing}`);
  }
}
