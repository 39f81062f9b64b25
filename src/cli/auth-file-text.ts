/**
 * Auth file text: docker's config.json and podman's auth.json, read and written again with one registry's entry changed, and all else as it was.
 * The formats are those of docker/cli "config file" and of containers-auth.json(5).
 */
type Members = Readonly<Record<string, unknown>>;

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

/** Whether there is an entry for `host`, whatever it holds. */
export function hasEntry({ members }: AuthFileText, host: string): boolean {
  return membersOf(members["auths"])?.[host] !== undefined;
}

/** The name and password in the entry of `host`. */
export function findLogin({ members }: AuthFileText, host: string): ShownLogin | undefined {
  const auth = membersOf(membersOf(members["auths"])?.[host])?.["auth"];
  const decoded = typeof auth === "string" ? Buffer.from(auth, "base64").toString("utf8") : "";
  const colonAt = decoded.indexOf(":");
  return colonAt < 1 ? undefined : { user: decoded.slice(0, colonAt), secret: decoded.slice(colonAt + 1) };
}

/** The text with `login` as what is for `host`; "elsewhere": with an entry that says that a program has it; undefined: with none. */
export function withLogin(file: AuthFileText, host: string, login: ShownLogin | "elsewhere" | undefined): string {
  const { members, indent, endsWithNewline } = file;
  const { [host]: _, ...others } = membersOf(members["auths"]) ?? {};
  const entry = login === "elsewhere" ? {} : login && { auth: Buffer.from(`${login.user}:${login.secret}`).toString("base64") };
  const auths = entry ? { ...others, [host]: entry } : others;
  return `${JSON.stringify({ ...members, auths }, undefined, indent)}${endsWithNewline ? "\n" : ""}`;
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
