/**
 * ProviderLogins: what a provider gave at somebody's last logins with a browser, to be asked by later. Each may be good for one use, so that
 * it is taken out by one asker alone, and what came in its place is put back; where that cannot be kept just now, it is kept in here until it can.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../oci/clock.ts";
import type { RecordPath, Records } from "./records.ts";
import type { SealingKeys } from "./sealing-keys.ts";

export interface ProviderLoginsOptions {
  readonly records: Records;
  readonly keys: Pick<SealingKeys, "read">;
  readonly clock: Clock;
  /** How long one is kept that is not used. */
  readonly lifeMs: number;
}

/** Logins of one person; the oldest makes room. One may be ended at the provider without the others. */
export const loginsKeptMax = 5;

export class ProviderLogins {
  readonly #options: ProviderLoginsOptions;
  readonly #unkept = new Map<string, { readonly login: string; readonly refreshToken: string }>();

  constructor(options: ProviderLoginsOptions) {
    this.#options = options;
  }

  /** Another login of `person`, a name for records. Throws `RecordsUnavailable`. */
  async add(person: string, refreshToken: string): Promise<void> {
    const { records, clock } = this.#options;
    for (const login of (await this.list(person)).slice(loginsKeptMax - 1)) await records.remove(pathOf(person, login));
    await this.#keep(person, `${String(clock.now()).padStart(15, "0")}-${randomBytes(8).toString("hex")}`, refreshToken);
  }

  /** Their names, the newest first. Throws `RecordsUnavailable`. */
  async list(person: string): Promise<readonly string[]> {
    return (await this.#options.records.list(["provider-tokens", person])).toSorted().toReversed();
  }

  /** Takes one out. `refreshToken` undefined: nobody can read it any more. Undefined: somebody else has taken it. Throws `RecordsUnavailable`. */
  async take(person: string, login: string): Promise<{ readonly refreshToken: string | undefined } | undefined> {
    const { records, keys } = this.#options;
    // Before it is taken: then nothing is left that could fail.
    const { unseal } = await keys.read();
    const sealed = await records.take(pathOf(person, login));
    return sealed === undefined ? undefined : { refreshToken: unseal(sealed, useOf(person)) };
  }

  /** What is to be put back in the place of what was taken. */
  hold(person: string, login: string, refreshToken: string): void {
    this.#unkept.set(person, { login, refreshToken });
  }

  /** What is held is wanted no more. */
  drop(person: string): void {
    this.#unkept.delete(person);
  }

  /** Puts back what is held, if anything is. Throws `RecordsUnavailable`, and holds it still. */
  async putBack(person: string): Promise<void> {
    const unkept = this.#unkept.get(person);
    if (unkept) await this.#keep(person, unkept.login, unkept.refreshToken);
    this.#unkept.delete(person);
  }

  async #keep(person: string, login: string, refreshToken: string): Promise<void> {
    const { records, keys, lifeMs } = this.#options;
    const { seal } = await keys.read();
    await records.write(pathOf(person, login), seal(refreshToken, useOf(person)), { lifeMs });
  }
}

function pathOf(person: string, login: string): RecordPath {
  return ["provider-tokens", person, login];
}

/** What is sealed for one person opens for no other. */
function useOf(person: string): string {
  return `provider token of ${person}`;
}
