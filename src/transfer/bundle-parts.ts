/** A bundle's file, or the numbered parts that it was split into: `NAME.001`, `NAME.002` and so on. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isErrno } from "../oci/errno.ts";
import { BundleRefused } from "./bundle-refused.ts";

export interface BundlePart {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface BundleParts {
  /** At least one, in order. */
  readonly parts: readonly BundlePart[];
  /** What is missing if the bundle does not end where they end. */
  readonly next: string | undefined;
}

const partPattern = /^(.+)\.([0-9]{3,})$/;
const firstNumber = 1;

/** `images.tar.007` */
export function partName(name: string, number: number): string {
  return `${name}.${String(number).padStart(3, "0")}`;
}

/**
 * The parts of the bundle at `path`: itself, or, where that is `NAME.001`, or only `NAME.001` is there, all that follow.
 * Throws `BundleRefused` naming a part that is missing or too short, or the first where `path` is another.
 */
export async function findBundleParts(path: string): Promise<BundleParts> {
  const whole = await sizeOf(path);
  const [, name, number] = partPattern.exec(path) ?? [];
  if (whole !== undefined && name !== undefined && Number(number) > firstNumber) {
    const first = partName(name, firstNumber);
    if ((await sizeOf(first)) !== undefined) throw new BundleRefused(`${path} is part ${Number(number)}: give ${first}`);
  }
  if (whole !== undefined && (name === undefined || Number(number) !== firstNumber)) return { parts: [{ path, sizeBytes: whole }], next: undefined };
  const stem = whole === undefined ? path : (name ?? path);
  const parts = await listParts(stem);
  const [first] = parts;
  if (!first) throw new BundleRefused(`${path} is not there`);
  const missing = parts.findIndex((part, at) => part.path !== partName(stem, firstNumber + at));
  if (missing !== -1) throw new BundleRefused(`${partName(stem, firstNumber + missing)} is missing`);
  const short = parts.slice(0, -1).find(({ sizeBytes }) => sizeBytes !== first.sizeBytes);
  if (short) throw new BundleRefused(`${short.path} has ${short.sizeBytes} bytes, ${first.path} has ${first.sizeBytes}: all but the last are of one size`);
  return { parts, next: partName(stem, firstNumber + parts.length) };
}

/** Parts that lie there, by number. */
export async function listParts(stem: string): Promise<readonly BundlePart[]> {
  const folder = dirname(stem);
  const names = await readdir(folder).catch((error: unknown) => {
    throw new BundleRefused(`${folder} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  const numbered = names.flatMap((name) => {
    const [, partStem, number] = partPattern.exec(name) ?? [];
    return partStem === basename(stem) && name === partName(partStem, Number(number)) ? [{ name, number: Number(number) }] : [];
  });
  const sorted = numbered.filter(({ number }) => number >= firstNumber).sort((one, other) => one.number - other.number);
  const parts = await Promise.all(sorted.map(async ({ name }) => ({ path: join(folder, name), sizeBytes: await sizeOf(join(folder, name)) })));
  return parts.flatMap(({ path, sizeBytes }) => (sizeBytes === undefined ? [] : [{ path, sizeBytes }]));
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
