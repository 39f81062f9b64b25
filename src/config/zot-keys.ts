/**
 * zot's place for what it shares with us. Its keys are read without regard to case, as zot does; what stands inside `http` is moved to
 * where the rest of the program looks for it. Our own keys are exact.
 */
import type { Finding } from "./finding.ts";
import { formatKeyPath, type KeyPath } from "./key-path.ts";
import type { KeySchema, Vocabulary } from "./vocabulary.ts";
import { isList, type RawMap, type RawValue } from "./yaml-source.ts";

export interface AdoptedTree {
  readonly tree: RawMap;
  /** Where what now stands at `path` was written. */
  readonly writtenAt: (path: KeyPath) => KeyPath;
  readonly findings: readonly Finding[];
}

/** Whose keys, all the way down, are zot's. */
const zotSections = ["http", "auth", "accessControl"] as const;
/** Keys in them that are not. */
const ourKeys: ReadonlySet<string> = new Set([
  "tokenService",
  "failBudget",
  "perUser",
  "perAddress",
  "jwksUri",
  "crlFile",
  "bindPasswordFromEnv",
  "bindPasswordFile",
  "fetch",
  "metadataUrl",
  "clientsecretFromEnv",
  "clientsecretFile",
  "requireVerifiedEmail",
  "hostedDomain",
  "apiurl",
  "userinfoCheck",
  "redirectUri",
  "groupsTtl",
]);
/** From inside `http` to the top, for the whole of what stands there. */
const moves: readonly (readonly [from: string, to: string])[] = [
  ["address", "host"],
  ["port", "port"],
  ["externalUrl", "externalUrl"],
  ["auth", "auth"],
  ["accessControl", "accessControl"],
];

/** `tree` with zot's keys in their one spelling and place. What is there twice is a finding. */
export function adoptZotKeys(tree: RawMap, vocabulary: Vocabulary): AdoptedTree {
  const adoption = new Adoption(vocabulary);
  const adopted = adoption.adopt(tree);
  return { tree: adopted, writtenAt: (path) => adoption.writtenAt(path), findings: adoption.findings };
}

/**
 * Keys of `auth` and `accessControl` that are written without a value. Elsewhere that is as good as absent; here what is absent may let
 * people in: an entry that was to lock a repository must not vanish.
 */
export function findUnset(unset: readonly KeyPath[]): readonly Finding[] {
  const guarded = unset.filter((path) => {
    const [first, second] = path.map((key) => String(key).toLowerCase());
    const section = first === "http" ? second : first;
    return section === "auth" || section === "accesscontrol";
  });
  return guarded.map((path) => ({ path, message: `${formatKeyPath(path)} has no value: write {} or [] for nothing, or leave it out` }));
}

