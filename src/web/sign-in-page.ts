/** Where people sign in: a button for each provider, and a name and a password where those are known here. */
import type { SignInOffer } from "../auth/sign-in.ts";
import { html, nothing, type Markup } from "./markup.ts";

export function signInPage({ providers, hasPasswords, action, hidden, error }: SignInOffer): Markup {
  return html`<div class="sign-in">
    <h1>Sign in</h1>
    ${error === undefined ? nothing : html`<p role="alert" class="badge-line"><span class="badge bad">failed</span> ${error}</p>`}
    ${
      providers.length === 0
        ? nothing
        : html`<ul class="plain providers">
            ${providers.map(({ name, title, href }) => html`<li><a class="button" data-provider="${name}" href="${href}">Continue with ${title}</a></li>`)}
          </ul>`
    }
    ${providers.length > 0 && hasPasswords ? html`<p class="or"><span>or</span></p>` : nothing}
    ${
      hasPasswords
        ? html`<form action="${action}" method="post">
            ${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
            <label><span>Name</span><input name="username" autocomplete="username" autocapitalize="off" spellcheck="false" required maxlength="255" /></label>
            <label><span>Password</span><input name="password" type="password" autocomplete="current-password" required maxlength="1024" /></label>
            <button type="submit" class="primary">Sign in</button>
          </form>`
        : nothing
    }
    ${providers.length === 0 && !hasPasswords ? html`<p class="empty">Nobody can sign in here with a browser.</p>` : nothing}
  </div>`;
}
