/** A new key: shown once, with what each client is told. */
import type { KeyView } from "../oci/account.ts";
import { accountPath } from "./addresses.ts";
import { command, commandList } from "./commands.ts";
import { loginCommands } from "./login-commands.ts";
import { ago, html, plainText, type Markup } from "./markup.ts";

export interface NewKeyPageOptions {
  readonly secret: string;
  readonly key: KeyView;
  readonly user: string;
  /** How people reach this server. */
  readonly origin: string;
  readonly nowMs: number;
}

export function newKeyPage({ secret, key, user, origin, nowMs }: NewKeyPageOptions): Markup {
  const { label, expiresAtMs } = key;
  return html`<h1>Your new key</h1>
    <section aria-labelledby="key">
      <h2 id="key">
        <bdi>${plainText(label)}</bdi> <span class="muted">${expiresAtMs === undefined ? "without an end" : html`ends ${ago(expiresAtMs, nowMs)}`}</span>
      </h2>
      <p role="status"><strong>Copy it now: it is shown this once, and nobody can read it again.</strong></p>
      <div class="whole">${command(secret, "the key")}</div>
    </section>
    <section aria-labelledby="login">
      <h2 id="login">Log in with it</h2>
      <p>Each of these waits for the key: paste it, then press Enter and Ctrl-D. So it stands in no history and in no list of processes.</p>
      ${commandList(loginCommands(user, origin))}
    </section>
    <p><a class="button" href="${accountPath}">I have it: back to your keys</a></p>`;
}
