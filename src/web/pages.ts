/**
 * Pages: what people look at with a browser: an address and who asks in, a page out. Knows no HTTP: who mounts it decides who is let in, and
 * which headers go with a page.
 */
import type { SignInOffer } from "../auth/sign-in.ts";
import type { Overview } from "../oci/overview.ts";
import { OciError } from "../oci/errors.ts";
import { AccountPages } from "./account-pages.ts";
import { accountPath, activityPath, homePath, parseName, repositoriesPath, signInPath, upstreamsPath, withQuery } from "./addresses.ts";
import type { Asset, SiteAssets } from "./assets.ts";
import { devicePage, type DeviceView } from "./device-page.ts";
import { framed, type FramedPage, type PageUser } from "./frame.ts";
import { activityLive, activityPage } from "./activity-page.ts";
import { HeldPages, type HeldPagesOptions } from "./held-pages.ts";
import { textIn, wordsIn } from "./searched-text.ts";
import type { Markup } from "./markup.ts";
import { messagePage, type Message } from "./message-page.ts";
import { overviewLive, overviewPage } from "./overview-page.ts";
import { noSuchPage, type PageOutcome, type PageVisit } from "./page-visit.ts";
import { signInPage } from "./sign-in-page.ts";
import { upstreamsPage } from "./upstreams-page.ts";

export interface PagesOptions extends HeldPagesOptions {
  readonly overview: Overview;
  readonly assets: SiteAssets;
  readonly version: string;
  readonly isAirGapped: boolean;
  /** How people sign in; undefined: not with a page of ours. */
  readonly signIn?: (query: URLSearchParams) => SignInOffer | undefined;
}

export type ShownPage =
  | { readonly kind: "page"; readonly status: number; readonly html: string }
  /** The browser goes on to a path of ours. */
  | { readonly kind: "elsewhere"; readonly path: string };

export type WholePage = Extract<ShownPage, { kind: "page" }>;

const activityOnPage = 200;

export class Pages {
  readonly #options: PagesOptions;
  readonly #held: HeldPages;
  readonly #account: AccountPages;

  constructor(options: PagesOptions) {
    this.#options = options;
    this.#held = new HeldPages(options);
    this.#account = new AccountPages(options);
  }

  /** What lies at an address of assets; undefined: nothing. It is for everybody. */
  asset(path: string): Asset | undefined {
    return this.#options.assets.find(path);
  }

  /** Whether there is a page to sign in at. */
  get canSignIn(): boolean {
    return this.#options.signIn?.(new URLSearchParams()) !== undefined;
  }

  /** Where whoever asked for `target` without a name goes: straight to the one way in that there is, or to where there is a choice; undefined: nowhere. */
  wayIn(target: string): string | undefined {
    const offer = this.#options.signIn?.(new URLSearchParams({ callback_ui: target }));
    if (!offer) return undefined;
    const [only, ...others] = offer.providers;
    // A part of a page is asked for by its script, which cannot follow to anybody else.
    const isPart = target.includes("part=");
    return only && others.length === 0 && !offer.hasPasswords && !isPart ? only.href : withQuery(signInPath, { callback_ui: target });
  }

  /** Whether a form of a page is sent to `path`, by POST. */
  takesForm(path: string): boolean {
    return this.#account.takesForm(path);
  }

