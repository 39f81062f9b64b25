/** The account: somebody's own keys and sessions, each with the form that ends it, and the form for another key. */
import type { KeyView, SessionView } from "../oci/account.ts";
import { accountForms, keyLives, type KeyForm } from "./account-forms.ts";
import { signOutPath } from "./addresses.ts";
import { browserName } from "./browser-name.ts";
import { ago, count, distance, html, nothing, plainText, sentence, type Markup } from "./markup.ts";
import { table, type Column } from "./table.ts";

export interface AccountPageOptions {
  /** Undefined: there are no keys here. */
  readonly keys: readonly KeyView[] | undefined;
  /** Undefined: nobody signs in here with a browser. */
  readonly sessions: readonly SessionView[] | undefined;
  readonly form: KeyForm;
  /** What has just been done. */
  readonly done: string;
  readonly nowMs: number;
}

const doneTexts = {
  revoked: "The key is revoked: nobody gets in with it any more.",
  ended: "The session has ended.",
  "others-ended": "All other sessions have ended.",
} as const;

export type AccountDone = keyof typeof doneTexts;

export function accountPage(options: AccountPageOptions): Markup {
  const { keys, sessions, done, nowMs } = options;
  const [, doneText] = Object.entries(doneTexts).find(([name]) => name === done) ?? [];
  return html`<h1>Your keys and sessions</h1>
    ${doneText === undefined ? nothing : html`<p role="status" class="notice"><span class="badge good">done</span> ${doneText}</p>`}
    ${keys ? html`${keysSection(keys, nowMs)} ${keyFormSection(options.form)}` : nothing} ${sessions ? sessionsSection(sessions, nowMs) : nothing}
    ${!keys && !sessions ? html`<p class="empty">There are neither keys nor sessions here: what you are known by is all there is.</p>` : nothing}`;
}

function keysSection(keys: readonly KeyView[], nowMs: number): Markup {
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

function keyFormSection({ label, ends, repositories, isReadOnly, problem }: KeyForm): Markup {
  return html`<section aria-labelledby="new-key">
    <h2 id="new-key">Make a key</h2>
    ${problem && problem.field === undefined ? html`<p role="alert" class="problem">${sentence(problem.problem)}</p>` : nothing}
    <form class="fields" action="${accountForms.makeKey}" method="post">
      ${field({ name: "label", title: "Name", hint: "What it is for: laptop, build server.", problem }, (about) => html`<input name="label" value="${label}" required maxlength="256" autocomplete="off" ${about} />`)}
      <label
        ><span>Ends</span
        ><select name="ends">
          ${keyLives.map(({ value, title }) => html`<option value="${value}" ${value === ends ? html` selected` : nothing}>${title}</option>`)}
        </select></label
      >
      ${field({ name: "repositories", title: "Repositories", hint: html`Patterns, with spaces between them: <code>library/* quay.io/team/**</code>. Empty: all that you may read.`, problem }, (about) => html`<input name="repositories" value="${repositories}" maxlength="2048" autocomplete="off" autocapitalize="off" spellcheck="false" ${about} />`)}
      <label class="check"><input type="checkbox" name="read-only" value="yes" ${isReadOnly ? html` checked` : nothing} /><span>Only for pulling</span></label>
      <button type="submit" class="primary">Make the key</button>
    </form>
  </section>`;
}

interface Field {
  readonly name: "label" | "repositories";
  readonly title: string;
  readonly hint: Markup | string;
  readonly problem: KeyForm["problem"];
}

/** A field with what it wants, and what is wrong with what it has, told to those who hear the page too. */
function field({ name, title, hint, problem }: Field, input: (about: Markup) => Markup): Markup {
  const isWrong = problem?.field === name;
  const about = html` aria-describedby="${name}-hint${isWrong ? ` ${name}-problem` : ""}"${isWrong ? html` aria-invalid="true" autofocus` : nothing}`;
  return html`<div class="field">
    <label><span>${title}</span>${input(about)}</label>
    ${isWrong ? html`<p class="problem" id="${name}-problem">${sentence(problem.problem)}</p>` : nothing}
    <p class="muted" id="${name}-hint">${hint}</p>
  </div>`;
}

function sessionsSection(sessions: readonly SessionView[], nowMs: number): Markup {
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
