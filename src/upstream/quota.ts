/**
 * Quota: what a registry says is left of what it grants us. Docker Hub does with every manifest that it limits (`ratelimit-limit: 100;w=21600`,
 * `ratelimit-remaining: 76;w=21600`; docs.docker.com "Docker Hub pull usage and limits"); one that says nothing does not limit.
 */
import type { UpstreamQuota } from "../oci/views.ts";

/** Undefined: the answer says nothing of it, or nothing that can be understood. */
export function readQuota(header: (name: string) => string | undefined, nowMs: number): UpstreamQuota | undefined {
  const remaining = readAmount(header("ratelimit-remaining"));
  if (!remaining) return undefined;
  const limit = readAmount(header("ratelimit-limit"));
  const windowMs = remaining.windowMs ?? limit?.windowMs;
  return { remaining: remaining.amount, limit: limit?.amount, windowMs, toldAtMs: nowMs };
}

interface Amount {
  readonly amount: number;
  readonly windowMs: number | undefined;
}

/** `76;w=21600`: 76 within 21600 seconds. */
function readAmount(written: string | undefined): Amount | undefined {
  const [, amount, seconds] = /^\s*([0-9]{1,9})\s*(?:;\s*w=([0-9]{1,9}))?\s*$/.exec(written ?? "") ?? [];
  if (amount === undefined) return undefined;
  return { amount: Number(amount), windowMs: seconds === undefined ? undefined : Number(seconds) * 1_000 };
}