  /** The page at an address, which may say that there is none. Rejects with the signal's reason, or with an Error when the disk gives nothing. */
  async show(visit: PageVisit): Promise<ShownPage> {
    const { user } = visit;
    try {
      const outcome = await this.#route(visit);
      switch (outcome.kind) {
        case "page":
          return { ...this.#page(outcome.page, user), status: outcome.status ?? 200 };
        case "part":
          return shown(outcome.markup);
        case "elsewhere":
          return outcome;
        default:
          return outcome satisfies never;
      }
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      if (error.code === "OVERLOADED") return this.message({ title: "Try again in a moment", text: error.message }, { status: 503, user });
      return this.message({ title: "Not found", text: error.message }, { status: 404, user });
    }
  }

  /** The page to sign in at, for everybody; undefined: there is none. */
  signIn(query: URLSearchParams): WholePage | undefined {
    const offer = this.#options.signIn?.(query);
    return offer && this.#page({ title: "Sign in", section: undefined, body: signInPage(offer) }, undefined, { canSignIn: false });
  }

  /** Where somebody lets a terminal in. */
  device(view: DeviceView, { status, user }: { readonly status: number; readonly user: PageUser | undefined }): WholePage {
    const body = devicePage(view, this.#options.clock.now());
    return { ...this.#page({ title: "Log in a terminal", section: undefined, body }, user), status };
  }

  /** A page that only says something. */
  message(message: Message, { status, user }: { readonly status: number; readonly user: PageUser | undefined }): WholePage {
    return { ...this.#page({ title: message.title, section: undefined, body: messagePage(message) }, user), status };
  }

  async #route(visit: PageVisit): Promise<PageOutcome> {
    const { path } = visit;
    if (path === homePath || path === `${homePath}/`) return await this.#overview(visit);
    if (path === repositoriesPath || path === `${repositoriesPath}/`) return await this.#held.repositories(visit);
    if (path === upstreamsPath) return this.#upstreams();
    if (path === activityPath) return this.#activity(visit);
    if (path.startsWith(`${repositoriesPath}/`)) return await this.#named(path.slice(repositoriesPath.length + 1), visit);
    if (path === accountPath || path.startsWith(`${accountPath}/`)) return await this.#account.show(visit, { canSignIn: this.canSignIn });
    throw noSuchPage();
  }

  async #overview({ query, sees }: PageVisit): Promise<PageOutcome> {
    const { overview, clock } = this.#options;
    const live = await overviewLive({ overview, sees, nowMs: clock.now() });
    if (query.get("part") === "live") return { kind: "part", markup: live };
    return { kind: "page", page: { title: "Overview", section: "overview", body: overviewPage(live) } };
  }

  #upstreams(): PageOutcome {
    const { overview, clock, isAirGapped } = this.#options;
    const body = upstreamsPage(overview.upstreams(), { nowMs: clock.now(), isAirGapped });
    return { kind: "page", page: { title: "Upstreams", section: "upstreams", body } };
  }

  /** For administrators: to everybody else it is not there. */
  #activity({ query, user, sees }: PageVisit): PageOutcome {
    const { activity, clock } = this.#options;
    if (!activity || user?.isAdministrator !== true) throw noSuchPage();
    const text = textIn(query, "q");
    const options = { found: activity.latest({ words: wordsIn(text), sees, limit: activityOnPage }), text, nowMs: clock.now() };
    if (query.get("part") === "live") return { kind: "part", markup: activityLive(options) };
    return { kind: "page", page: { title: "Activity", section: "activity", body: activityPage(options) } };
  }

  /** A repository or an image. What the visitor may not see is not looked for. */
  async #named(encoded: string, visit: PageVisit): Promise<PageOutcome> {
    const { repository, reference } = parseName(decoded(encoded));
    const refusal = visit.refusalOf(repository, reference);
    if (refusal !== undefined) {
      const body = messagePage({ title: "Not for you", text: refusal, canSignIn: visit.user === undefined && this.canSignIn });
      return { kind: "page", page: { title: "Not for you", section: undefined, body }, status: 403 };
    }
    return reference ? await this.#held.image(repository, reference, visit) : await this.#held.repository(repository, visit);
  }

  #page(page: FramedPage, user: PageUser | undefined, { canSignIn = this.canSignIn } = {}): WholePage {
    const { assets, version } = this.#options;
    return shown(framed(page, { assets, version, user, canSignIn }));
  }
}

function shown(markup: Markup): WholePage {
  return { kind: "page", status: 200, html: markup.toString() };
}

function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (error) {
    throw new OciError("NAME_INVALID", "this address is not percent-encoded UTF-8", { cause: error });
  }
}
