/** readListText: the images that one text names. */
import type { RegistryNames } from "../oci/registry-names.ts";
import { OciError } from "../oci/errors.ts";
import type { ListedReference, ListProblem } from "./image-list.ts";
import { parseImageName } from "./image-name.ts";

export interface ListText {
  readonly references: readonly ListedReference[];
  readonly problems: readonly ListProblem[];
}

export function readListText(text: string, { file, names }: { readonly file: string; readonly names: RegistryNames }): ListText {
  const references: ListedReference[] = [];
  const problems: ListProblem[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const written = raw.replace(/(^|\s)#.*$/, "").trim();
    if (written === "") continue;
    try {
      references.push({ ...parseImageName(written, names), written, file, line: index + 1 });
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      problems.push({ file, line: index + 1, message: error.message });
    }
  }
  return { references, problems };
}
