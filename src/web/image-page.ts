/** One image: what it is made of and how much of it is here, what it says of itself, what refers to it, and how to pull it. */
import { sizeText } from "../oci/amounts.ts";
import type { ImageView, LayerView, PlatformView, ReferrerView } from "../oci/browsing.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { digestHref } from "./addresses.ts";
import { commandList } from "./commands.ts";
import { fact, pairsSection } from "./facts.ts";
import { configSection, historySection } from "./image-config-sections.ts";
import { ago, copyButton, count, counted, html, nothing, percent, shortDigest, size, type Markup } from "./markup.ts";
import { pullCommands } from "./pull-commands.ts";
import { kindText, trail } from "./repository-page.ts";
import { table, type Column } from "./table.ts";

export interface ImagePageOptions {
  readonly repository: Repository;
  readonly reference: Reference;
  readonly image: ImageView;
  /** How people reach this server. */
  readonly origin: string;
  readonly nowMs: number;
}

export function imagePage(options: ImagePageOptions): Markup {
  const { repository, reference, image } = options;
  const name = reference.kind === "tag" ? reference.tag : `${reference.digest.slice(0, 19)}…`;
  return html`${trail(repository, name)}
    <h1 class="name">
      ${repository.path}<wbr /><span class="muted">${reference.kind === "tag" ? ":" : "@"}</span
      >${name}${image.isPinned ? html` <span class="badge plain">pinned</span>` : nothing}
    </h1>
    ${factsMarkup(options)} ${commandsMarkup(options)} ${image.platforms.length === 0 ? nothing : platformsSection(repository, image.platforms)}
    ${configSection(image, options.nowMs)} ${image.layers.length === 0 ? nothing : layersSection(image)} ${historySection(image)}
    ${image.referrers.length === 0 ? nothing : referrersSection(repository, image.referrers)} ${pairsSection("annotations", "Annotations", image.annotations)}
    <section aria-labelledby="json">
      <details>
        <summary>
          <h2 id="json">Manifest</h2>
          <span class="muted">${image.mediaType}</span>
        </summary>
        <pre tabindex="0" class="json"><code>${image.json.text}</code></pre>
        ${image.json.isWhole ? nothing : html`<p class="muted">Only its beginning.</p>`}
      </details>
    </section>`;
}

function factsMarkup({ repository, image, nowMs }: ImagePageOptions): Markup {
  const { digest, mediaType, heldBytes, sizeBytes, heldSinceMs, checkedAtMs, pulledAtMs, subject, artifactType, kind } = image;
  return html`<dl class="facts">
    ${fact("Digest", html`<code class="digest">${digest}</code> ${copyButton(digest, "the digest")}`)}
    ${fact("Kind", html`${kindText(mediaType)}${artifactType === undefined || kind === "index" || subject === undefined ? nothing : html` <span class="muted">${artifactType}</span>`}`)}
    ${fact("Size", html`${sizeText(sizeBytes)} <span class="muted">${heldBytes === sizeBytes ? "all of it held" : `${percent(heldBytes, sizeBytes)} of it held`}</span>`)}
    ${fact("Here since", ago(heldSinceMs, nowMs))} ${checkedAtMs === undefined ? nothing : fact("Tag checked", ago(checkedAtMs, nowMs))}
    ${fact("Last pulled", ago(pulledAtMs, nowMs))}
    ${subject === undefined ? nothing : fact("Refers to", html`<a href="${digestHref(repository, subject)}">${shortDigest(subject)}</a>`)}
  </dl>`;
}

function commandsMarkup({ repository, reference, origin }: ImagePageOptions): Markup {
  return html`<section aria-labelledby="pull">
    <h2 id="pull">Pull</h2>
    ${commandList(pullCommands({ repository, reference }, origin))}
  </section>`;
}

function platformsSection(repository: Repository, platforms: readonly PlatformView[]): Markup {
  const columns: readonly Column<PlatformView>[] = [
    { title: "Platform", cell: ({ name, artifactType }) => name ?? artifactType ?? "unknown" },
    {
      title: "Digest",
      cell: ({ digest, isHeld }) => (isHeld ? html`<a href="${digestHref(repository, digest)}">${shortDigest(digest)}</a>` : shortDigest(digest)),
    },
    { title: "Here", cell: heldBadge },
  ];
  return html`<section aria-labelledby="platforms">
    <h2 id="platforms">Platforms</h2>
    ${table("Platforms", columns, platforms)}
  </section>`;
}

function heldBadge({ isHeld }: { readonly isHeld: boolean }): Markup {
  return isHeld ? html`<span class="badge good">held</span>` : html`<span class="badge plain">not held</span>`;
}

const layerColumns: readonly Column<LayerView>[] = [
  { title: "Digest", cell: ({ digest }) => shortDigest(digest) },
  { title: "Media type", isWide: true, cell: ({ mediaType }) => html`<code>${mediaType}</code>` },
  { title: "Size", isNumber: true, cell: ({ sizeBytes }) => size(sizeBytes) },
  { title: "Here", cell: heldBadge },
];

function layersSection({ layers }: ImageView): Markup {
  const totalBytes = layers.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
  return html`<section aria-labelledby="layers">
    <h2 id="layers">Layers <span class="muted">${counted(layers.length, "layer")}, ${sizeText(totalBytes)}</span></h2>
    ${table("Layers", layerColumns, layers)}
  </section>`;
}

function referrersSection(repository: Repository, referrers: readonly ReferrerView[]): Markup {
  const columns: readonly Column<ReferrerView>[] = [
    { title: "Digest", cell: ({ digest }) => html`<a href="${digestHref(repository, digest)}">${shortDigest(digest)}</a>` },
    { title: "Type", cell: ({ artifactType }) => html`<code>${artifactType ?? "unknown"}</code>` },
    { title: "Size", isNumber: true, isWide: true, cell: ({ sizeBytes }) => size(sizeBytes) },
  ];
  return html`<section aria-labelledby="referrers">
    <h2 id="referrers">What refers to it <span class="muted">${count(referrers.length)}</span></h2>
    ${table("Referrers", columns, referrers)}
  </section>`;
}
