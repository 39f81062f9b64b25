/**
 * Receipt: what the other side holds, so that the next bundle can leave it out. A store writes one of itself; an export writes one of
 * what the other side will hold once its bundle, and those before it, are there.
 */
import { digestOf, type Digest } from "../oci/digest.ts";
import { digestIn, objectsIn, parseFormat, textIn } from "./bundle-json.ts";
import type { BaseLink } from "./bundle-manifest.ts";
import { BundleRefused } from "./bundle-refused.ts";

export interface Receipt {
  /** The oldest first. A digest stands in one of them. */
  readonly links: readonly ReceiptLink[];
  /** What the store serves, for people; a bundle's own receipt has none, nor one of digests only. */
  readonly images?: readonly { readonly name: string; readonly digest: Digest }[];
}

/** Digests that came by one way. */
export interface ReceiptLink {
  /** The bundle that brought them, or an earlier receipt; absent: the store that wrote the receipt. */
  readonly source?: BaseLink;
  /** Sorted. */
  readonly digests: readonly Digest[];
}

export const receiptBytesMax = 256 * 1024 * 1024;

const format = "ociregistry-receipt/1";

/** The bytes, the same for the same content. A receipt's id is their digest. */
export function formatReceipt({ links, images }: Receipt): Buffer {
  const json = {
    format,
    ...(images ? { images } : {}),
    links: links.map(({ source, digests }) => ({ ...(source ? { source } : {}), digests })),
  };
  return Buffer.from(`${JSON.stringify(json)}\n`);
}

/** Reads one, and its id. Throws `BundleRefused`. */
export function parseReceipt(bytes: Uint8Array): Receipt & { readonly id: Digest } {
  if (bytes.byteLength > receiptBytesMax) throw new BundleRefused(`a receipt of ${bytes.byteLength} bytes: at most ${receiptBytesMax}`);
  const json = parseFormat(bytes, { format, what: "an ociregistry receipt" });
  const links = objectsIn(json, "links").map((link): ReceiptLink => {
    const digests: unknown = link["digests"];
    if (!Array.isArray(digests)) throw new BundleRefused("digests: not a list");
    const [source] = link["source"] === undefined ? [] : objectsIn({ source: [link["source"]] }, "source");
    return {
      digests: digests.map((digest: unknown) => digestIn({ digest }, "digest")),
      ...(source ? { source: { kind: textIn(source, "kind") === "bundle" ? "bundle" : "receipt", id: digestIn(source, "id"), ...nameIn(source) } } : {}),
    };
  });
  return { id: digestOf(bytes), links };
}

function nameIn(source: Readonly<Record<string, unknown>>): { name?: string } {
  return source["name"] === undefined ? {} : { name: textIn(source, "name") };
}
