/** DeviceLogins: both sides of letting a terminal in: what it asks, and what somebody decides about it. */
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { ApiKeys } from "./api-keys.ts";
import { DeviceApprovals } from "./device-approvals.ts";
import { DeviceConsents, type DeviceConsentsOptions } from "./device-consents.ts";
import { DeviceGrants } from "./device-grants.ts";
import { DeviceService } from "./device-service.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { People } from "./people.ts";
import type { Records } from "./records.ts";

export interface DeviceLoginsOptions {
  readonly records: Records;
  readonly keys: Pick<ApiKeys, "hasTooMany">;
  /** The same records, for whoever has no name: however many ask, nobody's keys and sessions wait behind them. */
  readonly strangers: Records;
  readonly strangersKeys: Pick<ApiKeys, "create" | "giveUp">;
  readonly stampOf: DeviceConsentsOptions["stampOf"];
  readonly people: People;
  readonly own: OwnOrigin;
  readonly clock: Clock;
  readonly log: Log;
}

export class DeviceLogins {
  readonly service: DeviceService;
  readonly approvals: DeviceApprovals;

  /** Reads and writes nothing yet. */
  constructor({ records, keys, strangers, strangersKeys, stampOf, people, own, clock, log }: DeviceLoginsOptions) {
    this.service = new DeviceService({
      grants: new DeviceGrants({ records: strangers, clock }),
      consents: new DeviceConsents({ records: strangers, stampOf }),
      keys: strangersKeys,
      own,
      clock,
      log,
    });
    const [grants, consents] = [new DeviceGrants({ records, clock }), new DeviceConsents({ records, stampOf })];
    this.approvals = new DeviceApprovals({ grants, consents, keys, people, own, clock, log });
  }
}
