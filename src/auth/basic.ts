/** Basic authentication (RFC 7617), as strict as zot: what was shown and cannot be read is a wrong password, not an absent one. */
import type { Login } from "./authenticator.ts";

export type ShownLogin =
  | { readonly kind: "none" }
  /** Something was shown, and it is no login. */
  | { readonly kind: "unreadable"; readonly reason: string }
  | { readonly kind: "login"; readonly login: Login };

/** Names beyond it are nobody's. */
const userBytesMax = 512;

/** Reads the Authorization headers of a request. */
export function readBasic(authorization: readonly string[]): ShownLogin {
  const [header = "", ...more] = authorization;
  if (more.length > 0) return unreadable("more than one Authorization header");
  if (isBlank(header)) return { kind: "none" };
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  if (encoded === undefined) return unreadable(/^basic( |$)/i.test(header) ? "no base64" : "not Basic");
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") !== encoded) return unreadable("no base64");
  const text = findText(bytes);
  if (text === undefined) return unreadable("not UTF-8");
  const colonAt = text.indexOf(":");
  if (colonAt === -1) return unreadable("no colon");
  const user = text.slice(0, colonAt);
  if (user.trim() === "") return unreadable("no user name");
  if (Buffer.byteLength(user) > userBytesMax) return unreadable(`a user name of more than ${userBytesMax} bytes`);
  return { kind: "login", login: { user, password: text.slice(colonAt + 1) } };
}

/** The header in its usual spelling. */
export function basicHeader({ user, password }: Login): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** False for the request that only asks how one logs in: it shows nothing, or an empty name with an empty password (as skopeo does). */
export function showsSomething(authorization: readonly string[]): boolean {
  return authorization.length > 1 || authorization.some((header) => !isBlank(header));
}

function isBlank(header: string): boolean {
  return header === "" || header.toLowerCase() === "basic og==";
}

function unreadable(reason: string): ShownLogin {
  return { kind: "unreadable", reason };
}

function findText(bytes: Buffer): string | undefined {
  const text = bytes.toString("utf8");
  // What is no UTF-8 would be replaced, and two passwords would be one.
  return Buffer.from(text).equals(bytes) ? text : undefined;
}
