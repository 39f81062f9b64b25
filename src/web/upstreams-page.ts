/** The upstreams: which registries are asked, and how they answer. */
import { count, ago, distance, html, nothing, type Markup } from "./markup.ts";
import type { UpstreamStatus } from "../oci/views.ts";
import { repositoriesPath, withQuery } from "./addresses.ts";
import { table, type Column } from "./table.ts";

const badges = {
  ready: { kind: "good", text: "ready" },
  failing: { kind: "bad", text: "not answering" },
  throttled: { kind: "warn", text: "asked us to wait" },
} as const satisfies Record<UpstreamStatus["state"], object>;

const credentialTexts = {
  none: "none yet",
  fetching: "being fetched",
  held: "held",
  refreshing: "held, being renewed",
  failing: "cannot be fetched: the log says why",
} as const satisfies Record<NonNullable<UpstreamStatus["credential"]>["state"], string>;

/** Those that are ill come first: more than these nobody reads. */
const shownMax = 200;

/** In a word, told apart by more than its colour. */
export function stateBadge({ state }: Pick<UpstreamStatus, "state">): Markup {
  const { kind, text } = badges[state];
  return html`<span class="badge ${kind}">${text}</span>`;
}

export function upstreamsPage(upstreams: readonly UpstreamStatus[], { nowMs, isAirGapped }: { readonly nowMs: number; readonly isAirGapped: boolean }): Markup {
  if (isAirGapped)
    return html`<h1>Upstreams</h1>
      <p class="empty">Air-gapped: nobody is asked, only what is held is served.</p>`;
  const sorted = upstreams.toSorted((one, other) => Number(one.state === "ready") - Number(other.state === "ready") || (one.host < other.host ? -1 : 1));
  return html`<h1>Upstreams</h1>
    <p class="muted">${introduction(upstreams.length)}</p>
    ${
      sorted.length === 0
        ? nothing
        : html`${table("Upstream registries", columns(nowMs), sorted.slice(0, shownMax))}
          ${sorted.length > shownMax ? html`<p class="muted">and ${count(sorted.length - shownMax)} more${sorted[shownMax]?.state === "ready" ? ", all of them ready" : ""}</p>` : nothing}`
    }`;
}

function introduction(upstreams: number): string {
  if (upstreams === 0) return "No registry is listed, and none has been asked yet.";
  const what = upstreams === 1 ? "One that is listed or was asked lately." : `${count(upstreams)} that are listed or were asked lately.`;
  return `${what} While one does not answer, what is held of it is served.`;
}

function columns(nowMs: number): readonly Column<UpstreamStatus>[] {
  return [
    {
      title: "Registry",
      cell: (upstream) =>
        html`<a href="${withQuery(repositoriesPath, { registry: upstream.host })}">${upstream.host}</a>
          <div class="narrow muted">${credentialMarkup(upstream, nowMs)}</div>
          <div class="narrow muted">${quotaMarkup(upstream, nowMs)}</div>`,
    },
    { title: "State", cell: stateMarkup },
    { title: "Credential", isWide: true, cell: (upstream) => credentialMarkup(upstream, nowMs) ?? html`<span class="muted">–</span>` },
    { title: "Quota", isWide: true, cell: (upstream) => quotaMarkup(upstream, nowMs) ?? html`<span class="muted">–</span>` },
    { title: "Last failure", isWide: true, cell: (upstream) => lastFailureMarkup(upstream, nowMs) },
  ];
}

function stateMarkup(upstream: UpstreamStatus): Markup {
  const { reason, retryInMs } = upstream;
  return html`${stateBadge(upstream)}${reason === undefined ? nothing : html`<div class="muted">${reason}</div>`}${
    retryInMs === undefined ? nothing : html`<div class="muted">asked again ${retryText(retryInMs)}</div>`
  }`;
}

function credentialMarkup({ credential }: UpstreamStatus, nowMs: number): Markup | undefined {
  if (!credential) return undefined;
  const { state, expiresAtMs } = credential;
  return html`<span class="narrow-inline">Credential: </span
    >${credentialTexts[state]}${expiresAtMs === undefined ? nothing : html`, ends ${distance(nowMs - expiresAtMs)}`}`;
}

/** Less of the whole is told as little. */
const littleShare = 0.1;

/** What is left of what a registry grants; undefined where it says nothing. */
export function quotaMarkup({ quota }: UpstreamStatus, nowMs: number): Markup | undefined {
  if (!quota) return undefined;
  const { remaining, limit, windowMs, toldAtMs } = quota;
  const isLittle = remaining === 0 || (limit !== undefined && remaining < limit * littleShare);
  const left = `${count(remaining)}${limit === undefined ? "" : ` of ${count(limit)}`} pulls left`;
  return html`${isLittle ? html`<span class="badge warn">${left}</span>` : left}${windowMs === undefined ? nothing : html` <span class="muted">in ${spanText(windowMs)}</span>`}
    <span class="muted">(told ${ago(toldAtMs, nowMs)})</span>`;
}

/** `6 hours` */
function spanText(spanMs: number): string {
  return spanMs < 60_000 ? `${Math.round(spanMs / 1_000)} seconds` : distance(-spanMs).replace(/^in /, "");
}

function lastFailureMarkup({ lastFailure, reason }: UpstreamStatus, nowMs: number): Markup {
  if (!lastFailure) return html`<span class="muted">none since the start</span>`;
  return html`${ago(lastFailure.atMs, nowMs)}${lastFailure.reason === reason ? nothing : html`<div class="muted">${lastFailure.reason}</div>`}`;
}

function retryText(retryInMs: number): string {
  const seconds = Math.ceil(retryInMs / 1_000);
  return seconds < 2 ? "in a moment" : seconds < 120 ? `in ${seconds} seconds` : distance(-retryInMs);
}
