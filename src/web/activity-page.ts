/** The activity: who asks for what just now, and what is decided about it; for administrators. Renews itself where a script runs. */
import type { ActivityEntry, ActivityFound } from "../oci/activity.ts";
import { activityPath, imageHref, repositoryHref, withQuery } from "./addresses.ts";
import { ago, count, html, nothing, plainText, sentence, type Markup } from "./markup.ts";
import { table, type Column } from "./table.ts";

export interface ActivityPageOptions {
  readonly found: ActivityFound;
  /** What is searched for. */
  readonly text: string;
  readonly nowMs: number;
}

const refreshMs = 2_000;

/** What is asked for, in a word. */
const actions: Readonly<Record<string, string>> = {
  read: "pull",
  create: "push",
  delete: "delete",
  ping: "log in",
  catalog: "list repositories",
  metrics: "metrics",
  admin: "administrate",
  page: "look at pages",
  account: "own keys and sessions",
  presence: "something else",
};

export function activityPage(options: ActivityPageOptions): Markup {
  const { text } = options;
  return html`<h1>Activity</h1>
    <form class="search" action="${activityPath}" method="get" role="search">
      <label class="grow"
        ><span>Name, address or repository</span
        ><input type="search" name="q" value="${text}" maxlength="255" autocomplete="off" autocapitalize="off" spellcheck="false"
      /></label>
      <button type="submit">Search</button>
    </form>
    <div data-live="${withQuery(activityPath, { part: "live", q: text })}" data-every="${refreshMs}">${activityLive(options)}</div>
    <p class="muted after">
      Requests that are alike are one line. Kept in memory: the last few thousand lines of this process. What it all amounted to, to the request, stands in the
      log.
    </p>`;
}

/** What is renewed. */
export function activityLive({ found, text, nowMs }: ActivityPageOptions): Markup {
  const { entries, total } = found;
  if (entries.length === 0)
    return html`<p class="empty">${text === "" ? "Nobody has asked for anything yet." : "Nothing that is still known has this in it."}</p>`;
  return html`<p class="muted">${total > entries.length ? `The last ${count(entries.length)} of ${count(total)}.` : `${count(total)} in all.`}</p>
    ${table("Activity", columns(nowMs), entries)}`;
}

function columns(nowMs: number): readonly Column<ActivityEntry>[] {
  return [
    { title: "What", cell: (entry) => whatCell(entry, nowMs) },
    { title: "Who", isWide: true, cell: whoMarkup },
    { title: "From", isWide: true, cell: ({ client }) => html`<code class="figure">${plainText(client, 45)}</code>` },
    { title: "Last", isWide: true, cell: ({ lastAtMs }) => ago(lastAtMs, nowMs) },
    { title: "Requests", isWide: true, isNumber: true, cell: ({ count: requests }) => count(requests) },
    { title: "Result", cell: resultMarkup },
  ];
}

function whatCell(entry: ActivityEntry, nowMs: number): Markup {
  const { action, client, lastAtMs, count: requests } = entry;
  return html`<span class="muted">${actions[action] ?? plainText(action)}</span> ${repositoryMarkup(entry)}
    <div class="narrow muted">
      ${whoMarkup(entry)} · <code>${plainText(client, 45)}</code> · ${ago(lastAtMs, nowMs)}${requests === 1 ? nothing : ` · ${count(requests)} requests`}
    </div>`;
}

function repositoryMarkup({ repository, tags }: ActivityEntry): Markup {
  if (!repository) return nothing;
  return html`<a href="${repositoryHref(repository)}"><span class="muted">${repository.host}/</span><wbr />${repository.path}</a>${tags.map(
      (tag) => html` <a class="badge plain" href="${imageHref(repository, { kind: "tag", tag })}">${plainText(tag, 40)}</a>`,
    )}`;
}

function whoMarkup({ user, by }: ActivityEntry): Markup {
  if (user === undefined) return html`<span class="muted">nobody known</span>`;
  return html`<bdi>${plainText(user)}</bdi>${by === undefined ? nothing : html` <span class="muted">by ${plainText(by)}</span>`}`;
}

function resultMarkup({ isAllowed, rule, reason }: ActivityEntry): Markup {
  if (isAllowed)
    return html`<span class="badge good">allowed</span>
      <div class="wide muted">${ruleMarkup(rule)}</div>`;
  return html`<span class="badge bad">denied</span>
    <div class="muted">${reason === undefined ? ruleMarkup(rule) : sentence(plainText(reason))}</div>`;
}

/** A place in the configuration: a line ends between its keys. */
function ruleMarkup(rule: string): Markup {
  return html`${plainText(rule)
    .split(/(?<=\]\.?)/)
    .map((part) => html`${part}<wbr />`)}`;
}
