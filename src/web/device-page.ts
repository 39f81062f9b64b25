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
      /** The address of whoever looks; undefined: a proxy that nobody vouches for stands between, and hides it. */
      readonly client: string | undefined;
      /** Whether the owner administrates here. */
      readonly isAdministrator: boolean;
    }
  | { readonly kind: "approved" | "refused" }
  /** Somebody's link may have led here: nothing is said to have been done. */
  | { readonly kind: "decided" };

type Waiting = Extract<DeviceView, { kind: "waiting" }>;

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
    case "decided":
      return endMarkup(
        "Nothing waits here",
        "If you have just decided about a terminal, that counts: one that you let in has its key in a few seconds, and one that you refused gets none.",
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

function waitingMarkup({ code, grant, owner, client, isAdministrator }: Waiting, nowMs: number): Markup {
  const { host, program, label, askedAtMs, keyLifeMs, isReadOnly } = grant;
  return html`<div class="device">
    <h1>Let this terminal in?</h1>
    <p>
      A terminal asks to act as <strong><bdi>${owner}</bdi></strong
      >. Approve only if you began this yourself just now, and it shows this very code:
    </p>
    <p class="code">${code}</p>
    <dl class="facts">
      ${fact("It asks from", html`<code>${grant.client}</code> ${whoseAddress(grant.client, client)}`)} ${fact("It asked", ago(askedAtMs, nowMs))}
      ${fact("It calls itself", host === "" ? html`<span class="muted">nothing</span>` : html`<bdi>${host}</bdi>`)}
      ${fact("Its program", program === "" ? html`<span class="muted">unknown</span>` : html`<bdi>${program}</bdi>`)}
      ${fact(
        "It gets",
        html`an API key for ${isReadOnly ? "pulling, and nothing else" : "all that you may do"}, called <q><bdi>${label}</bdi></q
          >, that ends ${distance(-keyLifeMs)}`,
      )}
    </dl>
    ${isAdministrator && !isReadOnly ? html`<p><span class="badge warn">you administrate</span> So will whoever has this key.</p>` : nothing}
    ${choicesMarkup(code)}
  </div>`;
}

/** Somebody may have led here with a code of his own: approving takes two steps, the second of which was not to be seen at the first. */
function choicesMarkup(code: string): Markup {
  return html`<form action="${path}?user_code=${code}" method="post" class="choices">
    <input type="hidden" name="user_code" value="${code}" />
    <details>
      <summary class="button">Approve</summary>
      <p>Only a terminal of yours shows <span class="code">${code}</span> now.</p>
      <button type="submit" name="decision" value="approve" class="primary">Yes, mine does: let it in</button>
    </details>
    <button type="submit" name="decision" value="refuse">Refuse</button>
  </form>`;
}

function whoseAddress(asking: string, own: string | undefined): Markup {
  if (own === undefined)
    return html`<span class="muted">(whether that is yours cannot be told: a proxy that this registry does not know stands between)</span>`;
  if (asking === own) return html`<span class="muted">(your address too)</span>`;
  return html`<span class="badge warn">not your address</span> <span class="muted">yours is ${own}</span>`;
}

function endMarkup(title: string, text: string): Markup {
  return html`<h1>${title}</h1>
    <p class="message">${text}</p>
    <p><a class="button" href="${accountPath}">Your keys</a> <a href="${homePath}">Overview</a></p>`;
}
