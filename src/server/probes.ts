/** Probes: what an orchestrator and Prometheus ask, on the main port and on ports of their own. */
import type { Status } from "../oci/views.ts";
import { jsonAnswer, textAnswer, type Answer } from "./answer.ts";

export interface ProbeOptions {
  readonly status: Status;
  /** Why `/readyz` says 503 just now ("draining"), or undefined. */
  readonly unready: () => string | undefined;
  /** The metrics page in Prometheus's text format. */
  readonly metrics: () => Promise<MetricsPage>;
}

export interface MetricsPage {
  readonly contentType: string;
  readonly text: string;
}

/** Paths that say 200 while the process answers at all. */
export const livenessPaths = ["/health", "/healthz", "/livez"] as const;
export const readinessPath = "/readyz";
export const metricsPath = "/metrics";

export function answerLiveness(): Answer {
  return jsonAnswer(200, { status: "ok" });
}

/**
 * 503 only while the process must not be sent anything. An upstream that is away or a full disk is no reason: what is held is
 * served all the same, so it is told ("degraded") and stays 200.
 */
export function answerReadiness({ status, unready }: Pick<ProbeOptions, "status" | "unready">): Answer {
  const reason = unready();
  const registries = status.upstreams().map(({ host, state, reason: why, retryInMs, credential }) => ({
    name: host,
    state,
    reason: why,
    retryInMs: retryInMs === undefined ? undefined : Math.ceil(retryInMs),
    // Why one is failing names accounts, roles and paths, and probes are open to everybody: that stands in the log.
    credential: credential && {
      state: credential.state,
      expiresAt: credential.expiresAtMs === undefined ? undefined : new Date(credential.expiresAtMs).toISOString(),
    },
  }));
  const store = status.store();
  if (reason !== undefined) return jsonAnswer(503, { status: reason, registries, store });
  const isDegraded = !store.writable || registries.some(({ state, credential }) => state !== "ready" || isLacking(credential));
  return jsonAnswer(200, { status: isDegraded ? "degraded" : "ready", registries, store });
}

/** A registry whose credential has to be fetched, and is not here. */
function isLacking(credential: { readonly state: string } | undefined): boolean {
  return credential !== undefined && credential.state !== "held" && credential.state !== "refreshing";
}

export async function answerMetrics({ metrics }: Pick<ProbeOptions, "metrics">): Promise<Answer> {
  const { text, contentType } = await metrics();
  return textAnswer(200, text, contentType);
}
