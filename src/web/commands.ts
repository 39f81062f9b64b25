/** Commands that people copy: one for each client. */
import { copyButton, html, type Markup } from "./markup.ts";

export interface ClientCommand {
  readonly client: string;
  readonly text: string;
}

export function commandList(commands: readonly ClientCommand[]): Markup {
  return html`<dl class="commands">
    ${commands.map(
      ({ client, text }) =>
        html`<div>
          <dt>${client}</dt>
          <dd>${command(text, `the command for ${client}`)}</dd>
        </div>`,
    )}
  </dl>`;
}

/** One line that people copy; `what` it is, for those who hear the page. */
export function command(text: string, what: string): Markup {
  return html`<div class="command">
    <pre tabindex="0"><code>${text}</code></pre>
    ${copyButton(text, what)}
  </div>`;
}
