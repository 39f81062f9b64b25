/** Keys: somebody's own, with the form that ends each. */
import type { KeyView } from "../oci/account.ts";
import { accountForms } from "./account-forms.ts";
import { browserName } from "./browser-name.ts";
import { ago, count, html, nothing, plainText, type Markup } from "./markup.ts";
import { table, type Column } from "./table.ts";

export function keysSection(keys: readonly KeyView[], nowMs: number): Markup {
  return html`<section aria-labelledby="keys">
    <h2 id="keys">API keys <span class="muted">${count(keys.length)}</span></h2>
    <p class="muted">A key stands in for your password in docker, podman and every other client. It does what you may do, or less.</p>
    ${keys.length === 0 ? nothing : table("API keys", keyColumns(nowMs), keys)}
  </section>`;
}

function keyColumns(nowMs: number): readonly Column<KeyView>[] {
  return [
    { title: "Key", cell: (key) => keyCell(key, nowMs) },
    { title: "Opens", isWide: true, cell: scopeMarkup },
    { title: "Made", isWide: true, cell: ({ createdAtMs, creator }) => html`${ago(createdAtMs, nowMs)}${creatorMarkup(creator)}` },
    { title: "Last used", isWide: true, cell: ({ usedAtMs }) => ago(usedAtMs, nowMs) },
    { title: "Ends", isWide: true, cell: (key) => endMarkup(key, nowMs) },
    { title: html`<span class="unseen">Revoke</span>`, isNumber: true, cell: revokeForm },
  ];
}

function keyCell(key: KeyView, nowMs: number): Markup {
  const { createdAtMs, usedAtMs } = key;
  return html`${keyName(key)}
    <div class="narrow muted">${scopeMarkup(key)}</div>
    <div class="narrow muted">
      made ${ago(createdAtMs, nowMs)} · ${usedAtMs === undefined ? "never used" : html`used ${ago(usedAtMs, nowMs)}`} ·
      ${key.expiresAtMs === undefined || key.isExpired ? nothing : "ends "}${endMarkup(key, nowMs)}
    </div>`;
}

function keyName({ label, id }: KeyView): Markup {
  return label === "" ? html`<code title="${id}">${id.slice(0, 8)}</code>` : html`<bdi>${plainText(label)}</bdi>`;
}

function creatorMarkup(creator: string): Markup {
  return creator === "" ? nothing : html`<div class="muted" title="${plainText(creator)}">${browserName(creator)}</div>`;
}

const patternsShown = 5;

function scopeMarkup({ repositories, actions }: KeyView): Markup {
  const what = !actions ? "all that you may" : actions.length === 1 && actions[0] === "read" ? "pulling" : actions.join(", ");
  if (!repositories) return html`${actions ? html`${what} everywhere` : what}`;
  const more = repositories.length - patternsShown;
  return html`${what} in
  ${repositories.slice(0, patternsShown).map((pattern, at) => html`${at === 0 ? nothing : ", "}<code>${plainText(pattern)}</code>`)}${more > 0 ? ` and ${count(more)} more` : nothing}`;
}

function endMarkup({ expiresAtMs, isExpired }: KeyView, nowMs: number): Markup {
  if (expiresAtMs === undefined) return html`<span>no end</span>`;
  return isExpired ? html`<span class="badge plain">ended</span> ${ago(expiresAtMs, nowMs)}` : ago(expiresAtMs, nowMs);
}

/** What cannot be taken back takes two steps, without a script too. */
function revokeForm(key: KeyView): Markup {
  return html`<details class="confirm">
    <summary>Revoke<span class="unseen"> the key ${keyName(key)}</span></summary>
    <form action="${accountForms.revokeKey}" method="post">
      <input type="hidden" name="id" value="${key.id}" />
      <button type="submit" class="copy danger">Yes, revoke it<span class="unseen">: ${keyName(key)}</span></button>
    </form>
  </details>`;
}
