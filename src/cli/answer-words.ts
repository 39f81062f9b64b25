/** Answer words: what of a server's JSON can be shown to people, or gone by: it is somebody else's, and nothing in it is certain. */

export type Members = Readonly<Record<string, unknown>>;

const wordsLengthMax = 300;
const nameLengthMax = 512;

/** Empty when it is no JSON object. */
export function membersIn(text: string): Members {
  try {
    const value: unknown = JSON.parse(text);
    return isMembers(value) ? value : {};
  } catch {
    return {}; // Whoever it is, it is none of ours.
  }
}

function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Why it is refused: in OAuth 2.0's words, or in registries'. */
export function errorIn(body: Members): string | undefined {
  const { errors } = body;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return textIn(body, "error_description") ?? (isMembers(first) ? textIn(first, "message") : undefined);
}

/** What can be shown on one line. */
export function textIn(body: Members, name: string): string | undefined {
  const value = body[name];
  return typeof value === "string" && value !== "" ? plain(value) : undefined;
}

/** As it is; undefined for what could not be shown so. */
export function nameIn(body: Members, name: string): string | undefined {
  const value = body[name];
  return typeof value === "string" && value !== "" && value.length <= nameLengthMax && !unshown.test(value) ? value : undefined;
}

/** Without spaces. */
export function wordIn(body: Members, name: string): string | undefined {
  const value = body[name];
  return typeof value === "string" && /^[\x21-\x7e]{1,300}$/.test(value) ? value : undefined;
}

/** An address for a browser, and without a name or password in it, behind which its host would hide. */
export function webUrlIn(body: Members, name: string): URL | undefined {
  const url = URL.parse(wordIn(body, name) ?? "");
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  return isWeb && url.username === "" && url.password === "" ? url : undefined;
}

/** In milliseconds, and no more than `msMax`, whatever is said. */
export function secondsIn(body: Members, name: string, msMax: number): number | undefined {
  const value = body[name];
  return typeof value === "number" && value > 0 && Number.isFinite(value) ? Math.min(value * 1_000, msMax) : undefined;
}

/** Nothing that moves the cursor, hides, or turns the order round. */
export function plain(text: string): string {
  return text.slice(0, wordsLengthMax).split(unshown).join("?");
}

const unshown = /[\p{C}\p{Zl}\p{Zp}]/u;
