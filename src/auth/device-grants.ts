/**
 * DeviceGrants: terminals that ask to log in, and what somebody has decided about each (RFC 8628). Kept in records, so that a terminal may
 * ask one process and its owner approve at another. What is kept gives no code away, and no key: that is made when the terminal fetches it.
 */
import type { Clock } from "../oci/clock.ts";
import { codeKeyOf, drawDeviceCode, drawUserCode } from "./device-codes.ts";
import { grantKnownMs, grantLifeMs, readDeviceGrant, readDeviceVerdict, type DeviceGrant, type DeviceVerdict } from "./device-grant-records.ts";
import { RecordsUnavailable, type Records } from "./records.ts";

/** Clocks of processes that share records may differ by so much; what was asked later than that has not been yet. */
const clocksApartMs = 60_000;
/** A short code that somebody else has is drawn again; so many in a row are no chance. */
const drawsMax = 5;

export type DeviceCollection =
  /** There is none of this code: it never was, is forgotten, or its key was fetched. */
  | { readonly kind: "unknown" | "pending" | "expired" | "refused" }
  /** For whoever is told this, and nobody else: it is over with that. */
  | (Extract<DeviceVerdict, { readonly kind: "approved" }> & { readonly grant: DeviceGrant });

export interface DeviceGrantsOptions {
  readonly records: Records;
  readonly clock: Clock;
}

export class DeviceGrants {
  readonly #options: DeviceGrantsOptions;

  constructor(options: DeviceGrantsOptions) {
    this.#options = options;
  }

  /** A terminal asks. Throws `RecordsUnavailable`. */
  async begin(asked: Omit<DeviceGrant, "askedAtMs" | "untilMs">): Promise<{ readonly deviceCode: string; readonly userCode: string }> {
    const { records, clock } = this.#options;
    const [deviceCode, userCode] = [drawDeviceCode(), await this.#drawFreeCode()];
    const askedAtMs = clock.now();
    const grant: DeviceGrant = { ...asked, askedAtMs, untilMs: askedAtMs + grantLifeMs };
    await this.putBack(deviceCode, grant);
    await records.write(shortPath(userCode), codeKeyOf(deviceCode), { lifeMs: grantLifeMs });
    return { deviceCode, userCode };
  }

  /** What waits to be decided under a short code; undefined: nothing, or no more. Throws `RecordsUnavailable`. */
  async find(userCode: string): Promise<DeviceGrant | undefined> {
    const key = await this.#options.records.read(shortPath(userCode));
    return key === undefined ? undefined : await this.#read(key);
  }

  /**
   * Decides, once: of several who do, in whatever process, one does. Undefined: there was nothing to decide. Throws `RecordsUnavailable`: nothing
   * is decided then, and the code can be tried again, unless nothing at all can be written.
   */
  async decide(userCode: string, verdict: DeviceVerdict): Promise<DeviceGrant | undefined> {
    const { records, clock } = this.#options;
    const key = await records.take(shortPath(userCode));
    const grant = key === undefined ? undefined : await this.#read(key);
    if (key === undefined || !grant) return undefined;
    try {
      await records.write(verdictPath(key), JSON.stringify(verdict), { lifeMs: grantKnownMs });
    } catch (error) {
      if (error instanceof RecordsUnavailable) await records.write(shortPath(userCode), key, { lifeMs: Math.max(1, grant.untilMs - clock.now()) });
      throw error;
    }
    return grant;
  }

  /** What has become of a device code. One that is decided is told once. Throws `RecordsUnavailable`. */
  async collect(deviceCode: string): Promise<DeviceCollection> {
    const { records, clock } = this.#options;
    const key = codeKeyOf(deviceCode);
    const grant = await this.#read(key);
    if (!grant) return { kind: "unknown" };
    // Whoever was told that it is done was told the truth, even if the terminal comes late.
    const verdict = readDeviceVerdict(await records.read(verdictPath(key)));
    if (!verdict) return { kind: clock.now() < grant.untilMs ? "pending" : "expired" };
    // What was decided may stay until its time is over: without the grant it is nothing.
    if ((await records.take(grantPath(key))) === undefined) return { kind: "unknown" };
    return verdict.kind === "refused" ? { kind: "refused" } : { ...verdict, grant };
  }

  /** It was collected, and nothing came of it: it can be collected again. Throws `RecordsUnavailable`. */
  async putBack(deviceCode: string, grant: DeviceGrant): Promise<void> {
    const { records, clock } = this.#options;
    const lifeMs = Math.max(1, grant.askedAtMs + grantKnownMs - clock.now());
    await records.write(grantPath(codeKeyOf(deviceCode)), JSON.stringify(grant), { lifeMs });
  }

  async #read(key: string): Promise<DeviceGrant | undefined> {
    const { records, clock } = this.#options;
    const grant = readDeviceGrant(await records.read(grantPath(key)));
    // A clock that was set back would make a code good for as much longer.
    return grant && grant.askedAtMs - clock.now() < clocksApartMs ? grant : undefined;
  }

  async #drawFreeCode(): Promise<string> {
    for (let draw = 0; draw < drawsMax; draw++) {
      const code = drawUserCode();
      if ((await this.#options.records.read(shortPath(code))) === undefined) return code;
    }
    throw new Error(`${drawsMax} random codes in a row are taken: where do they come from?`);
  }
}

function grantPath(key: string): readonly [string, string] {
  return ["device-grants", key];
}

function verdictPath(key: string): readonly [string, string] {
  return ["device-verdicts", key];
}

function shortPath(userCode: string): readonly [string, string] {
  return ["device-user-codes", codeKeyOf(userCode)];
}
