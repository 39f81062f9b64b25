/** Facts: names and what they stand for, one below the other. */
import { html, nothing, type Markup } from "./markup.ts";

/** One of a list of facts. */
export function fact(name: string, value: Markup): Markup {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`;
}

/** A section of names and values as somebody wrote them; nothing where there are none. */
export function pairsSection(id: string, title: string, pairs: Readonly<Record<string, string>>): Markup {
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
