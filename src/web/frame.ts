/** Frame: what every page has around it: its head, the way to the other pages, who is signed in. */
import { accountPath, activityPath, homePath, repositoriesPath, signInPath, signOutPath, upstreamsPath } from "./addresses.ts";
import type { SiteAssets } from "./assets.ts";
import { html, nothing, plainText, type Markup } from "./markup.ts";

/** Somebody with a name. */
export interface PageUser {
  readonly name: string;
  /** Whether a cookie tells who it is: that can be ended. */
  readonly hasSession: boolean;
  /** Whether there is a page of what is this person's own. */
  readonly hasAccount?: boolean;
  readonly isAdministrator?: boolean;
}

/** What is the same on every page of a visit. */
export interface FrameOptions {
  readonly assets: Pick<SiteAssets, "stylesheetPath" | "scriptPath" | "iconPath">;
  readonly version: string;
  /** Who looks; undefined: somebody without a name. */
  readonly user: PageUser | undefined;
  /** Whether there is a page to sign in at. */
  readonly canSignIn: boolean;
}

export interface FramedPage {
  readonly title: string;
  /** Which entry of the navigation it belongs to. */
  readonly section: "overview" | "repositories" | "upstreams" | "activity" | "account" | undefined;
  readonly body: Markup;
}

const sections = [
  { section: "overview", path: homePath, title: "Overview" },
  { section: "repositories", path: repositoriesPath, title: "Repositories" },
  { section: "upstreams", path: upstreamsPath, title: "Upstreams" },
] as const;

const administrators = [{ section: "activity", path: activityPath, title: "Activity" }] as const;

type Section = (typeof sections)[number] | (typeof administrators)[number];

/** A whole page. */
export function framed({ title, section, body }: FramedPage, { assets, version, user, canSignIn }: FrameOptions): Markup {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · ociregistry</title>
        <link rel="stylesheet" href="${assets.stylesheetPath}" />
        <link rel="icon" href="${assets.iconPath}" type="image/svg+xml" />
        <script src="${assets.scriptPath}" defer></script>
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header class="top">
          <a class="brand" href="${homePath}"><img src="${assets.iconPath}" alt="" width="24" height="24" />ociregistry</a>
          <nav aria-label="Pages">
            <ul>
              ${[...sections, ...(user?.isAdministrator === true ? administrators : [])].map((entry) => navigation(entry, section))}
            </ul>
          </nav>
          ${userMarkup(user, section, canSignIn)}
        </header>
        <main id="content" tabindex="-1">${body}</main>
        <footer><p class="muted">ociregistry ${version}</p></footer>
      </body>
    </html> `;
}

function navigation({ section, path, title }: Section, current: FramedPage["section"]): Markup {
  return html`<li><a href="${path}" ${section === current ? html` aria-current="page"` : nothing}>${title}</a></li>`;
}

function userMarkup(user: PageUser | undefined, section: FramedPage["section"], canSignIn: boolean): Markup {
  if (user) {
    const name = html`<span class="unseen">Signed in as </span><bdi>${plainText(user.name)}</bdi>`;
    const current = section === "account" ? html` aria-current="page"` : nothing;
    return html`<div class="user">
      <p>${user.hasAccount === true ? html`<a href="${accountPath}" ${current} title="Your keys and sessions">${name}</a>` : name}</p>
      ${user.hasSession ? html`<form action="${signOutPath}" method="post"><button type="submit" class="copy">Sign out</button></form>` : nothing}
    </div>`;
  }
  return canSignIn ? html`<p class="user"><a href="${signInPath}">Sign in</a></p>` : nothing;
}
