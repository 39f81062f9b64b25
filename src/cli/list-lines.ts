/** How `ociregistry list` shows an image: as rows of a table, as a tree, as JSON. */
import type { HeldPart } from "../cache/held-image.ts";
import type { Pin } from "../cache/pins.ts";
import { hexOf, type Digest } from "../oci/digest.ts";
import { platformName } from "../oci/platform.ts";
import { referenceName } from "../oci/reference.ts";
import { repositoryName } from "../oci/repository.ts";
import type { ImageSummary } from "../transfer/image-summary.ts";
import { sizeText } from "./amounts.ts";

/** IMAGE, TAG/DIGEST, TYPE, CREATED, PULLED, SIZE(MB), PINNED. */
export type Row = readonly string[];

const shortHexLength = 12;
const dayMs = 86_400_000;

export function headerOf(): Row {
  return ["IMAGE", "TAG/DIGEST", "TYPE", "CREATED", "PULLED", "SIZE(MB)", "PINNED"];
}

/** One for each tag that matches; one for an image that has none. */
export function rowsOf(
  { image, pulledAtMs, sizeBytes }: ImageSummary,
  { isShort, pattern }: { readonly isShort: boolean; readonly pattern: ((name: string) => boolean) | undefined },
): readonly Row[] {
  const name = repositoryName(image.repository);
  const rest = [
    image.kind === "index" ? "list" : "image",
    timeOf(image.heldSinceMs),
    pulledAtMs === undefined ? "-" : timeOf(pulledAtMs),
    (sizeBytes / 1_000_000).toFixed(2),
    image.pinned ? pinText(image.pinned) : "",
  ];
  if (image.tags.length === 0) return [[name, digestText(image.digest, isShort), ...rest]];
  return image.tags.filter(({ tag }) => !pattern || pattern(`${name}:${tag}`)).map(({ tag }) => [name, tag, ...rest]);
}

/** The image, and below it its children and what refers to them. */
export function treeOf(summary: ImageSummary, { isShort, nowMs }: { readonly isShort: boolean; readonly nowMs: number }): string {
  const { image, names, pulledAtMs, sizeBytes, ownBytes = 0, isComplete, missingCount, manifests } = summary;
  const facts = [
    digestText(image.digest, isShort),
    image.kind,
    `${sizeText(sizeBytes)} (${sizeText(ownBytes)} its own)`,
    pulledAtMs === undefined ? "never pulled" : `pulled ${ageText(nowMs - pulledAtMs)}`,
    `here since ${timeOf(image.heldSinceMs)}`,
    ...(image.pinned ? [`${pinText(image.pinned)}${image.pinned.reason === undefined ? "" : ` (${image.pinned.reason.replaceAll(/\s+/g, " ")})`}`] : []),
    ...(isComplete ? [] : [missingCount === 0 ? "nothing to run is held" : `incomplete: lacks ${missingCount}`]),
  ];
  return [names.join(", "), `  ${facts.join(", ")}`, ...branches(image.digest, manifests, "  ", isShort), ""].join("\n");
}

export function jsonOf({ image, pulledAtMs, sizeBytes, ownBytes = 0, isComplete, missingCount, manifests }: ImageSummary): object {
  const { repository, tags, digest, kind, mediaType, heldSinceMs, pinned } = image;
  return {
    repository: repositoryName(repository),
    registry: repository.host,
    tags: tags.map(({ tag }) => tag),
    digest,
    kind,
    mediaType,
    created: timeOf(heldSinceMs),
    pulled: pulledAtMs === undefined ? null : timeOf(pulledAtMs),
    sizeBytes,
    ownBytes,
    sharedBytes: sizeBytes - ownBytes,
    complete: isComplete,
    missing: missingCount,
    pinned: pinned
      ? { reference: referenceName(pinned.reference), until: pinned.untilMs === undefined ? null : timeOf(pinned.untilMs), reason: pinned.reason }
      : null,
    manifests: manifests.map((part) => ({
      role: part.role,
      digest: part.digest,
      mediaType: part.mediaType,
      platform: part.platform && platformName(part.platform),
      parent: part.parent,
      sizeBytes: part.sizeBytes,
      held: part.isHeld,
    })),
  };
}

function branches(parent: Digest, manifests: readonly HeldPart[], indent: string, isShort: boolean): readonly string[] {
  const below = manifests.filter((part) => part.parent === parent);
  return below.flatMap((part, at) => {
    const isLast = at === below.length - 1;
    const what = part.role === "referrer" ? `refers to it: ${part.mediaType}` : part.platform ? platformName(part.platform) : part.mediaType;
    const line = `${indent}${isLast ? "└─" : "├─"} ${what} ${digestText(part.digest, isShort)}${part.isHeld ? "" : " not held"}`;
    return [line, ...branches(part.digest, manifests, `${indent}${isLast ? "   " : "│  "}`, isShort)];
  });
}

function digestText(digest: Digest, isShort: boolean): string {
  return isShort ? hexOf(digest).slice(0, shortHexLength) : digest;
}

/** ISO 8601, in UTC, whole seconds. */
function timeOf(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}

function pinText({ untilMs }: Pin): string {
  return untilMs === undefined ? "pinned" : `pinned until ${timeOf(untilMs)}`;
}

function ageText(ageMs: number): string {
  if (ageMs < 60_000) return "just now";
  if (ageMs < 3_600_000) return `${Math.floor(ageMs / 60_000)} min ago`;
  return ageMs < 2 * dayMs ? `${Math.floor(ageMs / 3_600_000)} h ago` : `${Math.floor(ageMs / dayMs)} days ago`;
}
