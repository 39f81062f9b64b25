/** The account: somebody's own keys and sessions, and what has just been done with them. */
import type { KeyView, SessionView } from "../oci/account.ts";
import type { KeyForm } from "./account-forms.ts";
import { keyFormSection } from "./key-form.ts";
import { keysSection } from "./keys-section.ts";
import { html, nothing, type Markup } from "./markup.ts";
import { sessionsSection } from "./sessions-section.ts";

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
  revoked: "The key is revoked: whoever logs in with it is refused within two seconds.",
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
