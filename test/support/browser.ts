/** Debian's Chromium, driven by playwright: it fetches nothing of its own, and what a page asks for is written down. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { chromium } from "playwright-core";
import { findProgram } from "./programs.ts";

export interface Viewer extends AsyncDisposable {
  readonly page: Page;
  /** Every URL that the page has asked for. */
  readonly requests: readonly string[];
  /** What its console said of errors: a script or a style that was refused shows here. */
  readonly complaints: readonly string[];
}

export interface ViewerOptions {
  readonly width?: number;
  readonly scheme?: "light" | "dark";
  readonly javaScript?: boolean;
}

/** Starts it. Close it. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = findProgram("chromium");
  if (executablePath === undefined) throw new Error("chromium is not installed");
  // As root it has no sandbox; and what it would look for by itself is nowhere.
  const args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-dev-shm-usage"];
  return await chromium.launch({ executablePath, args });
}

/** A window of its own, with no cookies and nothing remembered. */
export async function openViewer(browser: Browser, { width = 1280, scheme = "light", javaScript = true }: ViewerOptions = {}): Promise<Viewer> {
  const context: BrowserContext = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    javaScriptEnabled: javaScript,
  });
  const page = await context.newPage();
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  return { page, requests, complaints, [Symbol.asyncDispose]: () => context.close() };
}
