/** orLater: what does not answer is a reason to come back later, told in a word that pages know. */
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import { RecordsUnavailable } from "./records.ts";

const retryAfterMs = 5_000;

/** `work`'s result. Throws what it throws, but `OVERLOADED` in place of `RecordsUnavailable`. */
export async function orLater<Result>(log: Log, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RecordsUnavailable)) throw error;
    // Whoever keeps the records has told of it, once.
    log.debug({ problem: error.message }, "keys and sessions cannot be read or kept");
    throw new OciError("OVERLOADED", "keys and sessions cannot be read or kept just now", { cause: error, retryAfterMs });
  }
}
