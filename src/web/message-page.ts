/** A page that only says something: there is nothing here, this may not be seen. */
import { homePath, signInPath } from "./addresses.ts";
import { html, nothing, sentence, type Markup } from "./markup.ts";

export interface Message {
  readonly title: string;
  /** A sentence, or a message as errors have it. */
  readonly text: string;
  /** Offer to sign in. */
  readonly canSignIn?: boolean;
}

export function messagePage({ title, text, canSignIn = false }: Message): Markup {
  return html`<h1>${title}</h1>
    <p class="message">${sentence(text)}</p>
    <p>${canSignIn ? html`<a class="button" href="${signInPath}">Sign in</a> ` : nothing}<a href="${homePath}">Overview</a></p>`;
}
