/**
 * Audit: the line that says who was let in or not, and why. Denials are at info, but for the probe by which clients learn that they have
 * to log in: that, and whoever is let in, is at debug.
 */
import type { AccessRecord } from "../oci/access-record.ts";
import type { Log, LogFields } from "../oci/log.ts";
import { repositoryName } from "../oci/repository.ts";
import type { RecentActivity } from "./recent-activity.ts";

export interface AuditOptions {
  readonly log: Log;
  /** Whether debug is written. */
  readonly isDebug: () => boolean;
  /** What administrators look at; undefined: nobody does. */
  readonly recent: Pick<RecentActivity, "note"> | undefined;
}

export class Audit {
  readonly #options: AuditOptions;

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  refused(record: AccessRecord): void {
    const { log, recent } = this.#options;
    recent?.note(record);
    const isProbe = record.action === "ping" && !record.showedCredential;
    if (isProbe) log.debug(fieldsOf(record), "access denied");
    else log.info(fieldsOf(record), "access denied");
  }

  admitted(record: () => AccessRecord): void {
    const { log, isDebug, recent } = this.#options;
    if (!recent && !isDebug()) return;
    const made = record();
    recent?.note(made);
    if (isDebug()) log.debug(fieldsOf(made), "access granted");
  }
}

function fieldsOf({ requestId, method, client, action, repository, user, by, isAllowed, rule, reason }: AccessRecord): LogFields {
  return {
    requestId,
    user,
    by,
    method,
    client,
    action,
    repository: repository && repositoryName(repository),
    decision: isAllowed ? "allowed" : "denied",
    rule,
    reason,
  };
}
