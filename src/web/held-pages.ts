/** HeldPages: what is held: the repositories, one of them, and one image. */
import type { Activity } from "../oci/activity.ts";
import type { Browsing } from "../oci/browsing.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { referenceName, type Reference } from "../oci/reference.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { Tag } from "../oci/tag.ts";
import { findHost } from "./addresses.ts";
import { imagePage } from "./image-page.ts";
import type { PageOutcome, PageVisit } from "./page-visit.ts";
import { textIn, wordsIn } from "./searched-text.ts";
import { serverOf } from "./pull-commands.ts";
import { repositoriesFragment, repositoriesPage, type RepositoriesAsked } from "./repositories-page.ts";
import { repositoryFragment, repositoryPage, type RepositoryList, type RepositoryPageOptions } from "./repository-page.ts";

export interface HeldPagesOptions {
  readonly browsing: Browsing;
  readonly clock: Clock;
  /** How people reach this server; undefined: as the visitor does. */
  readonly externalUrl: () => string | undefined;
  /** What administrators may look at; undefined: nothing is kept. */
  readonly activity?: Activity;
}

const repositoriesOnPage = 50;
const entriesOnPage = 50;
const nameLengthMax = 510;
const fromMax = 10_000_000;

/** Each rejects with the signal's reason, or with an Error when the disk gives nothing; with an `OciError` for what is not held. */
export class HeldPages {
  readonly #options: HeldPagesOptions;

  constructor(options: HeldPagesOptions) {
    this.#options = options;
  }

  async repositories({ query, origin, sees, signal }: PageVisit): Promise<PageOutcome> {
    const { browsing, clock, externalUrl } = this.#options;
    const text = textIn(query, "q");
    const registry = findHost(query.get("registry") ?? "");
    const sort = query.get("sort") === "used" ? "used" : "name";
    const after = placeIn(query.get("after") ?? "", sort);
    const found = await browsing.findRepositories({ words: wordsIn(text), registry, sort, after, limit: repositoriesOnPage, sees, signal });
    const asked: RepositoriesAsked = { text, registry, sort, isFirstPage: after === undefined };
    const options = { found, asked, server: serverOf(externalUrl() ?? origin), isFiltered: sees !== undefined, nowMs: clock.now() };
    if (query.get("part") === "results") return { kind: "part", markup: repositoriesFragment(options) };
    return { kind: "page", page: { title: "Repositories", section: "repositories", body: repositoriesPage(options) } };
  }

  async repository(repository: Repository, { query, user, signal }: PageVisit): Promise<PageOutcome> {
    const { clock, activity } = this.#options;
    const pullerOf = (tag: Tag): string | undefined => (user?.isAdministrator === true ? activity?.lastPuller(repository, tag) : undefined);
    const text = textIn(query, "q").trim();
    const from = fromIn(query);
    const list = await this.#list(repository, query.get("list") === "manifests" ? "manifests" : "tags", { part: text, from, limit: entriesOnPage, signal });
    if (!list) throw new OciError("NAME_UNKNOWN", `nothing of ${repositoryName(repository)} is held`);
    const options: RepositoryPageOptions = { repository, list, text, from, limit: entriesOnPage, pullerOf, nowMs: clock.now() };
    if (query.get("part") === "results") return { kind: "part", markup: repositoryFragment(options) };
    return { kind: "page", page: { title: repositoryName(repository), section: "repositories", body: repositoryPage(options) } };
  }

  async image(repository: Repository, reference: Reference, { origin, signal }: PageVisit): Promise<PageOutcome> {
    const { browsing, clock, externalUrl } = this.#options;
    const image = await browsing.findImage(repository, reference, signal);
    const name = `${repositoryName(repository)}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}`;
    if (!image) throw new OciError("MANIFEST_UNKNOWN", `${name} is not held`);
    const body = imagePage({ repository, reference, image, origin: externalUrl() ?? origin, nowMs: clock.now() });
    return { kind: "page", page: { title: name, section: "repositories", body } };
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
}

function fromIn(query: URLSearchParams): number {
  const written = query.get("from") ?? "";
  return /^[0-9]{1,8}$/.test(written) ? Math.min(Number(written), fromMax) : 0;
}

/** Where the page before ended: a name, or a time and a name. */
function placeIn(written: string, sort: "name" | "used"): { readonly name: string; readonly usedAtMs: number } | undefined {
  if (written === "" || written.length > nameLengthMax) return undefined;
  if (sort === "name") return { name: written, usedAtMs: 0 };
  const [, time = "", name = ""] = /^([0-9]{1,15})~(.+)$/.exec(written) ?? [];
  return name === "" ? undefined : { name, usedAtMs: Number(time) };
}
