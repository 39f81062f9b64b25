/** Page checks: what must be true of every page, at whatever width and in whichever colours. */
import axe from "axe-core";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { Viewer, ViewerOptions } from "./browser.ts";

const everyView = [
  { width: 1280, scheme: "light" },
  { width: 390, scheme: "dark" },
  { width: 1280, scheme: "dark" },
  { width: 390, scheme: "light" },
] as const satisfies readonly ViewerOptions[];

/** How people look at pages: at both widths and in both colours; in every pair of them with ALL_VIEWS=1, which takes half a minute more. */
export const views = process.env["ALL_VIEWS"] ? everyView : everyView.slice(0, 2);

/** Two of the views have both widths and both colours: what is long is the same to axe in the others, and takes it many seconds. */
export function isLookedAtLong({ width, scheme }: Required<Pick<ViewerOptions, "width" | "scheme">>): boolean {
  return (width === 1280) === (scheme === "light");
}

/** Problems of level A or AA that axe finds, by rule and place. */
export async function problemsOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  const found = (await page.evaluate(`axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"] })`)) as {
    readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
  };
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}

/** That the page which is shown is no wider than the window, asks nobody but `origins`, and that the console says nothing, or `told`. */
export async function expectWell({ page, requests, complaints }: Viewer, origins: readonly string[], told: readonly unknown[] = []): Promise<void> {
  const { pathname, search } = new URL(page.url());
  const path = `${pathname}${search}`;
  expect([path, requests.filter((url) => !origins.includes(new URL(url).origin))]).toEqual([path, []]);
  expect([path, complaints]).toEqual([path, told]);
  expect([path, await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")]).toEqual([path, true]);
}
