/**
 * The few words of tar that a bundle uses: plain files whose owner, mode and time say nothing. POSIX.1-1988 "ustar Interchange Format",
 * with POSIX.1-2001's `path` record for names that are too long for it and GNU's base-256 for sizes from 8 GiB on.
 * By hand: an entry has to be passed over without being read, and its header to be judged before a byte of it is taken.
 */
import { BundleRefused } from "./bundle-refused.ts";

export const tarBlockBytes = 512;

export interface TarHeader {
  readonly name: string;
  readonly sizeBytes: number;
  /** "path": a record that names the next entry. */
  readonly kind: "file" | "path";
}

const nameBytesMax = 100;
const octalSizeMax = 8 ** 11 - 1;
const sumAt = 148;
const blank = " ".charCodeAt(0);

/** What comes before a file's bytes. */
export function formatTarHeader(name: string, sizeBytes: number): Buffer {
  if (Buffer.byteLength(name) <= nameBytesMax) return header({ name, sizeBytes, kind: "file" });
  const record = pathRecord(name);
  return Buffer.concat([
    header({ name: "PaxHeader", sizeBytes: record.byteLength, kind: "path" }),
    record,
    Buffer.alloc(paddingOf(record.byteLength)),
    header({ name: name.slice(0, nameBytesMax), sizeBytes, kind: "file" }),
  ]);
}

/** Zeros between a file's bytes and the next header. */
export function paddingOf(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

/** What comes at the end. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * tarBlockBytes);
}

/** Reads a header; undefined for a block of zeros. Throws `BundleRefused` for what is none, or is no plain file. */
export function parseTarHeader(block: Buffer): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (sumOf(block) !== octal(block.subarray(sumAt, sumAt + 8))) throw new BundleRefused("damaged where the next file should begin: not a tar header");
  const prefix = text(block.subarray(345, 500));
  const name = `${prefix === "" ? "" : `${prefix}/`}${text(block.subarray(0, nameBytesMax))}`;
  const kind = String.fromCharCode(block[156] ?? 0);
  if (kind !== "0" && kind !== "\0" && kind !== "x")
    throw new BundleRefused(`${JSON.stringify(name)} is not a plain file (tar's kind ${JSON.stringify(kind)})`);
  const sizeBytes = sizeOf(block.subarray(124, 136));
  if (!Number.isSafeInteger(sizeBytes)) throw new BundleRefused(`${JSON.stringify(name)} says no size`);
  return { name, sizeBytes, kind: kind === "x" ? "path" : "file" };
}

/** The name in a `path` record. Throws `BundleRefused` for any other. */
export function parsePathRecord(record: Buffer): string {
  const [, length, name] = /^([0-9]+) path=([^\n]*)\n$/.exec(record.toString("utf8")) ?? [];
  if (name === undefined || Number(length) !== record.byteLength) throw new BundleRefused("an extended tar header that says more than a name");
  return name;
}

function header({ name, sizeBytes, kind }: TarHeader): Buffer {
  const block = Buffer.alloc(tarBlockBytes);
  block.write(name, 0);
  block.write("0000644\0" + "0000000\0" + "0000000\0", 100);
  if (sizeBytes <= octalSizeMax) block.write(`${sizeBytes.toString(8).padStart(11, "0")}\0`, 124);
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(sizeBytes), 128);
  }
  block.write("00000000000\0", 136);
  block.write(kind === "path" ? "x" : "0", 156);
  block.write("ustar\0" + "00", 257);
  block.write(`${sumOf(block).toString(8).padStart(6, "0")}\0 `, sumAt);
  return block;
}

/** Its first number is its own length, itself included. */
function pathRecord(name: string): Buffer {
  const rest = ` path=${name}\n`;
  const restBytes = Buffer.byteLength(rest);
  const digits = String(restBytes + String(restBytes + 3).length).length;
  return Buffer.from(`${restBytes + digits}${rest}`);
}

/** Of all bytes, the sum's own taken as blanks. */
function sumOf(block: Buffer): number {
  return block.reduce((sum, byte, at) => sum + (at >= sumAt && at < sumAt + 8 ? blank : byte), 0);
}

function sizeOf(field: Buffer): number {
  return field[0] === 0x80 ? Number(field.readBigUInt64BE(4)) : octal(field);
}

function octal(field: Buffer): number {
  const digits = text(field).trim();
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field.subarray(0, end === -1 ? field.byteLength : end).toString("utf8");
}
