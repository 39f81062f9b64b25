/** Why an image goes, or stays, in a few words. */
import type { Pin } from "../pins.ts";
import type { Reason } from "./choice.ts";

/** Why it goes. */
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

export const keptText = "pruneConfig.keep keeps it";
export const tornText = "a manifest of its repository is torn: what that one needs is not known";

/** Undefined: the pin was there when the image was looked at. */
export function pinText(pin: Pin | undefined): string {
  const until = pin?.untilMs === undefined ? "" : ` until ${dayOf(pin.untilMs)}`;
  return `it is pinned${until}${pin?.reason === undefined ? "" : ` (${pin.reason})`}`;
}

/** ISO 8601, to the second. */
function dayOf(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}
