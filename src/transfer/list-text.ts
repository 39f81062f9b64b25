/**
 * readListText: the images that one text names. A list of references, one a line, with `#` comments; else a document whose first line
 * gives it away: JSON or YAML.
 */
import { OciError } from "../oci/errors.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import { findImagesInJson, findImagesInYaml, type FoundImages } from "./document-images.ts";
import type { ListedReference, ListProblem } from "./listed-reference.ts";
import { parseImageName } from "./image-name.ts";

export interface ListText {
  readonly references: readonly ListedReference[];
  readonly problems: readonly ListProblem[];
}

const byteOrderMark = "\uFEFF";

/** Never throws for what is in it. */
export function readListText(text: string, { file, names }: { readonly file: string; readonly names: RegistryNames }): ListText {
  const { images, problems: unread } = findImages(text.startsWith(byteOrderMark) ? text.slice(1) : text);
  const references: ListedReference[] = [];
  const problems: ListProblem[] = unread.map((problem) => ({ file, ...problem }));
  for (const { written, line } of images) {
    try {
      references.push({ ...parseImageName(written, names), written, file, line });
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      problems.push({ file, line, message: error.message });
    }
  }
  return { references, problems: problems.sort((one, other) => one.line - other.line) };
}

function findImages(text: string): FoundImages {
  const first = firstLine(text);
  if (/^[[{]/.test(first)) return findImagesInJson(text);
  if (/^(%YAML|---|- |["']?[\w.$/-]+["']?\s*:(\s|$))/.test(first)) return findImagesInYaml(text);
  return { images: linesOf(text), problems: [] };
}

/** The first line that says something. */
function firstLine(text: string): string {
  return /^(?!\s*(#|$)).*$/m.exec(text)?.[0].trim() ?? "";
}

function linesOf(text: string): FoundImages["images"] {
  return text.split("\n").flatMap((raw, index) => {
    const written = raw
      .trim()
      .replace(/(^|\s)#.*$/, "")
      .trim();
    return written === "" ? [] : [{ written, line: index + 1 }];
  });
}
