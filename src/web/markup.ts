/** Markup: pieces of a page, and the small words of which all pages are made. What is put into a template is escaped, unless it is markup itself. */
import { html as template } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { sizeText } from "../oci/amounts.ts";
import { hexOf, type Digest } from "../oci/digest.ts";

/** A piece of a page. */
export type Markup = HtmlEscapedString;

/** What can be put into one: undefined is nothing, a list is its entries one after the other. */
export type Content = string | number | undefined | Markup | readonly Content[];

/** A piece of a page, of a template: text in it is escaped, for attributes too. */
export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  return template(strings, ...contents) as Markup; // It is a promise only where something that is put in is one.
}

export const nothing: Markup = html``;

/** `12 KiB`, in one piece. */
export function size(sizeBytes: number | undefined): Markup {
  return sizeBytes === undefined ? html`<span class="muted">unknown</span>` : html`<span class="figure">${sizeText(sizeBytes)}</span>`;
}

const steps = [
  { ms: 86_400_000 * 365, word: "year" },
  { ms: 86_400_000 * 30, word: "month" },
  { ms: 86_400_000, word: "day" },
  { ms: 3_600_000, word: "hour" },
  { ms: 60_000, word: "minute" },
] as const;

/** `3 hours ago`; the exact time is there for who points at it. */
export function ago(atMs: number | undefined, nowMs: number): Markup {
  if (atMs === undefined) return html`<span class="muted">never</span>`;
  const time = new Date(Math.min(Math.max(atMs, 0), timeMsMax)).toISOString();
  return html`<time datetime="${time}" title="${time.slice(0, 19).replace("T", " ")} UTC">${distance(nowMs - atMs)}</time>`;
}

/** `in 3 hours`, `2 days ago`. What was set to end in 90 days a moment ago still ends in 3 months. */
export function distance(agoMs: number): string {
  const spanMs = agoMs < 0 ? -agoMs * 1.01 : agoMs;
  const step = steps.find(({ ms }) => spanMs >= ms);
  if (!step) return agoMs < 0 ? "in a moment" : "just now";
  const count = Math.floor(spanMs / step.ms);
  const text = `${count} ${step.word}${count === 1 ? "" : "s"}`;
  return agoMs < 0 ? `in ${text}` : `${text} ago`;
}

/** A time that somebody else wrote down: as it is when it is none. */
export function writtenTime(text: string, nowMs: number): Markup {
  const atMs = Date.parse(text);
  // Images that are built reproducibly are as old as time itself.
  return Number.isNaN(atMs) || atMs <= 0 ? html`<span>${text}</span>` : ago(atMs, nowMs);
}

/** The first characters, by which people tell digests apart; all of it is there for who points at it. */
export function shortDigest(digest: Digest): Markup {
  return html`<code title="${digest}">${hexOf(digest).slice(0, 12)}</code>`;
}

const textLengthMax = 120;

/** What somebody else wrote, of a length that a page bears: what would be seen by nothing but its effect is written out, `\u{202e}`. */
export function plainText(text: string, lengthMax = textLengthMax): string {
  const characters = Array.from(text); // Whole ones: halves are none.
  const shown = characters
    .slice(0, lengthMax)
    .map((character) => (unseen.test(character) ? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}` : character));
  return `${shown.join("")}${characters.length > lengthMax ? "…" : ""}`;
}

/** Control and format characters, among them those that turn a text around; line ends; halves of characters; letters and signs that show as nothing. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** A message, as errors have it, as people write it. */
export function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}${message.endsWith(".") ? "" : "."}`;
}

/** A button that copies; there is none where no script runs. */
export function copyButton(text: string, what: string): Markup {
  return html`<button type="button" class="copy" data-copy="${text}" hidden>Copy<span class="unseen"> ${what}</span></button>`;
}

/** `1,234` */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** `1 manifest`, `1,234 manifests` */
export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

/** `87%`; neither all nor nothing unless it is so. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return "–";
  const value = (part / whole) * 100;
  if (value > 0 && value < 1) return "<1%";
  if (value > 99 && value < 100) return ">99%";
  return `${Math.round(value)}%`;
}

/** The last that a Date can be. */
const timeMsMax = 8_640_000_000_000_000;
