/** The overview: what the cache saves, what it fetches just now, how its upstreams and its disk are. Renews itself where a script runs. */
import { sizeText } from "../oci/amounts.ts";
import type { Sees } from "../oci/browsing.ts";
import type { DownloadView, Overview } from "../oci/overview.ts";
import { repositoryName } from "../oci/repository.ts";
import type { UpstreamStatus } from "../oci/views.ts";
import { homePath, repositoryHref, upstreamsPath } from "./addresses.ts";
import { ago, count, counted, distance, html, nothing, percent, shortDigest, type Markup } from "./markup.ts";
import { quotaMarkup, stateBadge } from "./upstreams-page.ts";

export interface OverviewPageOptions {
  readonly overview: Overview;
  /** Whose downloads may be named; undefined: everybody's. */
  readonly sees: Sees | undefined;
  readonly nowMs: number;
}

/** More downloads than anybody reads are counted only. */
const downloadsShown = 20;
const refreshMs = 2_000;

export function overviewPage(live: Markup): Markup {
  return html`<h1>Overview</h1>
    <div data-live="${homePath}?part=live" data-every="${refreshMs}">${live}</div>`;
}

/** What is renewed. */
export async function overviewLive({ overview, sees, nowMs }: OverviewPageOptions): Promise<Markup> {
  const disk = await overview.disk();
  return html`${servedMarkup(overview, nowMs)} ${downloadsMarkup(overview.downloads(), sees)}
    <div class="columns">${upstreamsMarkup(overview.upstreams(), nowMs)} ${storeMarkup(overview, disk)}</div>`;
}

function servedMarkup(overview: Overview, nowMs: number): Markup {
  const { sinceMs, heldPulls, upstreamPulls, heldBytes, upstreamBytes } = overview.served();
  const pulls = heldPulls + upstreamPulls;
  return html`<section aria-labelledby="served">
    <h2 id="served">Served <span class="muted">since ${ago(sinceMs, nowMs)}</span></h2>
    <dl class="tiles">
      ${tile("Hit ratio", percent(heldPulls, pulls), pulls === 0 ? "nothing pulled yet" : `${count(heldPulls)} of ${count(pulls)} pulls`)}
      ${tile("Not fetched again", sizeText(heldBytes), "sent out of what is held")} ${tile("Fetched and sent", sizeText(upstreamBytes), "sent as it arrived")}
      ${heldTile(overview)}
    </dl>
  </section>`;
}

function heldTile(overview: Overview): Markup {
  const totals = overview.totals();
  if (!totals) return tile("Held", "…", "being counted");
  return tile("Held", sizeText(totals.blobBytes + totals.manifestBytes), `${counted(totals.manifests, "manifest")}, ${counted(totals.blobs, "blob")}`);
}

function tile(name: string, value: string, note: string): Markup {
  return html`<div class="tile">
    <dt>${name}</dt>
    <dd><strong>${value}</strong> <span class="muted">${note}</span></dd>
  </div>`;
}

function downloadsMarkup(downloads: readonly DownloadView[], sees: Sees | undefined): Markup {
  const visible = sees ? downloads.filter(({ repository }) => sees(repository)) : downloads;
  const others = downloads.length - Math.min(visible.length, downloadsShown);
  const body =
    visible.length === 0
      ? html`<p class="muted">${others === 0 ? "Nothing is being fetched." : `${count(others)} under way.`}</p>`
      : html`<ul class="downloads">
            ${visible.slice(0, downloadsShown).map(downloadMarkup)}
          </ul>
          ${others > 0 ? html`<p class="muted">and ${count(others)} more</p>` : nothing}`;
  return html`<section aria-labelledby="downloads">
    <h2 id="downloads">Fetching now</h2>
    ${body}
  </section>`;
}

