/** Walked: what a walk over an image comes by, one thing after the other. */
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { OciError } from "../oci/errors.ts";
import type { Manifest, ManifestContent } from "../oci/manifest.ts";
import type { Platform } from "../oci/platform.ts";
import type { Answered } from "../oci/registry.ts";
import type { Tag } from "../oci/tag.ts";

/** What a manifest is to the image. */
export type WalkedRole = "root" | "child" | "referrer";

/** A manifest that was found, with its bytes. A parent comes before its children, its own blobs right after it. */
export interface WalkedManifest {
  readonly kind: "manifest";
  readonly role: WalkedRole;
  readonly manifest: Manifest;
  readonly content: ManifestContent;
  readonly outcome: Answered["outcome"];
  /** Whose child it is: absent for the root, and for a referrer (its subject says). */
  readonly parent?: Digest;
  /** For a child whose index says, and a root whose config says nothing here: absent. */
  readonly platform?: Platform;
  /** For a referrer: what it refers to; and the tags by which it was found, if not by the referrers API. */
  readonly subject?: Digest;
  readonly tags?: readonly Tag[];
}

/** A config or layer that the image needs. */
export interface WalkedBlob {
  readonly kind: "blob";
  readonly descriptor: Descriptor;
  readonly parent: Digest;
  /** Bytes that lie elsewhere by licence (`urls`, a foreign media type): registries need not have them. */
  readonly isForeign: boolean;
}

/** A child that nobody asked for: its index stays whole and names it still. */
export interface WalkedAside {
  readonly kind: "aside";
  readonly descriptor: Descriptor;
  readonly parent: Digest;
  readonly platform?: Platform;
}

/** A child or a referrer that should be there and is not, or could not be had. A root that is missing is thrown. */
export interface WalkedGap {
  readonly kind: "gap";
  readonly role: Exclude<WalkedRole, "root">;
  readonly descriptor: Descriptor;
  readonly parent: Digest;
  readonly platform?: Platform;
  readonly error: OciError;
}

/** A platform that was asked for, and that an index has nothing for, though it has something for another. */
export interface WalkedLack {
  readonly kind: "lack";
  readonly platform: Platform;
  readonly parent: Digest;
}

export type Walked = WalkedManifest | WalkedBlob | WalkedAside | WalkedGap | WalkedLack;

export interface ImageWalkOptions {
  /** Children for these are needed, all others are aside. "all": every child. An attestation goes with the image it is for. */
  readonly platforms: readonly Platform[] | "all";
  /** False: only what a pull needs. Referrers are looked for by the API, by the tag that stands for it, and by cosign's tags. */
  readonly referrers: boolean;
  readonly signal: AbortSignal;
  /** False: only what is held is looked at. */
  readonly mayFetch?: boolean;
  readonly purpose?: "load" | "verify";
  readonly requestId?: string;
}
