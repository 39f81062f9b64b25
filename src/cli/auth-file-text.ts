/**
 * Auth file text: docker's config.json and podman's auth.json, read and written again with one registry's entry changed, and all else as it was.
 * The formats are those of docker/cli "config file" and of containers-auth.json(5).
 */
export type Members = Readonly<Record<string, unknown>>;

export interface AuthFileText {
  readonly members: Members;
  /** How its lines are indented. */
  readonly indent: string;
  readonly endsWithNewline: boolean;
}

export interface ShownLogin {
  readonly user: string;
  readonly secret: string;
}

/** A file that is new; docker indents by tabs. */
export const emptyAuthFile: AuthFileText = { members: {}, indent: "\t", endsWithNewline: true };

/** Undefined for a text that is no such file. One that is empty, as some programs leave it, is a new one. */
export function parseAuthFile(text: string): AuthFileText | undefined {
  if (text.trim() === "") return emptyAuthFile;
  const members = membersIn(text);
  // Null is what programs in Go write for none.
  if (!members || !["auths", "credHelpers"].every((name) => (members[name] ?? undefined) === undefined || membersOf(members[name]))) return undefined;
  return { members, indent: /^[\t ]+(?=")/m.exec(text)?.[0] ?? "\t", endsWithNewline: text.endsWith("\n") };
}

/** The suffix of the program that keeps the logins of `host`: its own, or, where `hasStore`, that for all. */
export function findHelper({ members }: AuthFileText, host: string, { hasStore }: { readonly hasStore: boolean }): string | undefined {
  const own = membersOf(members["credHelpers"])?.[host];
  const all = hasStore ? members["credsStore"] : undefined;
  return [own, all].find((suffix) => typeof suffix === "string" && suffix !== "") as string | undefined; // It was looked at just now.
}

/** What `auths` has for `host`, as it stands there, by each of its names. */
export function entriesOf({ members }: AuthFileText, host: string): Members {
  return Object.fromEntries(Object.entries(membersOf(members["auths"]) ?? {}).filter(([name]) => hostOf(name) === host));
}

/** The names and passwords in the entries of `host`. */
export function findLogins(file: AuthFileText, host: string): readonly ShownLogin[] {
  return Object.values(entriesOf(file, host)).flatMap((entry) => {
    const auth = membersOf(entry)?.["auth"];
    const decoded = typeof auth === "string" ? Buffer.from(auth, "base64").toString("utf8") : "";
    const colonAt = decoded.indexOf(":");
    return colonAt < 1 ? [] : [{ user: decoded.slice(0, colonAt), secret: decoded.slice(colonAt + 1) }];
  });
}

/** What an entry is: "elsewhere" says that a program has the login. */
export function entryOf(login: ShownLogin | "elsewhere"): Members {
  return login === "elsewhere" ? {} : { auth: Buffer.from(`${login.user}:${login.secret}`).toString("base64") };
}

/** The text with `entries`, by their names, in place of all that is for `host`. */
export function withEntries(file: AuthFileText, host: string, entries: Members): string {
  const { members, indent, endsWithNewline } = file;
  const others = Object.entries(membersOf(members["auths"]) ?? {}).filter(([name]) => hostOf(name) !== host);
  const auths = { ...Object.fromEntries(others), ...entries };
  return `${JSON.stringify({ ...members, auths }, undefined, indent)}${endsWithNewline ? "\n" : ""}`;
}

/**
 * The registry that clients show an entry to: older dockers wrote `https://HOST`, and `/v1/` or `/v2/` behind it. What else stands behind a bare host
 * is podman's: a part of that registry, with a login of its own.
 */
function hostOf(name: string): string {
  const bare = name.replace(/^https?:\/\//, "");
  return bare === name ? name.replace(/\/v[12]\/?$/, "") : bare.replace(/\/.*$/s, "");
}

function membersIn(text: string): Members | undefined {
  try {
    return membersOf(JSON.parse(text));
  } catch {
    return undefined; // Told by who asked.
  }
}

function membersOf(value: unknown): Members | undefined {
  return isMembers(value) ? value : undefined;
}

function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