function downloadMarkup({ repository, digest, state, receivedBytes, sizeBytes, readers, runningMs }: DownloadView): Markup {
  const name = repositoryName(repository);
  const rate = runningMs > 1_000 && state === "arriving" ? `, ${sizeText((receivedBytes / runningMs) * 1_000)}/s` : "";
  const amount = sizeBytes === undefined ? sizeText(receivedBytes) : `${sizeText(receivedBytes)} of ${sizeText(sizeBytes)}`;
  const what = state === "waiting" ? "waiting for its turn" : state === "publishing" ? "being put in its place" : `${amount}${rate}`;
  const label = `${name} ${digest.slice(0, 19)}`;
  return html`<li>
    <div class="spread"><a href="${repositoryHref(repository)}">${name}</a> ${shortDigest(digest)}</div>
    ${
      state === "arriving" && sizeBytes !== undefined && sizeBytes > 0
        ? html`<progress max="${sizeBytes}" value="${Math.min(receivedBytes, sizeBytes)}" aria-label="${label}"></progress>`
        : html`<progress aria-label="${label}"></progress>`
    }
    <div class="spread muted">
      <span>${what}</span><span>${readers === 0 ? "nobody waits for it" : readers === 1 ? "1 reader" : `${count(readers)} readers`}</span>
    </div>
  </li>`;
}

function upstreamsMarkup(upstreams: readonly UpstreamStatus[], nowMs: number): Markup {
  const ill = upstreams.filter(({ state, credential }) => state !== "ready" || credential?.state === "failing");
  const expiring = upstreams.flatMap(({ host, credential }) => (credential?.expiresAtMs === undefined ? [] : [{ host, atMs: credential.expiresAtMs }]));
  const limited = upstreams.filter(({ quota }) => quota !== undefined);
  return html`<section aria-labelledby="upstreams">
    <h2 id="upstreams">Upstreams</h2>
    <p>
      ${upstreams.length === 0 ? "None has been asked yet." : ill.length === 0 ? (upstreams.length === 1 ? "It is well." : `All ${count(upstreams.length)} are well.`) : `${count(ill.length)} of ${count(upstreams.length)} ${ill.length === 1 ? "needs" : "need"} a look.`}
    </p>
    ${
      ill.length === 0
        ? nothing
        : html`<ul class="plain">
            ${ill.slice(0, 10).map((upstream) => html`<li>${stateBadge(upstream)} <strong>${upstream.host}</strong>${upstream.reason === undefined ? nothing : html` <span class="muted">${upstream.reason}</span>`}</li>`)}
          </ul>`
    }
    ${
      expiring.length === 0
        ? nothing
        : html`<ul class="plain muted">
            ${expiring.slice(0, 10).map(({ host, atMs }) => html`<li>${host}: credential ${atMs > nowMs ? html`ends ${distance(nowMs - atMs)}` : html`has ended`}</li>`)}
          </ul>`
    }
    ${
      limited.length === 0
        ? nothing
        : html`<ul class="plain">
            ${limited.slice(0, 10).map((upstream) => html`<li>${upstream.host}: ${quotaMarkup(upstream, nowMs)}</li>`)}
          </ul>`
    }
    <p><a href="${upstreamsPath}">All upstreams</a></p>
  </section>`;
}

function storeMarkup(overview: Overview, disk: Awaited<ReturnType<Overview["disk"]>>): Markup {
  const { writable, reason } = overview.store();
  const budgets = overview.budgets();
  return html`<section aria-labelledby="disk">
    <h2 id="disk">Disk</h2>
    ${writable ? nothing : html`<p><span class="badge bad">not writable</span> what is fetched passes through and is not kept${reason === undefined ? "" : `: ${reason}`}</p>`}
    ${disk ? meter("Disk", disk.totalBytes - disk.freeBytes, disk.totalBytes, `${sizeText(disk.freeBytes)} free of ${sizeText(disk.totalBytes)}`) : nothing}
    ${budgets.map(({ host, takenBytes, limitBytes }) => meter(host === undefined ? "maxSize" : `maxSize of ${host}`, takenBytes, limitBytes, `${sizeText(takenBytes)} of ${sizeText(limitBytes)}`))}
    ${budgets.length === 0 ? html`<p class="muted">No size is set: the store grows as far as the disk goes.</p>` : nothing}
  </section>`;
}

function meter(name: string, value: number, max: number, text: string): Markup {
  return html`<div class="meter">
    <div class="spread"><span>${name}</span><span class="muted">${text}</span></div>
    <meter min="0" max="${max}" high="${max * 0.9}" value="${Math.min(value, max)}" aria-label="${name}">${text}</meter>
  </div>`;
}
