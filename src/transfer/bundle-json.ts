/** The pieces that bundles' and receipts' JSON is made of, each checked as it is read. */
import { findDigest, type Digest } from "../oci/digest.ts";
import { BundleRefused } from "./bundle-refused.ts";

/** A JSON object of which nothing is known yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads `bytes` as an object that says it is of `format`. Throws `BundleRefused` naming `what`. */
export function parseFormat(bytes: Uint8Array, { format, what }: { readonly format: string; readonly what: string }): JsonObject {
  const json = tryParse(bytes);
  const said = isObject(json) ? json["format"] : undefined;
  if (!isObject(json) || typeof said !== "string") throw new BundleRefused(`this is not ${what}`);
  if (said === format) return json;
  const [family] = format.split("/");
  throw new BundleRefused(
    said.startsWith(`${family}/`) ? `this is ${what} of a newer kind (${said}): use a newer ociregistry` : `this is not ${what}, but ${said}`,
  );
}

/** The objects of an array; an absent one is empty. Throws `BundleRefused` for anything else. */
export function objectsIn(json: JsonObject, key: string): readonly JsonObject[] {
  const list = json[key] ?? [];
  if (Array.isArray(list) && list.every(isObject)) return list;
  throw new BundleRefused(`${key}: not a list of objects`);
}

/** Throws `BundleRefused` for what is not a digest. */
export function digestIn(json: JsonObject, key: string): Digest {
  const digest = typeof json[key] === "string" ? findDigest(json[key]) : undefined;
  if (digest) return digest;
  throw new BundleRefused(`${key}: ${JSON.stringify(json[key])?.slice(0, 200) ?? "nothing"} is not a digest`);
}

/** Throws `BundleRefused` for what is not a text. */
export function textIn(json: JsonObject, key: string): string {
  const text = json[key];
  if (typeof text === "string") return text;
  throw new BundleRefused(`${key}: not a text`);
}

/** A whole number from 0 to `max`. Throws `BundleRefused` for anything else. */
export function numberIn(json: JsonObject, key: string, max = Number.MAX_SAFE_INTEGER): number {
  const number = json[key];
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0 && number <= max) return number;
  throw new BundleRefused(`${key}: ${JSON.stringify(number)?.slice(0, 200) ?? "nothing"} is not a number from 0 to ${max}`);
}

function isObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function tryParse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
  } catch {
    // Whatever it is, it is not ours: the caller says so.
    return undefined;
  }
}
