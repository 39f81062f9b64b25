/** sortChildren: which manifests of an index are needed on the platforms that one has. */
import type { Descriptor } from "../oci/descriptor.ts";
import { isPlatform, type Platform } from "../oci/platform.ts";

export interface SortedChildren {
  readonly needed: readonly Descriptor[];
  readonly aside: readonly Descriptor[];
  /** Platforms that were asked for and that the index has nothing for. */
  readonly lacking: readonly Platform[];
}

/** BuildKit's attestations say with these annotations which image they are for. */
const attestationType = "vnd.docker.reference.type";
const attestationSubject = "vnd.docker.reference.digest";

/**
 * Children in their order. One that says no platform is needed: nobody can tell that it is not. An attestation goes with its image. Where an
 * arm of a version is asked for and there is none, the next older one serves, as it does on that machine.
 */
export function sortChildren(children: readonly Descriptor[], platforms: readonly Platform[] | "all"): SortedChildren {
  if (platforms === "all") return { needed: children, aside: [], lacking: [] };
  const chosen = new Set<Descriptor>();
  const lacking: Platform[] = [];
  for (const wanted of platforms) {
    const fitting = [wanted, ...olderThan(wanted)].map((platform) => children.filter((child) => child.platform && isPlatform(child.platform, platform)));
    const best = fitting.find((found) => found.length > 0);
    if (!best) lacking.push(wanted);
    for (const child of best ?? []) chosen.add(child);
  }
  for (const child of children) if (!child.platform && child.annotations?.[attestationType] === undefined) chosen.add(child);
  const digests = new Set<string>([...chosen].map(({ digest }) => digest));
  const isNeeded = (child: Descriptor): boolean => chosen.has(child) || digests.has(child.annotations?.[attestationSubject] ?? "");
  const needed = children.filter(isNeeded);
  const isWithoutPlatforms = children.every(({ platform }) => !platform);
  return { needed, aside: children.filter((child) => !isNeeded(child)), lacking: isWithoutPlatforms ? [] : lacking };
}

/** arm/v7 runs v6 and v5. */
function olderThan(platform: Platform): readonly Platform[] {
  const version = platform.architecture === "arm" ? Number(platform.variant?.slice(1)) : Number.NaN;
  return [7, 6, 5].filter((older) => older < version).map((older) => ({ ...platform, variant: `v${older}` }));
}
