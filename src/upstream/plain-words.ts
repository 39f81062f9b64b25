/** Plain words: what somebody else's program said, fit for a line of ours: short, on one line, and without what must not be read. */

const lengthMax = 200;
/** Nobody who has something to say says so much. */
const inputLengthMax = 256 << 10;
/** What is secret whoever says it: tokens of JWT's shape, Google's access tokens, and keys. */
const secretShapes = /eyJ[\w-]{8,}(\.[\w-]*)*|ya29\.[\w.-]+|-----BEGIN [\s\S]*/g;

/** `text` with every one of `secrets`, however it is encoded for a URL, and all that looks like one, shown as `***`. Undefined when there is nothing to say. */
export function plainWords(text: unknown, secrets: readonly string[] = []): string | undefined {
  if (typeof text !== "string" || text.length > inputLengthMax) return undefined;
  let shown = text;
  for (const secret of secrets) {
    if (secret === "") continue;
    for (const spelling of [secret, encodeURIComponent(secret), new URLSearchParams({ "": secret }).toString().slice(1)])
      shown = shown.replaceAll(spelling, "***");
  }
  shown = shown
    .replace(secretShapes, "***")
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")
    .trim()
    .replace(/\.$/, "");
  if (shown.length > lengthMax) return `${shown.slice(0, lengthMax)}...`;
  return shown === "" ? undefined : shown;
}
