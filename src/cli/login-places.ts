/** Login places: all the places where a login is to be kept, and kept in all of them or in none. */
import { isErrno } from "../oci/errno.ts";
import type { StoreOptions } from "../credential-stores.ts";
import type { ShownLogin } from "./auth-file-text.ts";
import { keepLogin, noteLogin, prepare, restoreLogin, type AuthPlace } from "./auth-files.ts";
import type { CommandIo } from "./command-io.ts";
import { errorLines } from "./error-lines.ts";

export interface LoginPlacesOptions {
  readonly host: string;
  readonly io: CommandIo;
  readonly store: StoreOptions;
}

/** Those that can be written. Before anybody approves anything, so that no key is made in vain. Throws what a place that is needed lacks. */
export async function usablePlaces(places: readonly AuthPlace[], { host, io, store }: LoginPlacesOptions): Promise<readonly AuthPlace[]> {
  const usable: AuthPlace[] = [];
  for (const place of places) {
    try {
      await prepare(place, host, store);
      usable.push(place);
    } catch (error) {
      if (!place.isOptional || !isErrno(error, "EACCES", "EPERM", "EROFS", "ENOENT")) throw error;
      io.writeError(`podman's own file is left out (${errorLines(error).join(" ")}): it looks into docker's too\n`);
    }
  }
  return usable;
}

/** Keeps it in each. When one fails, those before it and itself get back what they had, whoever stops it; then throws what failed. */
export async function keepEverywhere(places: readonly AuthPlace[], login: ShownLogin, { host, io, store }: LoginPlacesOptions): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const place of places) {
      const noted = await noteLogin(place, host, store);
      undo.unshift(() => putBack(() => restoreLogin(place, host, noted, { ...store, signal: new AbortController().signal }), place, io));
      io.writeError(`written: ${await keepLogin(place, host, login, store)}\n`);
    }
  } catch (error) {
    for (const undoOne of undo) await undoOne();
    throw error;
  }
}

async function putBack(restore: () => Promise<void>, { path }: AuthPlace, io: CommandIo): Promise<void> {
  try {
    await restore();
    io.writeError(`as it was again: ${path}\n`);
  } catch (error) {
    io.writeError(`what ${path} had before could not be put back: log in there again (${errorLines(error).join(" ")})\n`);
  }
}
