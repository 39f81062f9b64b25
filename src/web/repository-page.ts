/** One repository: its tags, or everything of it that is held by digest, a page at a time. */
import { sizeText } from "../oci/amounts.ts";
import type { ListFound, ManifestView, PlatformView, TagView } from "../oci/browsing.ts";
import { mediaTypes } from "../oci/media-types.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { digestHref, imageHref, repositoriesPath, repositoryHref, withQuery } from "./addresses.ts";
import { ago, copyButton, count, counted, html, nothing, plainText, shortDigest, size, type Markup } from "./markup.ts";
import { table, type Column } from "./table.ts";

/** What of the repository is listed. */
export type RepositoryList =
  { readonly kind: "tags"; readonly found: ListFound<TagView> } | { readonly kind: "manifests"; readonly found: ListFound<ManifestView> };

export interface RepositoryPageOptions {
  readonly repository: Repository;
  readonly list: RepositoryList;
  readonly text: string;
  readonly from: number;
  readonly limit: number;
  /** Who pulled it last, where the visitor may know and it is still known. */
  readonly pullerOf: (tag: Tag) => string | undefined;
  readonly nowMs: number;
}

export function repositoryPage(options: RepositoryPageOptions): Markup {
  const { repository, list, text } = options;
  const name = repositoryName(repository);
  const { tagCount, manifestCount } = list.found;
  return html`${trail(repository)}
    <h1 class="name"><span class="muted">${repository.host}/</span><wbr />${repository.path} ${copyButton(name, "the name")}</h1>
    <nav class="tabs" aria-label="What is listed">
      <ul>
        <li>
          <a href="${repositoryHref(repository)}" ${list.kind === "tags" ? html` aria-current="page"` : nothing}>${counted(tagCount, "tag")}</a>
        </li>
        <li>
          <a href="${withQuery(repositoryHref(repository), { list: "manifests" })}" ${list.kind === "manifests" ? html` aria-current="page"` : nothing}
            >${counted(manifestCount, "manifest")}</a
          >
        </li>
      </ul>
    </nav>
    <form class="search" action="${repositoryHref(repository)}" method="get" role="search" data-search="results">
      <label class="grow"
        ><span>${list.kind === "tags" ? "Tag" : "Digest"}</span
        ><input type="search" name="q" value="${text}" maxlength="128" autocomplete="off" autocapitalize="off" spellcheck="false"
      /></label>
      ${list.kind === "manifests" ? html`<input type="hidden" name="list" value="manifests" />` : nothing}
      <button type="submit">Search</button>
    </form>
    <p role="status" class="muted" id="results-status">${statusText(options)}</p>
    ${repositoryFragment(options)}`;
}

/** What changes while somebody types. */
export function repositoryFragment(options: RepositoryPageOptions): Markup {
  const { list } = options;
  return html`<div id="results" data-status="${statusText(options)}">
    ${list.found.entries.length === 0 ? html`<p class="empty">${options.text === "" ? "None is held." : "None that is held has this in its name."}</p>` : listTable(options)}
    ${paging(options)}
  </div>`;
}

function listTable(options: RepositoryPageOptions): Markup {
  const { list } = options;
  if (list.kind === "tags") return table("Tags", tagColumns(options), list.found.entries);
  return table("Manifests", manifestColumns(options), list.found.entries);
}

/** The way back. */
export function trail(repository: Repository, last?: string): Markup {
  return html`<nav class="trail" aria-label="Where this is">
    <ol>
      <li><a href="${repositoriesPath}">Repositories</a></li>
      <li><a href="${withQuery(repositoriesPath, { registry: repository.host })}">${repository.host}</a></li>
      ${
        last === undefined
          ? html`<li aria-current="page">${repository.path}</li>`
          : html`<li><a href="${repositoryHref(repository)}">${repository.path}</a></li>
              <li aria-current="page">${last}</li>`
      }
    </ol>
  </nav>`;
}

function tagColumns({ repository, pullerOf, nowMs }: RepositoryPageOptions): readonly Column<TagView>[] {
  return [
    { title: "Tag", cell: (view) => tagCell(repository, view, pullerOf(view.tag), nowMs) },
    { title: "Platforms held", isWide: true, cell: ({ platforms }) => platformsMarkup(platforms) },
    { title: "Size", isNumber: true, isWide: true, cell: heldText },
    { title: "Here since", isWide: true, cell: ({ heldSinceMs }) => ago(heldSinceMs, nowMs) },
    { title: "Checked", isWide: true, cell: ({ checkedAtMs }) => ago(checkedAtMs, nowMs) },
    { title: "Last pulled", isWide: true, cell: ({ tag, pulledAtMs }) => html`${ago(pulledAtMs, nowMs)}${byMarkup(pullerOf(tag))}` },
  ];
}

