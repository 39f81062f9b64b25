/**
 * The htpasswd file: a name, a colon and a hash a line. It is taken whole or not at all: what looks as if somebody were still writing it
 * is no file. A line that is whole and cannot be used (an old hash, one that would take minutes) only shuts out its user.
 */
import { parseShaCrypt } from "./sha-crypt.ts";

export interface PasswordHash {
  readonly kind: "bcrypt" | "sha-crypt";
  /** Nothing behind it. */
  readonly text: string;
}

export interface HtpasswdFile {
  readonly hashes: ReadonlyMap<string, PasswordHash>;
  /** Lines that shut out their user, in words: `line 3: an MD5 hash ...`. */
  readonly refused: readonly string[];
}

/** What a reader of the file need not read beyond. */
export const htpasswdCharactersMax = 8 * 1024 * 1024;
const lineCharactersMax = 4_096;
/** About two seconds on one core. */
const bcryptCostMax = 14;
const bcryptCostMin = 4;
/** About as long as bcrypt's most. */
const shaCryptRoundsMax = 400_000;
/** With fewer, `crypt(3)` takes these and says so in the hash. */
const shaCryptRoundsMin = 1_000;

/** Reads the text of a file. Throws an Error that names the line at which it is broken. */
export function parseHtpasswd(text: string): HtpasswdFile {
  if (text.length > htpasswdCharactersMax) throw new Error(`${text.length} characters: at most ${htpasswdCharactersMax}`);
  const hashes = new Map<string, PasswordHash>();
  const refused: string[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .entries()) {
    const where = `line ${index + 1}`;
    if (line.length > lineCharactersMax) throw new Error(`${where}: more than ${lineCharactersMax} characters`);
    if (line.includes("\0") || line.includes("\uFFFD")) throw new Error(`${where}: not a text`);
    const written = line.trimEnd();
    if (written === "" || written.startsWith("#")) continue;
    const colonAt = written.indexOf(":");
    if (colonAt === -1) throw new Error(`${where}: no colon`);
    const user = written.slice(0, colonAt);
    const read = parseHash(written.slice(colonAt + 1), where);
    // The last line of a name is the one that counts, also when it cannot be used.
    hashes.delete(user);
    if (user.trim() === "") refused.push(`${where}: no user name`);
    else if (typeof read === "string") refused.push(`${where}: ${read}`);
    else hashes.set(user, read);
  }
  return { hashes, refused };
}

/** What is wrong with it in words, when it is whole. */
function parseHash(text: string, where: string): PasswordHash | string {
  if (/^\$2[aby]\$/.test(text)) return parseBcrypt(text, where);
  if (/^\$[56]\$/.test(text)) return parseSha(text, where);
  return `${kindOf(text)} is not supported; htpasswd -B writes bcrypt`;
}

function parseBcrypt(text: string, where: string): PasswordHash | string {
  const [whole, cost] = /^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}/.exec(text) ?? [];
  if (whole === undefined) throw new Error(`${where}: a bcrypt hash that is not whole`);
  if (Number(cost) > bcryptCostMax) return `bcrypt with cost ${cost}: at most ${bcryptCostMax}, or each login keeps a core busy`;
  if (Number(cost) < bcryptCostMin) return `bcrypt with cost ${cost}: at least ${bcryptCostMin}`;
  return { kind: "bcrypt", text: whole };
}

function parseSha(text: string, where: string): PasswordHash | string {
  const read = parseShaCrypt(text);
  if (!read) throw new Error(`${where}: a sha-crypt hash that is not whole`);
  const { rounds } = read.setting;
  if (rounds > shaCryptRoundsMax) return `sha-crypt with ${rounds} rounds: at most ${shaCryptRoundsMax}, or each login keeps a core busy`;
  if (rounds < shaCryptRoundsMin) return `sha-crypt with ${rounds} rounds: at least ${shaCryptRoundsMin}`;
  return { kind: "sha-crypt", text: text.slice(0, text.lastIndexOf(read.sum) + read.sum.length) };
}

function kindOf(text: string): string {
  if (text === "") return "no hash";
  if (text.startsWith("$apr1$")) return "an MD5 hash ($apr1$)";
  if (text.startsWith("{SHA}")) return "a SHA-1 hash ({SHA})";
  return "what is neither bcrypt nor sha-crypt";
}
