/**
 * Platform: what a manifest in an index runs on. OCI image-spec "Image Index Specification"; the words are Go's (linux/arm64/v8).
 */

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** v6, v7, v8 for arm; v2, v3 for amd64. Absent: any. */
  readonly variant?: string;
  /** Windows: 10.0.20348.1970, or its beginning. Absent: any. */
  readonly osVersion?: string;
}

const wordPattern = /^[a-z0-9][a-z0-9._-]{0,63}$/i;
/** What people write for an architecture that Go calls otherwise, as containerd takes it. */
const architectureWords: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  i386: ["386"],
  i686: ["386"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};

/** Reads `os/architecture[/variant]`; undefined when it is not that. */
export function findPlatform(written: string): Platform | undefined {
  const [os, word, said, ...rest] = written.trim().split("/");
  if (os === undefined || word === undefined || rest.length > 0 || ![os, word, said ?? "any"].every((part) => wordPattern.test(part))) return undefined;
  const [architecture, implied] = architectureWords[word.toLowerCase()] ?? [word.toLowerCase()];
  const variant = said?.toLowerCase() ?? implied;
  return { os: os.toLowerCase() === "macos" ? "darwin" : os.toLowerCase(), architecture, ...(variant === undefined ? {} : { variant }) };
}

/** Whether something built for `offered` is what `wanted` asks for: what the wish leaves open, anything fulfils. */
export function isPlatform(offered: Platform, wanted: Platform): boolean {
  return (
    offered.os === wanted.os &&
    offered.architecture === wanted.architecture &&
    (wanted.variant === undefined || (offered.variant ?? impliedVariant(offered)) === wanted.variant) &&
    (wanted.osVersion === undefined || (offered.osVersion ?? "").startsWith(wanted.osVersion))
  );
}

/** `linux/arm64/v8`, as lists and flags spell it. */
export function platformName({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** A platform out of an index's JSON; undefined where it says none, or the "unknown" of what is no program. */
export function readPlatform(json: unknown): Platform | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const { os, architecture, variant, "os.version": osVersion } = json as Readonly<Record<string, unknown>>;
  if (typeof os !== "string" || typeof architecture !== "string" || os === "" || os === "unknown") return undefined;
  return {
    os,
    architecture,
    ...(typeof variant === "string" && variant !== "" ? { variant } : {}),
    ...(typeof osVersion === "string" && osVersion !== "" ? { osVersion } : {}),
  };
}

/** Indexes leave out what their architecture has only one of. */
function impliedVariant({ architecture }: Platform): string | undefined {
  if (architecture === "arm64") return "v8";
  return architecture === "arm" ? "v7" : undefined;
}
