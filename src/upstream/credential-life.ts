/**
 * CredentialLife: when a credential that ends is renewed, until when it is used, and how soon a fetch that failed is tried again.
 * Arithmetic only: whoever keeps credentials keeps the timers.
 */

/** A registry that refuses everything must not make us fetch without end: after a refusal, at most this often. */
export const forcedEveryMs = 30_000;

/** How long a credential is renewed before its end, when it lives for hours. */
const reserveMs = 3_600_000;
/** Nothing is renewed more often than this, whatever its provider says of its life. */
const refreshMsMin = 30_000;
/** A credential whose end nobody told is renewed this often. */
const unknownLifeMs = 6 * 3_600_000;
/** A request that is on its way when its credential ends is refused: it is not used for this long before. */
const marginMs = 10_000;
const backoffMsMin = 5_000;
const backoffMsMax = 300_000;
const jitter = 0.1;
/** No date is later, by ECMA-262 21.4.1: a credential that ends then, or at no time at all, is one whose end nobody told. */
const dateMsMax = 8.64e15;

/** All in milliseconds since 1970: a machine that slept wakes up late by this clock, and in time by the other. */
export interface CredentialLife {
  /** Undefined: nobody told. */
  readonly expiresAtMs: number | undefined;
  readonly usableUntilMs: number;
  readonly refreshAtMs: number;
}

export interface CredentialLifeOptions {
  readonly nowMs: number;
  /** What its provider says; undefined when it says nothing. */
  readonly expiresAtMs: number | undefined;
  /** It is renewed after so long, however long it would live. */
  readonly expiryMs?: number | undefined;
  /** Between 0 and 1, so that many of us do not renew in step. */
  readonly random: () => number;
}

/** The life of a credential that came at `nowMs`; one that has ended already has none left. */
export function credentialLife({ nowMs, expiresAtMs: saidMs = Infinity, expiryMs = Infinity, random }: CredentialLifeOptions): CredentialLife {
  const expiresAtMs = Math.abs(saidMs) <= dateMsMax ? saidMs : undefined;
  const lifeMs = expiresAtMs === undefined ? Infinity : expiresAtMs - nowMs;
  // The least of: what the operator says, half of its life, and its end less a reserve where that leaves a good part of it.
  const ownMs = lifeMs === Infinity ? unknownLifeMs : Math.min(lifeMs / 2, lifeMs - reserveMs >= lifeMs / 4 ? lifeMs - reserveMs : Infinity);
  return {
    expiresAtMs,
    usableUntilMs: nowMs + lifeMs - Math.min(marginMs, lifeMs === Infinity ? 0 : lifeMs / 10),
    refreshAtMs: nowMs + Math.max(Math.min(refreshMsMin, lifeMs / 2), jittered(Math.min(expiryMs, ownMs), random)),
  };
}

/** How long to wait, in ms, after so many failures in a row before this one. */
export function retryDelayMs(failuresBefore: number, random: () => number): number {
  return jittered(Math.min(backoffMsMax, backoffMsMin * 2 ** failuresBefore), random);
}

/** A little less than `delayMs`. */
function jittered(delayMs: number, random: () => number): number {
  return delayMs * (1 - jitter * random());
}
