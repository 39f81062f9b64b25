/** What an entry of a directory says about a person: the name under which they count, and their groups. */
import type { Entry } from "ldapts";

const groupsMax = 2_000;

/**
 * The directory's own value of `attribute`: directories find `alice` for `ALICE` and `alice ` too, and a name that is spelled as one
 * likes passes by every rule. Undefined when there is none to be sure of.
 */
export function identityOf(entry: Entry, attribute: string, typed: string): string | undefined {
  const values = valuesOf(entry, attribute).filter((value) => value.trim() !== "");
  if (values.length === 1) return values[0];
  return values.find((value) => folded(value) === folded(typed));
}

/** Whether it has this value, but for the case: directories may find what is only like it. */
export function hasValue(entry: Entry, attribute: string, wanted: string): boolean {
  return valuesOf(entry, attribute).some((value) => value.trim().toLowerCase() === wanted.trim().toLowerCase());
}

/** Each value as it is, and, of a DN that begins with it, the `cn`. Sorted by the directory, no name twice. */
export function groupsOf(entry: Entry, attribute: string | undefined): readonly string[] {
  if (attribute === undefined) return [];
  const values = valuesOf(entry, attribute).slice(0, groupsMax);
  return [...new Set(values.flatMap((value) => [value, ...commonNames(value)]))];
}

/** Directories answer in their own spelling, Active Directory with `;range=0-1499` behind it. */
function valuesOf(entry: Entry, attribute: string): readonly string[] {
  const wanted = attribute.toLowerCase();
  return Object.entries(entry)
    .filter(([name]) => name.split(";", 1)[0]?.toLowerCase() === wanted)
    .flatMap(([, values]) => values)
    .filter((value) => typeof value === "string");
}

/** RFC 4514: the value of a first component that is one `cn` alone. */
function commonNames(dn: string): readonly string[] {
  const written = /^cn=((?:\\.|[^\\,+])+)(?:,|$)/i.exec(dn)?.[1];
  return written === undefined ? [] : [unescaped(written)];
}

function unescaped(written: string): string {
  const bytes = written.replaceAll(/(?:\\[0-9a-f]{2})+/gi, (codes) => Buffer.from(codes.replaceAll("\\", ""), "hex").toString("utf8"));
  return bytes.replaceAll(/\\(.)/g, "$1").trim();
}

function folded(name: string): string {
  return name.normalize("NFKC").toLowerCase().trim().replaceAll(/\s+/g, " ");
}
