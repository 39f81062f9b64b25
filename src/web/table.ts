/** Tables: what there are many of, one to a row. A column says what it shows, and whether it is left out where there is little room. */
import { html, type Content, type Markup } from "./markup.ts";

export interface Column<Entry> {
  readonly title: Content;
  /** The first column's cells name their rows. */
  readonly cell: (entry: Entry) => Content;
  /** Not shown on a narrow screen: the first column says it there too, if it matters. */
  readonly isWide?: boolean;
  /** Told by its end. */
  readonly isNumber?: boolean;
}

/** `caption` is for those who hear the page. */
export function table<Entry>(caption: string, columns: readonly Column<Entry>[], entries: readonly Entry[]): Markup {
  return html`<table>
    <caption class="unseen">
      ${caption}
    </caption>
    <thead>
      <tr>
        ${columns.map((column) => html`<th scope="col" ${classOf(column)}>${column.title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${entries.map(
        (entry) =>
          html`<tr>
            ${columns.map((column, at) => (at === 0 ? html`<th scope="row" ${classOf(column)}>${column.cell(entry)}</th>` : html`<td${classOf(column)}>${column.cell(entry)}</td>`))}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function classOf<Entry>({ isWide = false, isNumber = false }: Column<Entry>): Content {
  const names = [...(isNumber ? ["number"] : []), ...(isWide ? ["wide"] : [])];
  return names.length === 0 ? undefined : html` class="${names.join(" ")}"`;
}
