/**
 * SealingKeys: the keys by which is sealed what nobody else's secret could seal: what a provider gave for somebody, of whose sessions there
 * may be several. The operator's own, or one that is drawn when it is first needed and kept apart from what it seals.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../oci/clock.ts";
import type { Secret } from "../oci/secret.ts";
import { unendingMs, type Records } from "./records.ts";
import { seal, unseal, type SealSecret } from "./sealed-text.ts";

export interface SealingKeysOptions {
  /** `encryptKey` of `auth.sessionKeysFile`. */
  readonly given: Secret | undefined;
  /** Where one of ours is kept: every process of one registry has the same. */
  readonly records: Pick<Records, "read" | "write" | "list">;
  readonly clock: Clock;
}

/** `use`: what is sealed, and whose: it opens as nothing else. */
export interface Sealing {
  readonly seal: (text: string, use: string) => string;
  /** Undefined: it was sealed by a key that is here no more, or for another use. */
  readonly unseal: (sealed: string, use: string) => string | undefined;
}

const kind = "sealing-keys";

export class SealingKeys {
  readonly #options: SealingKeysOptions;

  constructor(options: SealingKeysOptions) {
    this.#options = options;
  }

  /** Ready for use, with nothing left that could fail. Throws `RecordsUnavailable`. */
  async read(): Promise<Sealing> {
    const known = await this.#all();
    const secrets = known.length > 0 ? known : await this.#draw();
    const by = (secret: string, use: string): SealSecret => ({ secret, pepper: "", use });
    return {
      seal: (text, use) => seal(text, by(secrets[0] ?? "", use)),
      unseal: (sealed, use) => secrets.map((secret) => unseal(sealed, by(secret, use))).find((text) => text !== undefined),
    };
  }

  /** The oldest first, by which everybody seals. There are several where two processes have drawn one at the same time. */
  async #all(): Promise<readonly string[]> {
    const { given, records } = this.#options;
    if (given) return [given.reveal()];
    const names = (await records.list([kind])).toSorted();
    const secrets = await Promise.all(names.map((name) => records.read([kind, name])));
    return secrets.filter((secret) => secret !== undefined);
  }

  async #draw(): Promise<readonly string[]> {
    const { records, clock } = this.#options;
    const drawn = randomBytes(32).toString("base64url");
    const name = `${String(clock.now()).padStart(15, "0")}-${randomBytes(8).toString("hex")}`;
    await records.write([kind, name], drawn, { lifeMs: unendingMs });
    const all = await this.#all();
    return all.length > 0 ? all : [drawn];
  }
}
