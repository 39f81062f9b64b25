/** The form for another key: what is wrong with it stands at the field that it is in. */
import { accountForms, keyLives, type KeyForm } from "./account-forms.ts";
import { html, nothing, sentence, type Markup } from "./markup.ts";

export function keyFormSection({ label, ends, repositories, isReadOnly, problem }: KeyForm): Markup {
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
