/** How things stand at a scrape: what is being fetched, how the upstreams are, until when their credentials last, whether the disk takes more. */
import type { Clock } from "../oci/clock.ts";
import type { Status } from "../oci/views.ts";
import type { MetricPage } from "./metric-page.ts";

const upstreamStates = ["ready", "failing", "throttled"] as const;

/** `status` undefined: the parts are being made. */
export function addStatusMetrics(page: MetricPage, status: () => Status | undefined, clock: Clock): void {
  page.gauge("ociregistry_fills", "Blobs waiting to be fetched, being fetched, and being put in their place", ["state"], (gauge) => {
    const fills = status()?.fills();
    if (!fills) return;
    gauge.set({ state: "running" }, fills.running);
    gauge.set({ state: "waiting" }, fills.waiting);
    gauge.set({ state: "publishing" }, fills.publishing);
  });
  page.gauge("ociregistry_fill_readers", "Clients that read blobs as they arrive", [], (gauge) => {
    gauge.set(status()?.fills().readers ?? 0);
  });
  page.gauge("ociregistry_upstream_state", "1 for the state that an upstream is in: failing is an open breaker", ["upstream", "state"], (gauge) => {
    gauge.reset();
    for (const { host, state } of status()?.upstreams() ?? []) {
      for (const name of upstreamStates) gauge.set({ upstream: page.labelOf(host), state: name }, name === state ? 1 : 0);
    }
  });
  page.gauge("ociregistry_upstream_quota_remaining", "What an upstream last said is left of what it grants us", ["upstream"], (gauge) => {
    gauge.reset();
    for (const { host, quota } of status()?.upstreams() ?? []) if (quota) gauge.set({ upstream: page.labelOf(host) }, quota.remaining);
  });
  const expiry = "Seconds until the credential for an upstream ends; below 0 when there is none";
  page.gauge("ociregistry_upstream_token_expiry_seconds", expiry, ["upstream"], (gauge) => {
    gauge.reset();
    for (const { host, credential } of status()?.upstreams() ?? []) {
      if (!credential) continue;
      const { state, expiresAtMs } = credential;
      if (expiresAtMs !== undefined) gauge.set({ upstream: page.labelOf(host) }, (expiresAtMs - clock.now()) / 1_000);
      else if (state === "none" || state === "fetching" || state === "failing") gauge.set({ upstream: page.labelOf(host) }, -1);
    }
  });
  page.gauge("ociregistry_store_writable", "1 while what is fetched can be kept", [], (gauge) => {
    gauge.set(status()?.store().writable === false ? 0 : 1);
  });
}
