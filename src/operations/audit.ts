/**
 * Audit: the line that says who was let in or not, and why. Denials are at info, but for the probe by which clients learn that they have
 * to log in: that, and whoever is let in, is at debug.
 */
import type { AccessRecord } from "../oci/access-record.ts";
import type { Log, LogFields } from "../oci/log.ts";
import { repositoryName } from "../oci/repository.ts";

export interface AuditOptions {
  readonly log: Log;
  /** Whether debug is written: a line is made only then. */
  readonly isDebug: () => boolean;
}

export class Audit {
  readonly #options: AuditOptions;

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  refused(record: AccessRecord): void {
    const { log } = this.#options;
    const isProbe = record.action === "ping" && !record.showedCredential;
    if (isProbe) log.debug(fieldsOf(record), "access denied");
    else log.info(fieldsOf(record), "access denied");
  }

  admitted(record: () => AccessRecord): void {
    const { log, isDebug } = this.#options;
    if (isDebug()) log.debug(fieldsOf(record()), "access granted");
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
