/**
 * Layout: where everything lies on disk, as pure functions of the root.
 *
 *   VERSION                                              layout version, plain text
 *   blobs/sha256/ab/<hex>                                layers, configs and manifests alike: exact bytes, mode 0444
 *   public/sha256/ab/<hex>                               empty: anybody could have had these bytes
 *   upstreams/<host>/_deliveries/sha256/ab/<hex>         empty: this registry delivered these bytes
 *   upstreams/<host>/<path>/_tags/<tag>                  what the tag meant when last asked; its mtime says when
 *   upstreams/<host>/<path>/_manifests/sha256/<hex>      this repository holds this manifest; its mtime says when it was last used
 *   upstreams/<host>/<path>/_blobs/sha256/<hex>          this repository may show this digest; its size
 *   upstreams/<host>/<path>/_referrers/<subject>/<digest>  empty: a held manifest has this subject; `_answer`: upstream's last word
 *   upstreams/<host>/<path>/_pins/<tag or digest>        what must stay
 *   quarantine/<digest>~<time>                           wrong bytes, put aside; never served
 *   tmp/<instance>/                                      what one process is writing
 *   state/                                               what is nobody else's
 *
 * No part of a repository's name can begin with `_`, so the folders of ours can never meet one of its words.
 */
import { algorithmOf, findDigest, hexOf, type Digest } from "../oci/digest.ts";
import { findRegistryHost, parseRepositoryPath, type RegistryHost, type Repository } from "../oci/repository.ts";
import type { Reference } from "../oci/reference.ts";
import type { Tag } from "../oci/tag.ts";

/** The layout that this program writes. A store with a higher number is refused. */
export const layoutVersion = 1;

/** Entries of the root. A copy of the store carries the first three. */
export const folders = { blobs: "blobs", public: "public", upstreams: "upstreams", quarantine: "quarantine", temporary: "tmp", state: "state" } as const;

/** The file in the root that says which layout it is. */
export const versionFile = "VERSION";

export class Layout {
  readonly root: string;

  /** Paths are joined by hand: every piece has been parsed, and a pull needs several of them. */
  constructor(root: string) {
    this.root = root;
  }

  version(): string {
    return `${this.root}/${versionFile}`;
  }

  blob(digest: Digest): string {
    return `${this.root}/${folders.blobs}/${sharded(digest)}`;
  }

  publicMark(digest: Digest): string {
    return `${this.root}/${folders.public}/${sharded(digest)}`;
  }

  upstreams(): string {
    return `${this.root}/${folders.upstreams}`;
  }

  host(host: RegistryHost): string {
    return `${this.root}/${folders.upstreams}/${hostFolder(host)}`;
  }

  delivery(host: RegistryHost, digest: Digest): string {
    return this.deliveryIn(hostFolder(host), digest);
  }

  /** The same, of the registry whose folder is called `folder`, whoever that is. */
  deliveryIn(folder: string, digest: Digest): string {
    return `${this.upstreams()}/${folder}/_deliveries/${sharded(digest)}`;
  }

  repository(repository: Repository): string {
    return `${this.host(repository.host)}/${repository.path}`;
  }

  tags(repository: Repository): string {
    return `${this.repository(repository)}/_tags`;
  }

  tag(repository: Repository, tag: Tag): string {
    return `${this.repository(repository)}/_tags/${tag}`;
  }

  manifests(repository: Repository): string {
    return `${this.repository(repository)}/_manifests`;
  }

  manifest(repository: Repository, digest: Digest): string {
    return `${this.repository(repository)}/_manifests/${digest.replace(":", "/")}`;
  }

  /** Folders whose names say what a repository holds: their times change with it. */
  holdings(repository: Repository): readonly string[] {
    const manifests = this.manifests(repository);
    return [this.tags(repository), this.pins(repository), `${manifests}/sha256`, `${manifests}/sha512`];
  }

  links(repository: Repository): string {
    return `${this.repository(repository)}/_blobs`;
  }

  link(repository: Repository, digest: Digest): string {
    return `${this.repository(repository)}/_blobs/${digest.replace(":", "/")}`;
  }

  referrers(repository: Repository, subject: Digest): string {
    return `${this.repository(repository)}/_referrers/${dashed(subject)}`;
  }

  referrer(repository: Repository, subject: Digest, digest: Digest): string {
    return `${this.referrers(repository, subject)}/${dashed(digest)}`;
  }

  referrersAnswer(repository: Repository, subject: Digest): string {
    return `${this.referrers(repository, subject)}/_answer`;
  }

  pins(repository: Repository): string {
    return `${this.repository(repository)}/_pins`;
  }

  pin(repository: Repository, reference: Reference): string {
    return `${this.pins(repository)}/${reference.kind === "tag" ? reference.tag : dashed(reference.digest)}`;
  }

  quarantine(): string {
    return `${this.root}/${folders.quarantine}`;
  }

  temporary(): string {
    return `${this.root}/${folders.temporary}`;
  }
}

/** A registry's folder name: its colons written as `_`, and a `_` at the end when it has a port, as containerd does. */
export function hostFolder(host: RegistryHost): string {
  if (host.startsWith("[")) return host.replaceAll(":", "_") + (host.endsWith("]") ? "" : "_");
  return host.includes(":") ? `${host.replace(":", "_")}_` : host;
}

/** The registry whose folder this is, or undefined when it is nobody's. */
export function findHostOfFolder(folder: string): RegistryHost | undefined {
  const word = folder.startsWith("[") ? folder.replace(/_$/, "").replaceAll("_", ":") : folder.replace(/_([0-9]+)_$/, ":$1");
  // A registry that is spoken to by http may have a port that https implies.
  return [findRegistryHost(word), findRegistryHost(word, { scheme: "http" })].find((host) => host !== undefined && hostFolder(host) === folder);
}

/** The repository whose folder lies at `path` below its registry's, or undefined when no repository can have that name. */
export function findRepositoryOfFolder(host: RegistryHost, path: string): Repository | undefined {
  try {
    return { host, path: parseRepositoryPath(path) };
  } catch {
    // The parser's own error: a folder that somebody else made is nobody's repository.
    return undefined;
  }
}

/** The digest that a `_referrers` entry's name stands for. */
export function findDashedDigest(name: string): Digest | undefined {
  return findDigest(name.replace("-", ":"));
}

function dashed(digest: Digest): string {
  return digest.replace(":", "-");
}

function sharded(digest: Digest): string {
  const hex = hexOf(digest);
  return `${algorithmOf(digest)}/${hex.slice(0, 2)}/${hex}`;
}
