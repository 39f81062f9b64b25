/** Provider's words: what a provider last said of somebody whom it vouches for, as it is kept. */
import { findObject, textOf } from "./json-object.ts";

export interface ProviderWord {
  /** The provider's name, and who the person is to it. */
  readonly by: string;
  readonly subject: string;
  /** Who the person is to us. */
  readonly user: string;
  readonly groups: readonly string[];
  /** When it was said. */
  readonly atMs: number;
  /** The same for as long as the provider has not gone back on it. */
  readonly stamp: string;
}

export function writeWord(word: ProviderWord): string {
  return JSON.stringify(word);
}

/** Undefined for a text that is none. */
export function readWord(text: string | undefined): ProviderWord | undefined {
  const read = findObject(text);
  const [by, subject, user, stamp] = [textOf(read?.["by"]), textOf(read?.["subject"]), textOf(read?.["user"]), textOf(read?.["stamp"])];
  const [groups, atMs] = [read?.["groups"], read?.["atMs"]];
  if (by === undefined || subject === undefined || user === undefined || stamp === undefined || typeof atMs !== "number") return undefined;
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === "string")) return undefined;
  return { by, subject, user, groups, atMs, stamp };
}
