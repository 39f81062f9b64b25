/**
 * AdminQuery: the parameters of an administrative request. One that is not known is refused: who writes `dry_run=true` for `dryRun=true`
 * must not find out by what is gone.
 */
import { OciError } from "../oci/errors.ts";

const countDefault = 50;
const shownLengthMax = 64;

export class AdminQuery {
  readonly #values = new Map<string, string>();

  /** Reads those of `target`. Their names are taken in any case. Throws `REQUEST_INVALID` for another, and for one that comes twice. */
  constructor(target: string, names: readonly string[]) {
    const queryAt = target.indexOf("?");
    for (const [written, value] of new URLSearchParams(queryAt === -1 ? "" : target.slice(queryAt + 1))) {
      const name = names.find((one) => one.toLowerCase() === written.toLowerCase());
      if (name === undefined) {
        const known = names.length === 0 ? "there are none here" : `there are ${names.join(", ")}`;
        throw new OciError("REQUEST_INVALID", `no parameter ${shown(written)}: ${known}`);
      }
      if (this.#values.has(name)) throw new OciError("REQUEST_INVALID", `${name} is there twice`);
      if (value !== "") this.#values.set(name, value);
    }
  }

  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** How many at most: 50 unless it says otherwise; undefined for -1, which is any number. Throws `REQUEST_INVALID`. */
  count(): number | undefined {
    const written = this.#values.get("count");
    if (written === undefined) return countDefault;
    if (written === "-1") return undefined;
    if (!/^\d{1,9}$/.test(written)) throw new OciError("REQUEST_INVALID", `count=${shown(written)}: a whole number, or -1 for any`);
    return Number(written);
  }

  /** Throws `REQUEST_INVALID` for what is neither true nor false. */
  flag(name: string): boolean | undefined {
    const written = this.#values.get(name)?.toLowerCase();
    if (written === undefined) return undefined;
    if (written !== "true" && written !== "false") throw new OciError("REQUEST_INVALID", `${name}=${shown(written)}: true or false`);
    return written === "true";
  }

  /** Throws `REQUEST_INVALID` for none of them, and for nothing. */
  choice<const Word extends string>(name: string, words: readonly Word[]): Word {
    const written = this.#values.get(name);
    const word = words.find((one) => one === written);
    if (word === undefined)
      throw new OciError("REQUEST_INVALID", `${name}${written === undefined ? " is missing" : `=${shown(written)}`}: one of ${words.join(", ")}`);
    return word;
  }
}

function shown(written: string): string {
  return JSON.stringify(written.slice(0, shownLengthMax));
}