class Adoption {
  readonly findings: Finding[] = [];
  readonly #vocabulary: Vocabulary;
  readonly #written = new Map<string, KeyPath>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  adopt(tree: RawMap): RawMap {
    const sections = new Map(zotSections.map((section) => [section.toLowerCase(), section]));
    const spelled = this.#respell(tree, (key) => sections.get(key.toLowerCase()) ?? key, [], []);
    const top = emptyMap();
    for (const [key, value] of Object.entries(spelled)) {
      const schema = zotSections.some((section) => section === key) ? this.#vocabulary.find([key]) : undefined;
      top[key] = schema ? this.#canonical(value, schema, [key], this.writtenAt([key])) : value;
    }
    const { http } = top;
    if (http !== undefined && typeof http !== "string" && !isList(http)) top["http"] = this.#moveOut(http, top);
    return top;
  }

  writtenAt(path: KeyPath): KeyPath {
    for (let length = path.length; length > 0; length--) {
      const written = this.#written.get(pathKey(path.slice(0, length)));
      if (written) return [...written, ...path.slice(length)];
    }
    return path;
  }

  #canonical(value: RawValue, schema: KeySchema, path: KeyPath, written: KeyPath): RawValue {
    if (typeof value === "string") return value;
    if (isList(value)) {
      const inside = this.#vocabulary.itemsOf(schema);
      return inside ? value.map((item, at) => this.#noted(item, inside, [...path, at], [...written, at])) : value;
    }
    const bySmall = new Map(this.#vocabulary.keysOf(schema).flatMap((key) => (ourKeys.has(key) ? [] : [[key.toLowerCase(), key] as const])));
    const known = new Set(this.#vocabulary.keysOf(schema));
    const spelled = this.#respell(value, (key) => (known.has(key) ? key : (bySmall.get(key.toLowerCase()) ?? key)), path, written);
    const read = emptyMap();
    for (const [key, inner] of Object.entries(spelled)) {
      const inside = this.#vocabulary.insideOf(schema, key);
      const innerPath = [...path, key];
      read[key] = inside ? this.#canonical(inner, inside, innerPath, this.writtenAt(innerPath)) : inner;
    }
    return read;
  }

  #noted(value: RawValue, schema: KeySchema, path: KeyPath, written: KeyPath): RawValue {
    this.#written.set(pathKey(path), written);
    return this.#canonical(value, schema, path, written);
  }

  #respell(map: RawMap, spelling: (key: string) => string, path: KeyPath, written: KeyPath): RawMap {
    const read = emptyMap();
    for (const [key, value] of Object.entries(map)) {
      const name = spelling(key);
      if (name in read) this.findings.push({ path: [...path, name], message: `${formatKeyPath([...path, name])} is written twice, once as ${key}` });
      read[name] = value;
      this.#written.set(pathKey([...path, name]), [...written, key]);
    }
    return read;
  }

  /** What of `http` has its place elsewhere goes there. */
  #moveOut(http: RawMap, top: Record<string, RawValue>): RawMap {
    const rest = emptyMap();
    Object.assign(rest, http);
    const move = (from: KeyPath, to: KeyPath, value: RawValue): void => {
      const [section = ""] = to;
      if (section in top) return void this.findings.push(saidTwice(from, to));
      top[section] = value;
      this.#moved(from, to);
    };
    for (const [from, to] of moves) {
      const value = http[from];
      if (value === undefined) continue;
      delete rest[from];
      move(["http", from], [to], value);
    }
    const { tls } = http;
    if (tls === undefined || typeof tls === "string" || isList(tls)) return rest;
    delete rest["tls"];
    if ("serverTlsConfig" in top) this.findings.push(saidTwice(["http", "tls"], ["serverTlsConfig"]));
    else top["serverTlsConfig"] = this.#serverTls(tls);
    return rest;
  }

  /** zot's `cacert` asks for certificates and lets go who has none. */
  #serverTls({ cacert, ...others }: RawMap): RawMap {
    this.#moved(["http", "tls"], ["serverTlsConfig"]);
    const tls = emptyMap();
    Object.assign(tls, others);
    if (cacert === undefined || cacert === "") return tls;
    this.#moved(["http", "tls", "cacert"], ["serverTlsConfig", "ca"]);
    return Object.assign(tls, { ca: cacert, clientAuth: "request" });
  }

  #moved(from: KeyPath, to: KeyPath): void {
    const prefix = pathKey(from);
    const inside = [...this.#written].filter(([key]) => key === prefix || key.startsWith(`${prefix}\0`));
    for (const [key, written] of inside) this.#written.set(pathKey(to) + key.slice(prefix.length), written);
  }
}

function saidTwice(from: KeyPath, to: KeyPath): Finding {
  return { path: from, message: `${formatKeyPath(from)} and ${formatKeyPath(to)} say the same: one is enough` };
}

function pathKey(path: KeyPath): string {
  return path.join("\0");
}

/** Without a prototype: `__proto__` is a key like any other, and as unknown. */
function emptyMap(): Record<string, RawValue> {
  return Object.create(null) as Record<string, RawValue>;
}
