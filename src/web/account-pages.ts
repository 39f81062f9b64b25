/** AccountPages: somebody's own keys and sessions, and the forms that make and end them. What is done is told by the page that comes after. */
import type { Account, KeyWish } from "../oci/account.ts";
import type { Clock } from "../oci/clock.ts";
import { accountForms, emptyKeyForm, keyLifeOf, type KeyForm } from "./account-forms.ts";
import { accountPage, type AccountDone } from "./account-page.ts";
import { accountPath, signInPath, withQuery } from "./addresses.ts";
import { messagePage } from "./message-page.ts";
import { newKeyPage } from "./new-key-page.ts";
import { noSuchPage, type PageOutcome, type PageVisit } from "./page-visit.ts";

export interface AccountPagesOptions {
  readonly clock: Clock;
  /** How people reach this server; undefined: as the visitor does. */
  readonly externalUrl: () => string | undefined;
}

type Form = (account: Account, fields: URLSearchParams, visit: PageVisit) => Promise<PageOutcome>;

export class AccountPages {
  readonly #options: AccountPagesOptions;
  readonly #forms: ReadonlyMap<string, Form>;

  constructor(options: AccountPagesOptions) {
    this.#options = options;
    this.#forms = new Map<string, Form>([
      [accountForms.makeKey, async (account, fields, visit) => await this.#makeKey(account, fields, visit)],
      [accountForms.revokeKey, revokeKey],
      [accountForms.endSession, endSession],
      [accountForms.endOthers, endOthers],
    ]);
  }

  /** Whether a form is sent there. */
  takesForm(path: string): boolean {
    return this.#forms.has(path);
  }

  /** Rejects with an `OciError` for what is no address of these pages, and with `OVERLOADED` while nothing can be read or kept. */
  async show(visit: PageVisit, { canSignIn }: { readonly canSignIn: boolean }): Promise<PageOutcome> {
    const { path, form, user, account } = visit;
    const answer = this.#forms.get(path);
    if (path !== accountPath && !answer) throw noSuchPage();
    if (!account) return withoutAccount(user !== undefined, canSignIn);
    if (answer && form) return await answer(account, form, visit);
    if (answer) return { kind: "elsewhere", path: accountPath };
    return await this.#page(account, visit, { form: emptyKeyForm });
  }

  async #page(
    account: Account,
    { query, comesFromOurs }: PageVisit,
    { form, status = 200 }: { readonly form: KeyForm; readonly status?: number },
  ): Promise<PageOutcome> {
    const [keys, sessions] = await Promise.all([account.keys?.list(), account.sessions?.list()]);
    const body = accountPage({ keys, sessions, form, done: comesFromOurs ? (query.get("done") ?? "") : "", nowMs: this.#options.clock.now() });
    return { kind: "page", page: { title: "Your keys and sessions", section: "account", body }, status };
  }

  /** The page that tells the key is the form's own answer: it has no address, and nobody comes back to it. */
  async #makeKey(account: Account, fields: URLSearchParams, visit: PageVisit): Promise<PageOutcome> {
    if (!account.keys) throw noSuchPage();
    const wish = wishIn(fields);
    const made = await account.keys.make(wish);
    if (made.kind === "refused") {
      const written = { label: wish.label, repositories: wish.repositories.join(" "), ends: keyLifeOf(fields.get("ends")).value, isReadOnly: wish.isReadOnly };
      return await this.#page(account, visit, { form: { ...written, problem: made }, status: 400 });
    }
    const origin = this.#options.externalUrl() ?? visit.origin;
    const body = newKeyPage({ ...made, user: visit.user?.name ?? "", origin, nowMs: this.#options.clock.now() });
    return { kind: "page", page: { title: "Your new key", section: "account", body } };
  }
}

async function revokeKey({ keys }: Account, fields: URLSearchParams): Promise<PageOutcome> {
  if (!keys) throw noSuchPage();
  await keys.revoke(fields.get("id") ?? "");
  return doneWith("revoked");
}

async function endSession({ sessions }: Account, fields: URLSearchParams): Promise<PageOutcome> {
  if (!sessions) throw noSuchPage();
  await sessions.end(fields.get("id") ?? "");
  return doneWith("ended");
}

async function endOthers({ sessions }: Account): Promise<PageOutcome> {
  if (!sessions) throw noSuchPage();
  await sessions.endOthers();
  return doneWith("others-ended");
}

function doneWith(done: AccountDone): PageOutcome {
  return { kind: "elsewhere", path: withQuery(accountPath, { done }) };
}

function withoutAccount(hasName: boolean, canSignIn: boolean): PageOutcome {
  if (!hasName && canSignIn) return { kind: "elsewhere", path: withQuery(signInPath, { callback_ui: accountPath }) };
  if (!hasName) throw noSuchPage();
  const title = "Not for a key or a token";
  const text = "keys and sessions are seen by their owner alone, who shows a password or a certificate, or signs in with a browser";
  return { kind: "page", page: { title, section: undefined, body: messagePage({ title, text, canSignIn }) }, status: 403 };
}

function wishIn(fields: URLSearchParams): KeyWish {
  return {
    label: fields.get("label") ?? "",
    lifeMs: keyLifeOf(fields.get("ends")).lifeMs,
    repositories: (fields.get("repositories") ?? "").split(/[\s,]+/).filter((pattern) => pattern !== ""),
    isReadOnly: fields.get("read-only") !== null,
  };
}
