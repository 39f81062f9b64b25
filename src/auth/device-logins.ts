/** DeviceLogins: both sides of letting a terminal in: what it asks, and what somebody decides about it. */
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { ApiKeys } from "./api-keys.ts";
import { DeviceApprovals } from "./device-approvals.ts";
import type { DeviceConsents } from "./device-consents.ts";
import { DeviceGrants } from "./device-grants.ts";
import { DeviceService } from "./device-service.ts";
import type { OwnOrigin } from "./own-origin.ts";
import type { People } from "./people.ts";
import type { Records } from "./records.ts";

export interface DeviceLoginsOptions {
  readonly records: Records;
  readonly consents: DeviceConsents;
  readonly keys: Pick<ApiKeys, "create" | "giveUp" | "list">;
  readonly people: People;
  readonly own: OwnOrigin;
  readonly clock: Clock;
  readonly log: Log;
}

export class DeviceLogins {
  readonly service: DeviceService;
  readonly approvals: DeviceApprovals;

  /** Reads and writes nothing yet. */
  constructor({ records, consents, keys, people, own, clock, log }: DeviceLoginsOptions) {
    const grants = new DeviceGrants({ records, clock });
    this.service = new DeviceService({ grants, consents, keys, own, clock, log });
    this.approvals = new DeviceApprovals({ grants, consents, keys, people, own, clock, log });
  }
}
