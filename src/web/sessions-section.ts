/** Sessions: where somebody is signed in, with the form that ends each. */
import type { SessionView } from "../oci/account.ts";
import { accountForms } from "./account-forms.ts";
import { signOutPath } from "./addresses.ts";
import { browserName } from "./browser-name.ts";
import { ago, count, distance, html, nothing, plainText, type Markup } from "./markup.ts";
import { table, type Column } from "./table.ts";

export function sessionsSection(sessions: readonly SessionView[], nowMs: number): Markup {
  const others = sessions.filter(({ isThis }) => !isThis).length;
  return html`<section aria-labelledby="sessions">
    <h2 id="sessions">Signed in <span class="muted">${count(sessions.length)}</span></h2>
    ${sessions.length === 0 ? html`<p class="muted">No browser is signed in under your name.</p>` : table("Sessions", sessionColumns(nowMs), sessions)}
    ${others === 0 ? nothing : html`<form class="after" action="${accountForms.endOthers}" method="post"><button type="submit">${others === sessions.length ? "End all of them" : "End all others"}</button></form>`}
  </section>`;
}

function sessionColumns(nowMs: number): readonly Column<SessionView>[] {
  return [
    { title: "Browser", cell: (session) => sessionCell(session, nowMs) },
    { title: "Address", isWide: true, cell: ({ client }) => html`<code class="figure">${plainText(client, 45)}</code>` },
    { title: "Since", isWide: true, cell: ({ startedAtMs }) => ago(startedAtMs, nowMs) },
    { title: "Last used", isWide: true, cell: ({ usedAtMs }) => ago(usedAtMs, nowMs) },
    { title: "Ends", isWide: true, cell: ({ untilMs }) => ago(untilMs, nowMs) },
    { title: html`<span class="unseen">End</span>`, isNumber: true, cell: endForm },
  ];
}

function sessionCell({ userAgent, isThis, by, client, startedAtMs, usedAtMs }: SessionView, nowMs: number): Markup {
  return html`<span title="${plainText(userAgent)}">${browserName(userAgent)}</span>${isThis ? html` <span class="badge good">this one</span>` : nothing}
    <div class="muted">${methodText(by)}</div>
    <div class="narrow muted"><code>${plainText(client)}</code> · since ${distance(nowMs - startedAtMs)} · used ${ago(usedAtMs, nowMs)}</div>`;
}

function methodText(by: string): Markup {
  if (by === "htpasswd") return html`with a password`;
  return by === "ldap" ? html`with a password of the directory` : html`by ${plainText(by)}`;
}

/** This one ends as it does everywhere: at the provider too. */
function endForm({ id, isThis, userAgent }: SessionView): Markup {
  if (isThis) return html`<form action="${signOutPath}" method="post"><button type="submit" class="copy">Sign out</button></form>`;
  return html`<form action="${accountForms.endSession}" method="post">
    <input type="hidden" name="id" value="${id}" />
    <button type="submit" class="copy">End<span class="unseen"> the session of ${browserName(userAgent)}</span></button>
  </form>`;
}
