/** One image: what it is made of and how much of it is here, what it says of itself, what refers to it, and how to pull it. */
import { countText, sizeText } from "../oci/amounts.ts";
import type { ImageView, LayerView, PlatformView, ReferrerView } from "../oci/browsing.ts";
import type { HistoryStep, ImageConfig } from "../oci/image-config.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { digestHref } from "./addresses.ts";
import { ago, copyButton, count, html, nothing, percent, shortDigest, size, writtenTime, type Markup } from "./markup.ts";
import { pullCommands } from "./pull-commands.ts";
import { kindText, trail } from "./repository-page.ts";

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
    ${image.config ? configSection(image.config, options.nowMs) : missingConfig(image)} ${image.layers.length === 0 ? nothing : layersSection(image)}
    ${image.config && image.config.history.length > 0 ? historySection(image.config.history) : nothing}
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

function fact(name: string, value: Markup): Markup {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

function commandsMarkup({ repository, reference, origin }: ImagePageOptions): Markup {
  return html`<section aria-labelledby="pull">
    <h2 id="pull">Pull</h2>
    <dl class="commands">
      ${pullCommands({ repository, reference }, origin).map(
        ({ client, text }) =>
          html`<div>
            <dt>${client}</dt>
            <dd class="command">
              <pre tabindex="0"><code>${text}</code></pre>
              ${copyButton(text, `the command for ${client}`)}
            </dd>
          </div>`,
      )}
    </dl>
  </section>`;
}

function platformsSection(repository: Repository, platforms: readonly PlatformView[]): Markup {
  return html`<section aria-labelledby="platforms">
    <h2 id="platforms">Platforms</h2>
    <table>
      <caption class="unseen">
        Platforms
      </caption>
      <thead>
        <tr>
          <th scope="col">Platform</th>
          <th scope="col">Digest</th>
          <th scope="col">Here</th>
        </tr>
      </thead>
      <tbody>
        ${platforms.map(
          ({ name, digest, artifactType, isHeld }) =>
            html`<tr>
              <th scope="row">${name ?? artifactType ?? "unknown"}</th>
              <td>${isHeld ? html`<a href="${digestHref(repository, digest)}">${shortDigest(digest)}</a>` : shortDigest(digest)}</td>
              <td>${heldBadge(isHeld)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}

function heldBadge(isHeld: boolean): Markup {
  return isHeld ? html`<span class="badge good">held</span>` : html`<span class="badge plain">not held</span>`;
}

function missingConfig({ kind, configDescriptor }: ImageView): Markup {
  if (kind === "index" || !configDescriptor) return nothing;
  return html`<section aria-labelledby="config">
    <h2 id="config">Configuration</h2>
    <p class="muted">It is not held, or is not one that can be shown: <code>${configDescriptor.mediaType}</code></p>
  </section>`;
}

function configSection(config: ImageConfig, nowMs: number): Markup {
  const { created, author, platform, user, workingDir, entrypoint, command, environment, exposedPorts, volumes, stopSignal, labels } = config;
  const rows = [
    ["Platform", platform && html`${platform}`],
    ["Created", created && writtenTime(created, nowMs)],
    ["Author", author && html`${author}`],
    ["Entrypoint", words(entrypoint)],
    ["Command", words(command)],
    ["User", user && html`<code>${user}</code>`],
    ["Working directory", workingDir && html`<code>${workingDir}</code>`],
    ["Ports", words(exposedPorts)],
    ["Volumes", words(volumes)],
    ["Stop signal", stopSignal && html`<code>${stopSignal}</code>`],
    ["Environment", lines(environment)],
  ] as const;
  return html`<section aria-labelledby="config">
      <h2 id="config">Configuration</h2>
      <dl class="facts">${rows.map(([name, value]) => (value ? fact(name, value) : nothing))}</dl>
    </section>
    ${pairsSection("labels", "Labels", labels)}`;
}

/** As an array of JSON, which tells words apart. */
function words(list: readonly string[]): Markup | undefined {
  return list.length === 0 ? undefined : html`<code>${list.every((word) => /^[\w./:=-]+$/.test(word)) ? list.join(" ") : JSON.stringify(list)}</code>`;
}

function lines(list: readonly string[]): Markup | undefined {
  return list.length === 0
    ? undefined
    : html`<ul class="plain">
        ${list.map((line) => html`<li><code>${line}</code></li>`)}
      </ul>`;
}

function layersSection({ layers }: ImageView): Markup {
  const totalBytes = layers.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
  return html`<section aria-labelledby="layers">
    <h2 id="layers">Layers <span class="muted">${countText(layers.length, "layer")}, ${sizeText(totalBytes)}</span></h2>
    <table>
      <caption class="unseen">
        Layers
      </caption>
      <thead>
        <tr>
          <th scope="col">Digest</th>
          <th scope="col" class="wide">Media type</th>
          <th scope="col" class="number">Size</th>
          <th scope="col">Here</th>
        </tr>
      </thead>
      <tbody>
        ${layers.map(layerRow)}
      </tbody>
    </table>
  </section>`;
}

function layerRow({ digest, mediaType, sizeBytes, isHeld }: LayerView): Markup {
  return html`<tr>
    <th scope="row">${shortDigest(digest)}</th>
    <td class="wide"><code>${mediaType}</code></td>
    <td class="number">${size(sizeBytes)}</td>
    <td>${heldBadge(isHeld)}</td>
  </tr>`;
}

function historySection(history: readonly HistoryStep[]): Markup {
  return html`<section aria-labelledby="history">
    <details>
      <summary>
        <h2 id="history">History</h2>
        <span class="muted">${countText(history.length, "step")}</span>
      </summary>
      <ol class="history">
        ${history.map(({ createdBy, comment, isEmptyLayer }) => html`<li><code>${createdBy === "" ? (comment ?? "–") : createdBy}</code>${isEmptyLayer ? html` <span class="muted">no layer</span>` : nothing}</li>`)}
      </ol>
    </details>
  </section>`;
}

function referrersSection(repository: Repository, referrers: readonly ReferrerView[]): Markup {
  return html`<section aria-labelledby="referrers">
    <h2 id="referrers">What refers to it <span class="muted">${count(referrers.length)}</span></h2>
    <table>
      <caption class="unseen">
        Referrers
      </caption>
      <thead>
        <tr>
          <th scope="col">Digest</th>
          <th scope="col">Type</th>
          <th scope="col" class="number wide">Size</th>
        </tr>
      </thead>
      <tbody>
        ${referrers.map(
          ({ digest, artifactType, sizeBytes }) =>
            html`<tr>
              <th scope="row"><a href="${digestHref(repository, digest)}">${shortDigest(digest)}</a></th>
              <td><code>${artifactType ?? "unknown"}</code></td>
              <td class="number wide">${size(sizeBytes)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}

function pairsSection(id: string, title: string, pairs: Readonly<Record<string, string>>): Markup {
  const entries = Object.entries(pairs);
  if (entries.length === 0) return nothing;
  return html`<section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    <dl class="facts pairs">
      ${entries.map(
        ([name, value]) =>
          html`<div>
            <dt><code>${name}</code></dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
  </section>`;
}
