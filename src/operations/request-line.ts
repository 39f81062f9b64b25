/**
 * The request line: one event for each request, with the same fields in the same order whatever was asked. Written by hand, as the
 * logger would write it: every request pays for its line.
 */
import { repositoryName } from "../oci/repository.ts";
import type { RequestRecord } from "../oci/request-record.ts";

/** The level of a request's line: probes, and pages, which ask again by themselves, are at debug, all else at info. */
export function requestLevel({ kind }: RequestRecord): "debug" | "info" {
  return kind === "probe" || kind === "page" ? "debug" : "info";
}

/**
 * What a request amounted to, as one line of JSON. `timestamp` is a whole field with its comma: `,"time":"..."`. Fields that do
 * not apply are left out.
 */
export function requestLine(record: RequestRecord, timestamp: string): string {
  const { requestId, method, repository, reference, status, sentBytes, durationMs, outcome, client, principal } = record;
  return (
    `{"level":"${requestLevel(record)}"${timestamp}` +
    `,"requestId":${quoted(requestId)},"method":${quoted(method)}` +
    (repository === undefined ? "" : `,"repository":"${repositoryName(repository)}"`) +
    (reference === undefined ? "" : `,"reference":"${reference}"`) +
    `,"status":${status},"bytes":${sentBytes},"ms":${Math.round(durationMs * 10) / 10}` +
    (outcome === undefined ? "" : `,"outcome":"${outcome}"`) +
    `,"client":${quoted(client)}` +
    (principal === undefined ? "" : `,"user":${quoted(principal)}`) +
    `,"msg":"request"}\n`
  );
}

const plain = /^[A-Za-z0-9.:_/-]*$/;

/** Text as JSON: what is plain, which is nearly all, as it is. Repositories and references are plain by their grammars. */
function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}
