/** The id of a request: what its client, its answer and the log know it by. */
import { randomUUID } from "node:crypto";

const pattern = /^[A-Za-z0-9._-]{1,64}$/;

/** `given`, the request's own `X-Request-Id`, where it can stand in a log as it is; else a new one. */
export function requestIdFrom(given: string | readonly string[] | undefined): string {
  return typeof given === "string" && pattern.test(given) ? given : randomUUID();
}
