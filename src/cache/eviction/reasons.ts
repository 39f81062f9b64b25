/** Why an image goes, in a few words. */
import type { Reason } from "./choice.ts";

export function reasonText(reason: Reason): string {
  switch (reason.kind) {
    case "used":
      return `not used since ${dayOf(reason.beforeMs)}`;
    case "came":
      return `came before ${dayOf(reason.beforeMs)}`;
    case "name":
      return "its name matches";
    case "size":
      return reason.host === undefined ? "the store is over its maxSize" : `${reason.host} is over its maxSize`;
    case "begun":
      return "an interrupted prune had begun to remove it";
    default:
      return reason satisfies never;
  }
}

/** ISO 8601, to the second. */
function dayOf(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}
