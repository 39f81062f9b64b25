/**
 * Image patterns, as kubelet's credential plugins name what a credential is for: `*.dkr.ecr.*.amazonaws.com`, `quay.io/team`. Globs stand
 * within one label of the host, ports are equal, the path is this one or above the image's.
 */

export interface ImagePattern {
  /** How the pattern was written. */
  readonly text: string;
  readonly labels: readonly string[];
  readonly port: string;
  readonly path: string;
}

const lengthMax = 512;

/** Undefined for what is no pattern, or is longer than 512 characters. */
export function parseImagePattern(text: string): ImagePattern | undefined {
  if (text.length > lengthMax) return undefined;
  const [, host, port = "", path = ""] = /^(?:https?:\/\/)?(\[[^\]/\s]+\]|[^/:[\]\s]+)(?::([0-9]+))?(?:\/(\S*))?$/i.exec(text) ?? [];
  return host === undefined ? undefined : { text, labels: labelsOf(host.toLowerCase()), port, path: path.replace(/\/+$/, "") };
}

/** True when `image`, a `host[:port]/path`, is among those that the pattern names. */
export function matchesImage({ labels, port, path }: ImagePattern, image: string): boolean {
  const [, host = "", imagePort = "", imagePath = ""] = /^(\[[^\]/]*\]|[^/:]*)(?::([0-9]+))?\/(.*)$/.exec(image) ?? [];
  const imageLabels = labelsOf(host);
  if (port !== imagePort || labels.length !== imageLabels.length) return false;
  const isBelow = path === "" || imagePath === path || imagePath.startsWith(`${path}/`);
  return isBelow && labels.every((label, at) => matchesLabel(label, imageLabels[at] ?? ""));
}

function labelsOf(host: string): readonly string[] {
  return host.startsWith("[") ? [host] : host.split(".");
}

/** The one that says most comes first: by its path, then by how much of the host it writes out. */
export function bySpecificity(one: ImagePattern, other: ImagePattern): number {
  return other.path.length - one.path.length || literalLength(other) - literalLength(one) || (one.text < other.text ? -1 : 1);
}

function literalLength({ labels }: ImagePattern): number {
  return labels.join(".").replace(/[*?]/g, "").length;
}

/** `*` is any number of characters, `?` is one. In time proportional to both lengths multiplied, whatever stands in them. */
function matchesLabel(pattern: string, label: string): boolean {
  let [at, labelAt, starAt, resumeAt] = [0, 0, -1, 0];
  while (labelAt < label.length) {
    if (pattern[at] === "*") {
      starAt = at++;
      resumeAt = labelAt;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === label[labelAt])) {
      at++;
      labelAt++;
    } else if (starAt >= 0) {
      // What the last star stands for is longer by one.
      at = starAt + 1;
      labelAt = ++resumeAt;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(at));
}
