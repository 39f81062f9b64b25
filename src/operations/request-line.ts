/** The request line: one event for each request, with the same fields in the same order whatever was asked. */
import type { Log } from "../oci/log.ts";
import { repositoryName } from "../oci/repository.ts";
import type { RequestRecord } from "../oci/request-record.ts";

/** Says what a request amounted to: probes at debug, all else at info. Fields that do not apply are left out. */
export function requestLine(log: Log, record: RequestRecord): void {
  const fields = {
    requestId: record.requestId,
    method: record.method,
    repository: record.repository && repositoryName(record.repository),
    reference: record.reference,
    status: record.status,
    bytes: record.sentBytes,
    ms: Math.round(record.durationMs * 10) / 10,
    outcome: record.outcome,
    client: record.client,
    user: record.principal,
  };
  if (record.kind === "probe") log.debug(fields, "request");
  else log.info(fields, "request");
}
