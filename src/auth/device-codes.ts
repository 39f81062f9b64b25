/** Device codes: the long one that a terminal keeps to itself, and the short one that somebody reads there and types here. RFC 8628 6.1. */
import { hash, randomBytes, randomInt } from "node:crypto";

/** No vowel, so that no word comes of it; no digit, since some look like letters. RFC 8628 6.1. */
const alphabet = "BCDFGHJKLMNPQRSTVWXZ";
/** 20 to the power of 8 of them: who guesses hits one of a thousand under way once in 25 million times. */
const userCodeLength = 8;

/** 256 random bits, in base64url. */
export function drawDeviceCode(): string {
  return randomBytes(32).toString("base64url");
}

/** Whether a text is written as a device code is. */
export function looksLikeDeviceCode(text: string): boolean {
  return /^[A-Za-z0-9_-]{43}$/.test(text);
}

/** Eight letters. */
export function drawUserCode(): string {
  return Array.from({ length: userCodeLength }, () => alphabet.charAt(randomInt(alphabet.length))).join("");
}

/** The code that somebody has typed, in whatever case and with whatever between its letters; undefined for what is none. */
export function findUserCode(typed: string): string | undefined {
  if (typed.length > typedLengthMax) return undefined;
  const letters = typed.toUpperCase().replaceAll(/[\s\p{P}]/gu, "");
  return userCodePattern.test(letters) ? letters : undefined;
}

/** As people read it: `WDJB-MJHT`. */
export function shownUserCode(code: string): string {
  return `${code.slice(0, userCodeLength / 2)}-${code.slice(userCodeLength / 2)}`;
}

/** What is kept of a code. */
export function codeKeyOf(code: string): string {
  return hash("sha256", code, "hex");
}

const typedLengthMax = 64;
const userCodePattern = new RegExp(`^[${alphabet}]{${userCodeLength}}$`);
