/** The repositories of which something is held: searched by name, by registry, sorted, a page at a time. */
import type { RepositoriesFound, RepositorySummary } from "../oci/browsing.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { repositoriesPath, repositoryHref, withQuery } from "./addresses.ts";
import { command } from "./commands.ts";
import { ago, count, counted, html, nothing, type Markup } from "./markup.ts";
import { table, type Column } from "./table.ts";

/** What was asked for. */
export interface RepositoriesAsked {
  readonly text: string;
  readonly registry: RegistryHost | undefined;
  readonly sort: "name" | "used";
  readonly isFirstPage: boolean;
}

export interface RepositoriesPageOptions {
  readonly found: RepositoriesFound;
  readonly asked: RepositoriesAsked;
  /** `registry.example.com:8080`, for the command that an empty cache shows. */
  readonly server: string;
  /** Whether there may be some that the visitor may not see. */
  readonly isFiltered: boolean;
  readonly nowMs: number;
}

export function repositoriesPage(options: RepositoriesPageOptions): Markup {
  const { found, asked } = options;
  return html`<h1>Repositories</h1>
    <form class="search" action="${repositoriesPath}" method="get" role="search" data-search="results">
      <label class="grow"
        ><span>Name</span
        ><input
          type="search"
          name="q"
          value="${asked.text}"
          placeholder="library/alpine"
          maxlength="255"
          autocomplete="off"
          autocapitalize="off"
          spellcheck="false"
      /></label>
      <label
        ><span>Registry</span
        ><select name="registry">
          <option value="">All registries</option>
          ${registryOptions(found, asked)}
        </select></label
      >
      <label
        ><span>Order</span
        ><select name="sort">
          <option value="">By name</option>
          <option value="used" ${asked.sort === "used" ? html` selected` : nothing}>Last used first</option>
        </select></label
      >
      <button type="submit">Search</button>
    </form>
    <p role="status" class="muted" id="results-status">${statusText(options)}</p>
    <div id="results" data-status="${statusText(options)}">${repositoriesResults(options)}</div>`;
}

/** What changes while somebody types. */
export function repositoriesFragment(options: RepositoriesPageOptions): Markup {
  return html`<div id="results" data-status="${statusText(options)}">${repositoriesResults(options)}</div>`;
}

function repositoriesResults(options: RepositoriesPageOptions): Markup {
  const { found, asked, nowMs } = options;
  const { repositories, hasMore, foundSoFar, isCut } = found;
  if (repositories.length === 0) return emptyMarkup(options);
  const last = repositories.at(-1);
  return html`${table("Repositories", columns(nowMs), repositories)}
    ${foundSoFar === undefined ? nothing : html`<p class="muted">The store is still being looked through; there may be more.</p>`}
    ${isCut ? html`<p class="muted">There are more than can be listed here: the last, by name, are missing.</p>` : nothing}
    <nav class="paging" aria-label="More repositories">
      ${asked.isFirstPage ? nothing : html`<a href="${hrefOf(asked, undefined)}">First page</a>`}
      ${hasMore && last ? html`<a rel="next" href="${hrefOf(asked, last)}">Next page</a>` : nothing}
    </nav>`;
}

function columns(nowMs: number): readonly Column<RepositorySummary>[] {
  return [
    {
      title: "Repository",
      cell: ({ repository, tagCount, usedAtMs }) =>
        html`<a href="${repositoryHref(repository)}"><span class="muted">${repository.host}/</span><wbr />${repository.path}</a>
          <div class="narrow muted">${counted(tagCount, "tag")} · used ${ago(usedAtMs, nowMs)}</div>`,
    },
    { title: "Tags", isNumber: true, isWide: true, cell: ({ tagCount }) => count(tagCount) },
    { title: "Manifests", isNumber: true, isWide: true, cell: ({ manifestCount }) => count(manifestCount) },
    { title: "Last used", isWide: true, cell: ({ usedAtMs }) => ago(usedAtMs, nowMs) },
  ];
}

function emptyMarkup({ found, asked, server, isFiltered }: RepositoriesPageOptions): Markup {
  if (found.foundSoFar !== undefined) return html`<p class="empty">The store is still being looked through. Come back in a moment.</p>`;
  if (asked.text !== "" || asked.registry !== undefined) {
    return html`<p class="empty">Nothing that is held has such a name. <a href="${repositoriesPath}">Show everything</a></p>`;
  }
  if (!asked.isFirstPage) return html`<p class="empty">There are no more. <a href="${hrefOf(asked, undefined)}">First page</a></p>`;
  const pull = `docker pull ${server}/docker.io/library/alpine:latest`;
  return html`<div class="empty">
    <p>${isFiltered ? "Nothing is held that you may read." : "Nothing is held yet."} What is pulled through this server shows here:</p>
    ${command(pull, "the command")}
  </div>`;
}

function registryOptions({ registries }: RepositoriesFound, { registry }: RepositoriesAsked): readonly Markup[] {
  const all = registry === undefined || registries.includes(registry) ? registries : [...registries, registry];
  return all.map((host) => html`<option value="${host}" ${host === registry ? html` selected` : nothing}>${host}</option>`);
}

function statusText({ found, asked }: RepositoriesPageOptions): string {
  const { total, repositories, foundSoFar } = found;
  if (foundSoFar !== undefined) return `${count(foundSoFar)} found so far`;
  const many = total ?? repositories.length;
  const what = many === 1 ? "repository" : "repositories";
  if (total === undefined) return `${count(many)} ${what} on this page`;
  return asked.text === "" && asked.registry === undefined ? `${count(many)} ${what}` : `${count(many)} ${what} found`;
}

function hrefOf({ text, registry, sort }: RepositoriesAsked, after: RepositorySummary | undefined): string {
  return withQuery(repositoriesPath, {
    q: text,
    registry,
    sort: sort === "name" ? undefined : sort,
    after: after && (sort === "used" ? `${after.usedAtMs}~${after.name}` : after.name),
  });
}
