/** The forms of the account: where each is sent, and what the one for a key offers. */
import type { KeyMade } from "../oci/account.ts";
import { accountPath } from "./addresses.ts";

export const accountForms = {
  makeKey: `${accountPath}/keys`,
  revokeKey: `${accountPath}/keys/revoke`,
  endSession: `${accountPath}/sessions/end`,
  endOthers: `${accountPath}/sessions/end-others`,
} as const;

const dayMs = 86_400_000;

/** How long a key may be asked to be good; undefined: until it is revoked. */
export const keyLives = [
  { value: "30", title: "in 30 days", lifeMs: 30 * dayMs },
  { value: "90", title: "in 90 days", lifeMs: 90 * dayMs },
  { value: "365", title: "in a year", lifeMs: 365 * dayMs },
  { value: "never", title: "never: when it is revoked", lifeMs: undefined },
] as const;

export type KeyLife = (typeof keyLives)[number];

/** What stands behind a choice; what is none of them is what is offered first: for ever is only what somebody has chosen. */
export function keyLifeOf(value: string | null): KeyLife {
  return keyLives.find((life) => life.value === value) ?? keyLives[1];
}

/** The form for a key, as it was filled in. */
export interface KeyForm {
  readonly label: string;
  readonly ends: KeyLife["value"];
  readonly repositories: string;
  readonly isReadOnly: boolean;
  /** Why no key came of it. */
  readonly problem?: Extract<KeyMade, { kind: "refused" }>;
}

export const emptyKeyForm: KeyForm = { label: "", ends: keyLives[1].value, repositories: "", isReadOnly: true };
