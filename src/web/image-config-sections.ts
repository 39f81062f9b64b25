/** What an image's config says of it: how it runs, and how it was built. */
import type { ImageView } from "../oci/browsing.ts";
import { fact, pairsSection } from "./facts.ts";
import { counted, html, nothing, writtenTime, type Markup } from "./markup.ts";

/** What the image's config says; that it is not here, where it is not; nothing for an index. */
export function configSection(image: ImageView, nowMs: number): Markup {
  const { config } = image;
  if (!config) return missingConfig(image);
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

/** The steps that built it, where they are known. */
export function historySection({ config }: ImageView): Markup {
  const history = config?.history ?? [];
  if (history.length === 0) return nothing;
  return html`<section aria-labelledby="history">
    <details>
      <summary>
        <h2 id="history">History</h2>
        <span class="muted">${counted(history.length, "step")}</span>
      </summary>
      <ol class="history">
        ${history.map(({ createdBy, comment, isEmptyLayer }) => html`<li><code>${createdBy === "" ? (comment ?? "–") : createdBy}</code>${isEmptyLayer ? html` <span class="muted">no layer</span>` : nothing}</li>`)}
      </ol>
    </details>
  </section>`;
}

function missingConfig({ kind, configDescriptor }: ImageView): Markup {
  if (kind === "index" || !configDescriptor) return nothing;
  return html`<section aria-labelledby="config">
    <h2 id="config">Configuration</h2>
    <p class="muted">It is not held, or is not one that can be shown: <code>${configDescriptor.mediaType}</code></p>
  </section>`;
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
