/**
 * DeviceConsents: that somebody has let a terminal in, until its key is fetched: kept below the person's name, so that whoever ends what is that
 * person's ends this too. It holds while what vouched for the person then still does, and nobody's sessions were all ended since.
 */
import { randomUUID } from "node:crypto";
import { grantKnownMs } from "./device-grant-records.ts";
import { findObject, textOf } from "./json-object.ts";
import type { Principal } from "./principal.ts";
import type { Records } from "./records.ts";
import { readEpoch, sessionEpochPath } from "./session-records.ts";
import type { Known } from "./standing.ts";
import { userKeyOf } from "./user-key.ts";
import { readVoucher, voucherOf } from "./voucher.ts";

export interface DeviceConsentsOptions {
  readonly records: Records;
  /** See `stampOf` in standing.ts. */
  readonly stampOf: (person: Known) => Promise<string | undefined>;
}

export class DeviceConsents {
  readonly #options: DeviceConsentsOptions;

  constructor(options: DeviceConsentsOptions) {
    this.#options = options;
  }

  /** By what name it is known. Throws `RecordsUnavailable`. */
  async give({ name, method, voucher }: Principal): Promise<string> {
    const { records, stampOf } = this.#options;
    const id = randomUUID();
    const consent = { voucher: voucherOf({ method, voucher }), stamp: await stampOf({ name, method, voucher }), epoch: await this.#epoch() };
    await records.write(pathOf(name, id), JSON.stringify(consent), { lifeMs: grantKnownMs });
    return id;
  }

  /** Whether it still counts. Throws `RecordsUnavailable`. */
  async holds(owner: string, id: string): Promise<boolean> {
    const { records, stampOf } = this.#options;
    const consent = findObject(await records.read(pathOf(owner, id)));
    const voucher = readVoucher(consent?.["voucher"]);
    if (!consent || !voucher || textOf(consent["epoch"]) !== (await this.#epoch())) return false;
    const stamp = textOf(consent["stamp"]);
    return stamp === undefined || stamp === (await stampOf({ name: owner, method: "session", voucher }));
  }

  /** Throws `RecordsUnavailable`. */
  async drop(owner: string, id: string): Promise<void> {
    await this.#options.records.remove(pathOf(owner, id));
  }

  async #epoch(): Promise<string> {
    return readEpoch(await this.#options.records.read(sessionEpochPath));
  }
}

/** Ends all that one person has approved and no terminal has fetched its key for. Throws `RecordsUnavailable`. */
export async function dropConsents(owner: string, records: Records): Promise<void> {
  const ids = await records.list(["device-consents", userKeyOf(owner)]);
  await Promise.all(ids.map((id) => records.remove(pathOf(owner, id))));
}

function pathOf(owner: string, id: string): readonly [string, string, string] {
  return ["device-consents", userKeyOf(owner), id];
}
