/** The pages of who is signed in, in Chromium: somebody's own, and the activity; at two widths and in two colour schemes, empty and full, checked by axe. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openViewer, startBrowser, type Viewer } from "../support/browser.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { expectWell, isLookedAtLong, problemsOf, views } from "../support/page-checks.ts";
import { requirePrograms } from "../support/programs.ts";

const config = {
  logLevel: "info",
  auth: { htpasswd: { path: "HTPASSWD" }, apikey: true },
  accessControl: {
    repositories: { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] } },
    adminPolicy: { users: ["empty", "few", "many"], actions: ["read"] },
  },
};
/** Text of others, as bad as it gets. */
const hostile = `"><img src=x onerror="document.title='taken'">`;

describe.runIf(requirePrograms("htpasswd", "chromium"))("signed in", () => {
  let browser: Browser;
  /** With nothing to tell, three things, and three thousand. */
  let servers: Readonly<Record<"empty" | "few" | "many", GuardedServer>>;

  beforeAll(async () => {
    browser = await startBrowser();
    const start = (): Promise<GuardedServer> =>
      startGuardedServer({ repositories: ["team/app"], users: ["alice", "bob", "empty", "few", "many"], config, registries: noUpstream });
    const [empty, few, many] = await Promise.all([start(), start(), start()]);
    servers = { empty, few, many };
    await Promise.all([useIt(few, { user: "few", keys: 3, requests: 3 }), useIt(many, { user: "many", keys: 100, requests: 3_000 })]);
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await Promise.all(Object.values(servers ?? {}).map((server) => server[Symbol.asyncDispose]()));
  });

  async function signIn({ page }: Viewer, { server }: GuardedServer, user: string): Promise<void> {
    await page.goto(`${server.url}/login?callback_ui=/home/account`);
    await page.getByLabel("Name").fill(user);
    await page.getByLabel("Password").fill(`${user}-password`);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Your keys and sessions" }).waitFor();
  }

  test.each(views)("every page is well at $width pixels in $scheme, with nothing, a little and a lot in it", { timeout: 180_000 }, async (view) => {
    for (const user of ["empty", "few", "many"] as const) {
      const guarded = servers[user];
      const { url } = guarded.server;
      await using viewer = await openViewer(browser, view);
      const { page } = viewer;
      const expectGood = async (told: readonly unknown[] = []): Promise<void> => {
        await expectWell(viewer, [url], told);
        if (user !== "many" || isLookedAtLong(view)) expect([user, page.url(), await problemsOf(page)]).toEqual([user, page.url(), []]);
        expect(await page.title()).not.toBe("taken");
      };
      await page.goto(`${url}/login?error=wrong`);
      await page.getByRole("alert").waitFor();
      await expectGood();
      await signIn(viewer, guarded, user);
      await expectGood();
      for (const path of ["/home/account?done=revoked", "/home/activity", "/home/activity?q=nothing+has+this"]) {
        await page.goto(`${url}${path}`);
        await expectGood();
      }
      if (user === "many") continue;
      await page.goto(`${url}/home/account`);
      await page.getByLabel("Name").fill(`${hostile} ${view.width} ${view.scheme}`);
      await page.getByRole("button", { name: "Make the key" }).click();
      await page.getByRole("heading", { name: "Your new key" }).waitFor();
      await expectGood();
      await page.getByRole("link", { name: "back to your keys" }).click();
      await page.locator("summary", { hasText: `${view.width} ${view.scheme}` }).click();
      await expectGood();
      await page.getByRole("button", { name: `${view.width} ${view.scheme}` }).click();
      await page.getByRole("status").filter({ hasText: "The key is revoked" }).waitFor();
      await page.getByLabel("Name").fill("wrong");
      await page.getByLabel("Repositories").fill("[");
      await page.getByRole("button", { name: "Make the key" }).click();
      await page.getByText("has a [ without a ]").waitFor();
      // What went wrong is told by the status too, which a browser's console repeats.
      const told = [expect.stringContaining("400")];
      await expectGood(told);
      await page.goto(`${url}/home/device`);
      await expectGood(told);
      await page.goto(`${url}/home/none`);
      await expectGood([...told, expect.stringContaining("404")]);
    }
  });

  test("a keyboard makes a key and revokes it, and what is wrong is told where one is", { timeout: 60_000 }, async () => {
    const guarded = servers.empty;
    await using viewer = await openViewer(browser);
    const { page } = viewer;
    await signIn(viewer, guarded, "bob");
    await page.getByLabel("Name").focus();
    await page.keyboard.type("by keyboard");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.type("[");
    await page.keyboard.press("Enter");
    await page.getByText("has a [ without a ]").waitFor();
    expect(await page.evaluate("[document.activeElement.name, document.activeElement.getAttribute('aria-invalid')].join()")).toBe("repositories,true");
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.press("Delete");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    await page.getByRole("link", { name: "back to your keys" }).press("Enter");
    await page.locator("summary").press("Enter");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("status").filter({ hasText: "The key is revoked" }).waitFor();
  });
});

/** Nothing is pulled here: a name that nobody may read needs no upstream. */
const noUpstream = (): readonly object[] => [{ name: "docker.io", endpoints: ["http://127.0.0.1:9"], originFallback: false }];

async function useIt(guarded: GuardedServer, { user, keys, requests }: { user: string; keys: number; requests: number }): Promise<void> {
  const owner = new CookieBrowser(guarded.server.url);
  await owner.submit("/zot/auth/login", { username: user, password: `${user}-password` });
  for (let number = 0; number < keys; number++) {
    const form = {
      label: number === 0 ? hostile : `key ${number}`,
      repositories: number % 2 === 0 ? "" : "team/** library/*",
      ends: number % 3 === 0 ? "never" : "30",
    };
    const answer = await owner.submit("/home/account/keys", form);
    expect(answer.status).toBe(200);
  }
  const authorization = basic("bob");
  for (let number = 0; number < requests; number += 50) {
    const batch = Array.from({ length: Math.min(50, requests - number) }, async (_, at) => {
      const answer = await guarded.get(`/v2/secret/plan-${number + at}/manifests/1.0`, { authorization });
      await answer.arrayBuffer();
      return answer.status;
    });
    expect(new Set(await Promise.all(batch))).toEqual(new Set([403]));
  }
}
