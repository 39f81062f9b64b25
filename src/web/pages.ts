/**
 * Pages: what people look at with a browser: an address and who asks in, a page out. Knows no HTTP: who mounts it decides who is let in, and
 * which headers go with a page.
 */
import type { Browsing, Sees } from "../oci/browsing.ts";
import type { Overview } from "../oci/overview.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { referenceName, type Reference } from "../oci/reference.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import { findHost, homePath, parseName, repositoriesPath, upstreamsPath } from "./addresses.ts";
import type { Asset, SiteAssets } from "./assets.ts";
import { devicePage, type DeviceView } from "./device-page.ts";
import { framed, type FramedPage, type PageUser } from "./frame.ts";
import { imagePage } from "./image-page.ts";
import type { Markup } from "./markup.ts";
import { messagePage, type Message } from "./message-page.ts";
import { overviewLive, overviewPage } from "./overview-page.ts";
import { serverOf } from "./pull-commands.ts";
import { repositoriesFragment, repositoriesPage, type RepositoriesAsked } from "./repositories-page.ts";
import { repositoryFragment, repositoryPage, type RepositoryList, type RepositoryPageOptions } from "./repository-page.ts";
import { signInPage, type SignInPageOptions } from "./sign-in-page.ts";
import { upstreamsPage } from "./upstreams-page.ts";

export interface PagesOptions {
  readonly browsing: Browsing;
  readonly overview: Overview;
  readonly assets: SiteAssets;
  readonly clock: Clock;
  readonly version: string;
  readonly isAirGapped: boolean;
  /** How people reach this server; undefined: as the visitor does. */
  readonly externalUrl: () => string | undefined;
  /** How people sign in; undefined: not with a page of ours. */
  readonly signIn?: (query: URLSearchParams) => SignInPageOptions | undefined;
}

/** Somebody who looks. */
export interface PageVisit {
  /** Percent-decoding is still to be done. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Undefined: somebody without a name. */
  readonly user: PageUser | undefined;
  /** `https://registry.example.com`: how the visitor reached us. */
  readonly origin: string;
  /** Undefined: all of them. */
  readonly sees: Sees | undefined;
  /** Why the visitor may not look at it; undefined: he may. */
  readonly refusalOf: (repository: Repository, reference: Reference | undefined) => string | undefined;
  readonly signal: AbortSignal;
}

export interface ShownPage {
  readonly status: number;
  readonly html: string;
}

const repositoriesOnPage = 50;
const entriesOnPage = 50;
const wordsMax = 8;
const textLengthMax = 255;
const fromMax = 10_000_000;

export class Pages {
  readonly #options: PagesOptions;

  constructor(options: PagesOptions) {
    this.#options = options;
  }

  /** What lies at an address of assets; undefined: nothing. It is for everybody. */
  asset(path: string): Asset | undefined {
    return this.#options.assets.find(path);
  }

  /** Whether there is a page to sign in at. */
  get canSignIn(): boolean {
    return this.#options.signIn?.(new URLSearchParams()) !== undefined;
  }

  /** The page at an address, which may say that there is none. Rejects with the signal's reason, or with an Error when the disk gives nothing. */
  async show(visit: PageVisit): Promise<ShownPage> {
    try {
      return await this.#route(visit);
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      return this.message({ title: "Not found", text: error.message }, { status: 404, user: visit.user });
    }
  }

  /** The page to sign in at, for everybody; undefined: there is none. */
  signIn(query: URLSearchParams): ShownPage | undefined {
    const options = this.#options.signIn?.(query);
    return options && this.#page({ title: "Sign in", section: undefined, body: signInPage(options) }, undefined, { canSignIn: false });
  }

  /** Where somebody lets a terminal in. */
  device(view: DeviceView, { status, user }: { readonly status: number; readonly user: PageUser | undefined }): ShownPage {
    const body = devicePage(view, this.#options.clock.now());
    return { ...this.#page({ title: "Log in a terminal", section: undefined, body }, user), status };
  }

  /** A page that only says something. */
  message(message: Message, { status, user }: { readonly status: number; readonly user: PageUser | undefined }): ShownPage {
    return { ...this.#page({ title: message.title, section: undefined, body: messagePage(message) }, user), status };
  }

  async #route(visit: PageVisit): Promise<ShownPage> {
    const { path } = visit;
    if (path === homePath || path === `${homePath}/`) return await this.#overview(visit);
    if (path === repositoriesPath || path === `${repositoriesPath}/`) return await this.#repositories(visit);
    if (path === upstreamsPath) return this.#upstreams(visit);
    if (path.startsWith(`${repositoriesPath}/`)) return await this.#named(path.slice(repositoriesPath.length + 1), visit);
    return this.message({ title: "Not found", text: "There is no such page." }, { status: 404, user: visit.user });
  }

  async #overview({ query, user, sees }: PageVisit): Promise<ShownPage> {
    const { overview, clock } = this.#options;
    const live = await overviewLive({ overview, sees, nowMs: clock.now() });
    if (query.get("part") === "live") return shown(live);
    return this.#page({ title: "Overview", section: "overview", body: overviewPage(live) }, user);
  }

  #upstreams({ user }: PageVisit): ShownPage {
    const { overview, clock, isAirGapped } = this.#options;
    const body = upstreamsPage(overview.upstreams(), { nowMs: clock.now(), isAirGapped });
    return this.#page({ title: "Upstreams", section: "upstreams", body }, user);
  }

