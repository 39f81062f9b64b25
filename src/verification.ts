/** Verification: what `verifyConfig` says, done by a server: the store is verified when it is time, off the way of those who pull. */
import type { CachingRegistry } from "./cache/caching-registry.ts";
import { takeLease } from "./cache/lease.ts";
import type { Store } from "./cache/store.ts";
import type { Config } from "./config/config.ts";
import type { Background } from "./oci/background.ts";
import type { Clock } from "./oci/clock.ts";
import type { Log } from "./oci/log.ts";
import { Schedule } from "./operations/schedule.ts";
import { verifyStore, type VerifyFinding, type VerifySummary } from "./transfer/verify.ts";

export interface VerificationOptions {
  readonly config: Pick<Config, "verify" | "airGapped">;
  readonly store: Store;
  readonly registry: CachingRegistry;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  /** Told of every run that came to its end. */
  readonly onEnd: (summary: VerifySummary) => void;
}

/** One file at a time, in one thread: there is no hurry. */
const jobs = 1;
/** A process of another machine that held the lease has so long to show that it lives. */
const foreignWaitMs = 75_000;
/** Findings of one run that are logged one by one: a dead disk has as many as there are files. */
const loggedMax = 1_000;

/** Begins to wait; undefined when nothing is scheduled. Close it. */
export function scheduleVerification(options: VerificationOptions): Schedule | undefined {
  const { config, clock, log, background } = options;
  const { schedule: expression, timezone } = config.verify;
  if (expression === undefined) return undefined;
  const rhythm = { kind: "cron", expression, timezone } as const;
  return new Schedule({ name: "verify", rhythm, clock, log, background, work: (signal) => verifyAlone(options, signal) });
}

/** Unless another process of this store does so: its log has what it finds, and what it mends is mended here too. */
async function verifyAlone(options: VerificationOptions, signal: AbortSignal): Promise<void> {
  const { store, clock, log } = options;
  const leasing = { work: "verify", tmp: store.layout.temporary(), instance: store.instance, clock } as const;
  const taken = await store.whereWritable(async () => ({ lease: await takeLease(leasing, { waitMs: 0, foreignWaitMs, signal }) }));
  if (taken && !taken.lease) return log.info({}, "the store is being verified by another process: it is left to that one");
  // Where nothing can be written there are no leases, and reading twice does no harm.
  await using lease = taken?.lease;
  await verifyOnce(options, lease ? AbortSignal.any([signal, lease.lost]) : signal);
}

async function verifyOnce({ config, store, registry, clock, log, onEnd }: VerificationOptions, signal: AbortSignal): Promise<void> {
  const { bytesPerSecond, repair } = config.verify;
  let logged = 0;
  const onFinding = (finding: VerifyFinding): void => {
    logged += 1;
    if (logged > loggedMax) return;
    const { kind, ...fields } = finding;
    // A cache is lazy: what lacks of an image that somebody began to pull is fetched when somebody goes on.
    if (kind === "incomplete" && !config.airGapped) log.debug(fields, messages[kind]);
    else log.warn(fields, messages[kind]);
  };
  log.info({ bytesPerSecond: bytesPerSecond === Infinity ? undefined : bytesPerSecond, repair }, "verifying the store");
  const summary = await verifyStore({
    store,
    registry,
    clock,
    platforms: undefined,
    repairs: repair,
    bytesPerSecond,
    jobs,
    isAirGapped: config.airGapped,
    signal,
    onFinding,
  });
  log[summary.isGood ? "info" : "warn"]({ ...summary, untold: Math.max(logged - loggedMax, 0) }, "store verified");
  onEnd(summary);
}

const messages = {
  damaged: "a blob is damaged",
  unreadable: "a blob cannot be read",
  unread: "a folder or a record cannot be read",
  owners: "where a damaged blob belongs",
  incomplete: "an image is not whole",
} as const satisfies Record<VerifyFinding["kind"], string>;
