/**
 * surveyRepositories: every repository of which something is held, with what a list shows of it. Looks at names and times of files, and
 * reads none. Runs in the thread that browses the store.
 */
import { digestAlgorithms } from "../oci/digest.ts";
import type { Repository } from "../oci/repository.ts";
import type { Layout } from "./layout.ts";
import { walkRepositories } from "./repository-folders.ts";
import type { StoreReader } from "./store-reader.ts";

export interface SurveyedRepository {
  readonly repository: Repository;
  readonly tagCount: number;
  readonly manifestCount: number;
  /** When a manifest last came or was pulled, in milliseconds since 1970. */
  readonly usedAtMs: number;
}

/** After so many files whoever walks is given a chance to do something else. */
const filesAtOnce = 256;

/** In the order of their names. Undefined now and then: nothing was found, but time has passed. */
export function* surveyRepositories(layout: Layout, reader: StoreReader): Generator<SurveyedRepository | undefined> {
  for (const repository of walkRepositories(layout, reader, undefined)) {
    let manifestCount = 0;
    let usedAtMs = 0;
    for (const algorithm of digestAlgorithms) {
      const folder = `${layout.manifests(repository)}/${algorithm}`;
      for (const name of reader.names(folder)) {
        manifestCount += 1;
        usedAtMs = Math.max(usedAtMs, Math.round(reader.stat(`${folder}/${name}`)?.mtimeMs ?? 0));
        if (manifestCount % filesAtOnce === 0) yield undefined;
      }
    }
    const tagCount = reader.names(layout.tags(repository)).length;
    if (manifestCount > 0 || tagCount > 0) yield { repository, tagCount, manifestCount, usedAtMs };
  }
}
