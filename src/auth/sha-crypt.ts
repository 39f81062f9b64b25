/**
 * sha-crypt: passwords as `crypt(3)` hashes them under `$5$` and `$6$`. Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512",
 * version 0.6, whose steps are numbered here. (The library for it, unixcrypt 3.0.4, refuses right passwords whose length is a multiple
 * of the digest's: the 32 and 64 hexadecimal digits that generators like to give.)
 */
import { hash, timingSafeEqual } from "node:crypto";

/** What precedes the sum: `$6$rounds=10000$saltsalt`. */
export interface ShaCryptSetting {
  readonly algorithm: "sha256" | "sha512";
  readonly rounds: number;
  readonly salt: string;
}

export interface ShaCryptHash {
  readonly setting: ShaCryptSetting;
  /** The last field: 43 or 86 characters. */
  readonly sum: string;
}

const roundsDefault = 5_000;

/** Reads a hash; undefined for what is none, or not whole. What follows it, after a colon or a blank, is not looked at. */
export function parseShaCrypt(text: string): ShaCryptHash | undefined {
  const found = /^\$([56])\$(?:rounds=([0-9]{1,9})\$)?([./0-9A-Za-z]{0,16})\$([./0-9A-Za-z]+)(?![^:\s])/.exec(text);
  const [, kind, rounds, salt = "", sum = ""] = found ?? [];
  const algorithm = kind === "5" ? "sha256" : "sha512";
  if (!found || sum.length !== sumLengths[algorithm]) return undefined;
  return { setting: { algorithm, rounds: rounds === undefined ? roundsDefault : Number(rounds), salt }, sum };
}

/** Whether `password` is the one. Takes time in proportion to `rounds` and to the password's length; compares in constant time. */
export function matchesShaCrypt(password: string, { setting, sum }: ShaCryptHash): boolean {
  return timingSafeEqual(Buffer.from(shaCryptSum(password, setting)), Buffer.from(sum));
}

/** The last field of the hash. */
export function shaCryptSum(password: string, { algorithm, rounds, salt }: ShaCryptSetting): string {
  const digest = (...parts: readonly Uint8Array[]): Buffer => hash(algorithm, Buffer.concat(parts), "buffer");
  const key = Buffer.from(password);
  const saltBytes = Buffer.from(salt);
  const alternate = digest(key, saltBytes, key); // 4-8
  const parts = [key, saltBytes, repeated(alternate, key.length)]; // 1-3, 9-10
  for (let bits = key.length; bits > 0; bits >>>= 1) parts.push(bits & 1 ? alternate : key); // 11
  const start = digest(...parts); // 12
  const keySequence = repeated(digest(...Array.from({ length: key.length }, () => key)), key.length); // 13-16
  const saltSequence = repeated(digest(...Array.from({ length: 16 + (start[0] ?? 0) }, () => saltBytes)), saltBytes.length); // 17-20
  let sum = start;
  for (let round = 0; round < rounds; round++) {
    const isOdd = round % 2 === 1; // 21
    const mixed = [isOdd ? keySequence : sum];
    if (round % 3 !== 0) mixed.push(saltSequence);
    if (round % 7 !== 0) mixed.push(keySequence);
    mixed.push(isOdd ? sum : keySequence);
    sum = digest(...mixed);
  }
  return encode(sum, algorithm);
}

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const sumLengths = { sha256: 43, sha512: 86 } as const;

/** 22: three bytes are four characters, the lowest six bits first; which three is the algorithm's own order. */
function encode(sum: Buffer, algorithm: ShaCryptSetting["algorithm"]): string {
  const third = algorithm === "sha256" ? 10 : 21;
  let text = "";
  for (let group = 0; group < third; group++) {
    const [one, two, three] = [sum[group] ?? 0, sum[group + third] ?? 0, sum[group + 2 * third] ?? 0];
    // The three change places from group to group: in turn to the left for SHA-512, to the right for SHA-256.
    const turn = algorithm === "sha256" ? (3 - (group % 3)) % 3 : group % 3;
    const [high = 0, middle = 0, low = 0] = [one, two, three, one, two].slice(turn);
    text += characters((high << 16) | (middle << 8) | low, 4);
  }
  return text + (algorithm === "sha256" ? characters(((sum[31] ?? 0) << 8) | (sum[30] ?? 0), 3) : characters(sum[63] ?? 0, 2));
}

function characters(bits: number, count: number): string {
  return Array.from({ length: count }, (_, index) => alphabet[(bits >>> (6 * index)) & 63]).join("");
}

/** As many bytes as asked for, of `bytes` over and over. */
function repeated(bytes: Buffer, length: number): Buffer {
  return Buffer.alloc(length, bytes);
}
