/** Where somebody lets a terminal in that asks to log in: by its code, after a look at what is known of it. What the terminal says of itself is told as that. */
import type { DeviceGrant } from "../auth/device-grant-records.ts";
import { accountPath, homePath } from "./addresses.ts";
import { fact } from "./facts.ts";
import { ago, distance, html, nothing, type Markup } from "./markup.ts";

export type DeviceView =
  /** For the code; `problem` says, in sentences, what came of the last one. */
  | { readonly kind: "asking"; readonly problem: string | undefined; /** The code that is filled in. */ readonly typed?: string }
  | {
      readonly kind: "waiting";
      /** As the terminal shows it. */
      readonly code: string;
      readonly grant: DeviceGrant;
      /** In whose name the terminal would act. */
      readonly owner: string;
      /** The address of whoever looks. */
      readonly client: string;
    }
  | { readonly kind: "approved" | "refused" };

const path = `${homePath}/device`;

export function devicePage(view: DeviceView, nowMs: number): Markup {
  switch (view.kind) {
    case "asking":
      return askingMarkup(view);
    case "waiting":
      return waitingMarkup(view, nowMs);
    case "approved":
      return endMarkup("The terminal is let in", "It has its key in a few seconds. You can close this page.");
    case "refused":
      return endMarkup(
        "The terminal is refused",
        "It gets no key. If you did not ask for this yourself, somebody else has your name in mind: tell who runs this registry.",
      );
    default:
      return view satisfies never;
  }
}

function askingMarkup({ problem, typed = "" }: Extract<DeviceView, { kind: "asking" }>): Markup {
  return html`<div class="sign-in">
    <h1>Log in a terminal</h1>
    ${problem === undefined ? nothing : html`<p role="alert" id="problem" class="badge-line"><span class="badge bad">failed</span> ${problem}</p>`}
    <p>${typed === "" ? "Type the code that your terminal shows." : "Is this the code that your terminal shows? Then go on."}</p>
    <form action="${path}" method="get">
      <label>
        <span>Code</span>
        <input
          name="user_code"
          class="code"
          required
          maxlength="20"
          value="${typed.slice(0, 20)}"
          autocomplete="off"
          autocapitalize="characters"
          spellcheck="false"
          ${problem === undefined ? nothing : html` aria-invalid="true" aria-describedby="problem"`}
        />
      </label>
      <button type="submit" class="primary">Go on</button>
    </form>
  </div>`;
}

function waitingMarkup({ code, grant, owner, client }: Extract<DeviceView, { kind: "waiting" }>, nowMs: number): Markup {
  const { host, program, label, askedAtMs, keyLifeMs, isReadOnly } = grant;
  return html`<div class="device">
    <h1>Let this terminal in?</h1>
    <p>
      A terminal asks to act as <strong><bdi>${owner}</bdi></strong
      >. Approve only if you began this yourself just now, and it shows this very code:
    </p>
    <p class="code">${code}</p>
    <dl class="facts">
      ${fact("It asks from", html`<code>${grant.client}</code> ${grant.client === client ? html`<span class="muted">(your address too)</span>` : html`<span class="badge warn">not your address</span> <span class="muted">yours is ${client}</span>`}`)}
      ${fact("It asked", ago(askedAtMs, nowMs))} ${fact("It calls itself", host === "" ? html`<span class="muted">nothing</span>` : html`<bdi>${host}</bdi>`)}
      ${fact("Its program", program === "" ? html`<span class="muted">unknown</span>` : html`<bdi>${program}</bdi>`)}
      ${fact("It gets", html`an API key for ${isReadOnly ? "pulling, and nothing else" : "all that you may do"}, called <q>${label}</q>, that ends ${distance(-keyLifeMs)}`)}
    </dl>
    <form action="${path}?user_code=${code}" method="post" class="choices">
      <input type="hidden" name="user_code" value="${code}" />
      <button type="submit" name="decision" value="approve" class="primary">Approve</button>
      <button type="submit" name="decision" value="refuse">Refuse</button>
    </form>
  </div>`;
}

function endMarkup(title: string, text: string): Markup {
  return html`<h1>${title}</h1>
    <p class="message">${text}</p>
    <p><a class="button" href="${accountPath}">Your keys</a> <a href="${homePath}">Overview</a></p>`;
}
