/**
 * Docker's config.json and podman's auth.json, as text: which helper or which entry is for a registry and a repository. The formats are
 * those of docker/cli "config file" and of containers-auth.json(5).
 */
import { OciError } from "../oci/errors.ts";
import { dockerHub, type RegistryHost } from "../oci/repository.ts";
import { Secret } from "../oci/secret.ts";
import type { CredentialContent } from "./credentials.ts";
import { objectOf, parseJsonObject, type JsonObject } from "./json-object.ts";

/** What a file says of one registry. */
export interface RegistryEntries {
  /** The suffix of the helper that is for this registry alone. */
  readonly helper: string | undefined;
  /** The suffix of the helper that keeps what is in no file. */
  readonly store: string | undefined;
  /** The longest path first. */
  readonly auths: readonly AuthEntry[];
}

export interface AuthEntry {
  /** As it is written. */
  readonly key: string;
  /** The repositories that it is for: this one, and those below it. Empty: all. */
  readonly path: string;
  readonly stored: Stored;
}

type Stored =
  | { readonly kind: "basic"; readonly user: string; readonly password: Secret }
  | { readonly kind: "identity" | "bearer"; readonly token: Secret }
  | { readonly kind: "broken"; readonly why: string };

const dockerHubNames: ReadonlySet<string> = new Set(["index.docker.io", "registry-1.docker.io"]);

/** Parses the file; undefined when it is none. What is not for `host` is not kept. */
export function parseDockerConfig(bytes: Buffer, host: RegistryHost): RegistryEntries | undefined {
  const json = parseJsonObject(bytes);
  if (!json) return undefined;
  const helpers = Object.entries(objectOf(json["credHelpers"]) ?? {}).filter(([key]) => pathAt(host, key) === "");
  const auths = Object.entries(objectOf(json["auths"]) ?? {}).flatMap(([key, value]): readonly AuthEntry[] => {
    const path = pathAt(host, key);
    const stored = path === undefined ? undefined : storedIn(objectOf(value) ?? {});
    return path !== undefined && stored ? [{ key, path, stored }] : [];
  });
  return {
    helper: textOf(helpers.toSorted(([one], [other]) => one.length - other.length)[0]?.[1]),
    store: textOf(json["credsStore"]),
    // Of two that mean the same, the one that is written as the bare name.
    auths: auths.toSorted((one, other) => other.path.length - one.path.length || one.key.length - other.key.length),
  };
}

/** The credential for the repository called `name`; undefined when none is. Throws `DENIED` when there is one that cannot be understood. */
export function findAuth({ auths }: Pick<RegistryEntries, "auths">, name: string): CredentialContent | undefined {
  const found = auths.find(({ path }) => path === "" || name === path || name.startsWith(`${path}/`));
  if (!found) return undefined;
  const { stored } = found;
  switch (stored.kind) {
    case "basic":
      return { kind: "basic", user: stored.user, password: stored.password.reveal() };
    case "identity":
    case "bearer":
      return { kind: stored.kind, token: stored.token.reveal() };
    case "broken":
      throw broken(found, stored);
    default:
      return stored satisfies never;
  }
}

/** What `findAuth` throws for whoever an entry that cannot be understood is for; undefined when there is no such entry. */
export function findBroken({ auths }: Pick<RegistryEntries, "auths">): OciError | undefined {
  for (const entry of auths) if (entry.stored.kind === "broken") return broken(entry, entry.stored);
  return undefined;
}

function broken({ key }: AuthEntry, { why }: Stored & { readonly kind: "broken" }): OciError {
  return new OciError("DENIED", `of "${key}" ${why}`);
}

/** Undefined for entries that hold nothing, as docker leaves beside its stores. */
function storedIn(fields: JsonObject): Stored | undefined {
  const registryToken = textOf(fields["registrytoken"]);
  const isHeader = registryToken !== undefined && /^[\x21-\x7e]+$/.test(registryToken);
  if (registryToken !== undefined)
    return isHeader ? { kind: "bearer", token: new Secret(registryToken) } : { kind: "broken", why: "the registrytoken is none" };
  const identityToken = textOf(fields["identitytoken"]);
  if (identityToken !== undefined) return { kind: "identity", token: new Secret(identityToken) };
  const auth = textOf(fields["auth"]);
  if (auth !== undefined) return decodeAuth(auth);
  const user = textOf(fields["username"]);
  const password = textOf(fields["password"]);
  return user === undefined || password === undefined ? undefined : { kind: "basic", user, password: new Secret(password) };
}

/** Base64 of `user:password`; docker once padded the password with NUL. */
function decodeAuth(auth: string): Stored {
  const decoded = /^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(auth) ? Buffer.from(auth, "base64").toString("utf8") : "";
  const colonAt = decoded.indexOf(":");
  if (colonAt < 1) return { kind: "broken", why: "the auth is not base64 of user:password" };
  return { kind: "basic", user: decoded.slice(0, colonAt), password: new Secret(decoded.slice(colonAt + 1).replace(/^\0+|\0+$/g, "")) };
}

/**
 * The path that a key names at `host`; undefined: it is for another registry. People and programs write `host`, `host/team`, `https://host/v1/`.
 * The port is part of the name, as docker has it: `host` and `host:443` are two.
 */
function pathAt(host: RegistryHost, key: string): string | undefined {
  const [written = "", ...segments] = key.replace(/^https?:\/\//i, "").split("/");
  const name = written.toLowerCase().replace(/\.$/, "");
  if (name !== host && !(host === dockerHub && dockerHubNames.has(name))) return undefined;
  const path = segments.join("/").replace(/\/+$/, "");
  return path === "v1" || path === "v2" ? "" : path;
}

/** A text that says something. */
function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
