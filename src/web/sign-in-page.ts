/** Where people sign in: a button for each provider, and a name and a password where those are known here. */
import { html, nothing, type Markup } from "./markup.ts";

export interface SignInPageOptions {
  readonly providers: readonly { readonly name: string; readonly title: string; readonly href: string }[];
  /** Whether a name and a password can be checked. */
  readonly hasPasswords: boolean;
  /** Where they are sent, by POST, as `username` and `password`. */
  readonly action?: string;
  /** What is sent along. */
  readonly hidden?: Readonly<Record<string, string>>;
  /** Why the last attempt failed, in a sentence. */
  readonly error?: string | undefined;
}

export function signInPage({ providers, hasPasswords, action = "/login", hidden = {}, error }: SignInPageOptions): Markup {
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