function byMarkup(puller: string | undefined): Markup {
  return puller === undefined ? nothing : html` <span class="muted">by <bdi>${plainText(puller)}</bdi></span>`;
}

function tagCell(repository: Repository, view: TagView, puller: string | undefined, nowMs: number): Markup {
  const { tag, digest, isPinned, platforms, pulledAtMs } = view;
  return html`<a href="${imageHref(repository, { kind: "tag", tag })}">${tag}</a>${isPinned ? html` <span class="badge plain">pinned</span>` : nothing}
    <div class="muted">${shortDigest(digest)}</div>
    <div class="narrow muted">${heldText(view)} · ${platformsMarkup(platforms)} · ${pulledText(pulledAtMs, nowMs)}${byMarkup(puller)}</div>`;
}

const platformsShown = 4;

/** Those that are here, and how many there are in all. */
function platformsMarkup(platforms: readonly PlatformView[]): Markup {
  const named = platforms.filter(({ name }) => name !== undefined);
  if (named.length === 0) return html`<span class="muted">–</span>`;
  const held = named.filter(({ isHeld }) => isHeld);
  if (held.length === 0) return html`<span class="muted">none of ${count(named.length)}</span>`;
  const more = held.length > platformsShown ? `, and ${count(held.length - platformsShown)} more` : "";
  const names = held.slice(0, platformsShown).flatMap(({ name }) => name ?? []);
  return html`${names.join(", ")}${more}${named.length === 1 ? nothing : html` <span class="muted">of ${count(named.length)}</span>`}`;
}

function pulledText(pulledAtMs: number | undefined, nowMs: number): Markup {
  return pulledAtMs === undefined ? html`never pulled` : html`pulled ${ago(pulledAtMs, nowMs)}`;
}

function heldText({ heldBytes, sizeBytes }: Pick<TagView, "heldBytes" | "sizeBytes">): string {
  const [all, held] = [sizeText(sizeBytes), sizeText(heldBytes)];
  if (heldBytes === sizeBytes) return all;
  return all === held ? `${all}, less ${sizeText(sizeBytes - heldBytes)}` : `${held} of ${all}`;
}

function manifestColumns({ repository, nowMs }: RepositoryPageOptions): readonly Column<ManifestView>[] {
  return [
    {
      title: "Digest",
      cell: (manifest) =>
        html`<a href="${digestHref(repository, manifest.digest)}">${shortDigest(manifest.digest)}</a>
          <div class="narrow muted">${manifestKind(manifest)} · ${pulledText(manifest.pulledAtMs, nowMs)}</div>`,
    },
    { title: "Kind", isWide: true, cell: manifestKind },
    { title: "Size", isNumber: true, isWide: true, cell: ({ sizeBytes }) => size(sizeBytes) },
    { title: "Here since", isWide: true, cell: ({ heldSinceMs }) => ago(heldSinceMs, nowMs) },
    { title: "Last pulled", isWide: true, cell: ({ pulledAtMs }) => ago(pulledAtMs, nowMs) },
  ];
}

function manifestKind({ mediaType, subject }: ManifestView): string {
  return subject ? "refers to another" : kindText(mediaType);
}

/** A media type in a word, where it has one. */
export function kindText(mediaType: string): string {
  if (mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerManifestList) return "index";
  return mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest ? "image" : mediaType;
}

function statusText({ list, text }: RepositoryPageOptions): string {
  const { total } = list.found;
  return `${counted(total, list.kind === "tags" ? "tag" : "manifest")}${text === "" ? "" : " found"}`;
}

function paging({ repository, list, text, from, limit }: RepositoryPageOptions): Markup {
  const { total } = list.found;
  if (from === 0 && total <= limit) return nothing;
  const href = (start: number): string =>
    withQuery(repositoryHref(repository), { q: text, list: list.kind === "tags" ? undefined : list.kind, from: start === 0 ? undefined : start });
  return html`<nav class="paging" aria-label="More of them">
    ${from > 0 ? html`<a rel="prev" href="${href(Math.max(0, from - limit))}">Previous page</a>` : nothing}
    <span class="muted">${count(Math.min(from + 1, total))} to ${count(Math.min(from + limit, total))} of ${count(total)}</span>
    ${from + limit < total ? html`<a rel="next" href="${href(from + limit)}">Next page</a>` : nothing}
  </nav>`;
}
