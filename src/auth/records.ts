/**
 * Records: small texts (sessions, keys, logins under way) that outlive the process, and that every process of one registry sees. Each has
 * a path of plain words and a time until which it is good. Nothing may be told by a path: who keeps a secret names it by its hash.
 */

/** A kind of record, then its names: letters, digits, `_` and `-`, at most 128 of them each. No record's path is the beginning of another's. */
export type RecordPath = readonly [kind: string, ...names: string[]];

export interface Records extends AsyncDisposable {
  /** Undefined: there is none, or its time is over. Throws `RecordsUnavailable`. */
  read(path: RecordPath): Promise<string | undefined>;
  /** Whole, in place of what was there; on disk, or with whoever keeps it, once this resolves. Throws `RecordsUnavailable`. */
  write(path: RecordPath, text: string, life: { readonly lifeMs: number }): Promise<void>;
  /** Reads and removes: of several who take one record at once, in whatever process, one gets it. Throws `RecordsUnavailable`. */
  take(path: RecordPath): Promise<string | undefined>;
  /** Whether there was one. Throws `RecordsUnavailable`. */
  remove(path: RecordPath): Promise<boolean>;
  /** The last names of the records whose path begins so and has one name more; at most `listedMax`. Throws `RecordsUnavailable`. */
  list(folder: RecordPath): Promise<readonly string[]>;
}

export const listedMax = 10_000;

/** Life of what is good until somebody removes it: a hundred years. */
export const unendingMs = 100 * 365 * 86_400_000;

/** Nobody can tell just now: the disk, or who keeps the records, does not answer. */
export class RecordsUnavailable extends Error {
  constructor(where: string, cause: unknown) {
    super(`${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "RecordsUnavailable";
  }
}

/** Throws an Error for a name that could be read as something else where records are kept: that is our own mistake, nobody's input. */
export function checkPath(path: RecordPath): void {
  const bad = path.find((name) => !/^[A-Za-z0-9_-]{1,128}$/.test(name));
  if (bad !== undefined) throw new Error(`"${bad.slice(0, 128)}" names no record`);
}