  async #repositories({ query, user, origin, sees, signal }: PageVisit): Promise<ShownPage> {
    const { browsing, clock, externalUrl } = this.#options;
    const text = textIn(query, "q");
    const registry = findHost(query.get("registry") ?? "");
    const sort = query.get("sort") === "used" ? "used" : "name";
    const after = placeIn(query.get("after") ?? "", sort);
    const words = text
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== "")
      .slice(0, wordsMax);
    const found = await browsing.findRepositories({ words, registry, sort, after, limit: repositoriesOnPage, sees, signal });
    const asked: RepositoriesAsked = { text, registry, sort, isFirstPage: after === undefined };
    const options = { found, asked, server: serverOf(externalUrl() ?? origin), isFiltered: sees !== undefined, nowMs: clock.now() };
    if (query.get("part") === "results") return shown(repositoriesFragment(options));
    return this.#page({ title: "Repositories", section: "repositories", body: repositoriesPage(options) }, user);
  }

  /** A repository or an image. What the visitor may not see is not looked for. */
  async #named(encoded: string, visit: PageVisit): Promise<ShownPage> {
    const { repository, reference } = parseName(decoded(encoded));
    const refusal = visit.refusalOf(repository, reference);
    if (refusal !== undefined) {
      return this.message({ title: "Not for you", text: refusal, canSignIn: visit.user === undefined && this.canSignIn }, { status: 403, user: visit.user });
    }
    return reference ? await this.#image(repository, reference, visit) : await this.#repository(repository, visit);
  }

  async #repository(repository: Repository, { query, user, signal }: PageVisit): Promise<ShownPage> {
    const text = textIn(query, "q").trim();
    const from = fromIn(query);
    const list = await this.#list(repository, query.get("list") === "manifests" ? "manifests" : "tags", { part: text, from, limit: entriesOnPage, signal });
    if (!list) throw new OciError("NAME_UNKNOWN", `nothing of ${repositoryName(repository)} is held`);
    const options: RepositoryPageOptions = { repository, list, text, from, limit: entriesOnPage, nowMs: this.#options.clock.now() };
    if (query.get("part") === "results") return shown(repositoryFragment(options));
    return this.#page({ title: repositoryName(repository), section: "repositories", body: repositoryPage(options) }, user);
  }

  async #list(repository: Repository, kind: RepositoryList["kind"], query: Parameters<Browsing["findTags"]>[1]): Promise<RepositoryList | undefined> {
    const { browsing } = this.#options;
    if (kind === "tags") {
      const found = await browsing.findTags(repository, query);
      return found && { kind, found };
    }
    const found = await browsing.findManifests(repository, query);
    return found && { kind, found };
  }

  async #image(repository: Repository, reference: Reference, { user, origin, signal }: PageVisit): Promise<ShownPage> {
    const { browsing, clock, externalUrl } = this.#options;
    const image = await browsing.findImage(repository, reference, signal);
    const name = `${repositoryName(repository)}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}`;
    if (!image) throw new OciError("MANIFEST_UNKNOWN", `${name} is not held`);
    const body = imagePage({ repository, reference, image, origin: externalUrl() ?? origin, nowMs: clock.now() });
    return this.#page({ title: name, section: "repositories", body }, user);
  }

  #page(page: FramedPage, user: PageUser | undefined, { canSignIn = this.canSignIn } = {}): ShownPage {
    const { assets, version } = this.#options;
    return shown(framed(page, { assets, version, user, canSignIn }));
  }
}

function shown(markup: Markup): ShownPage {
  return { status: 200, html: markup.toString() };
}

function textIn(query: URLSearchParams, name: string): string {
  return (query.get(name) ?? "").slice(0, textLengthMax);
}

function fromIn(query: URLSearchParams): number {
  const written = query.get("from") ?? "";
  return /^[0-9]{1,8}$/.test(written) ? Math.min(Number(written), fromMax) : 0;
}

/** Where the page before ended: a name, or a time and a name. */
function placeIn(written: string, sort: "name" | "used"): { readonly name: string; readonly usedAtMs: number } | undefined {
  if (written === "" || written.length > 2 * textLengthMax) return undefined;
  if (sort === "name") return { name: written, usedAtMs: 0 };
  const [, time = "", name = ""] = /^([0-9]{1,15})~(.+)$/.exec(written) ?? [];
  return name === "" ? undefined : { name, usedAtMs: Number(time) };
}

function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (error) {
    throw new OciError("NAME_INVALID", "this address is not percent-encoded UTF-8", { cause: error });
  }
}
