/** The activity: what a real server tells its administrators of its clients, while they come, and tells nobody else. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openViewer, startBrowser } from "../support/browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { requirePrograms } from "../support/programs.ts";

const config = {
  auth: { htpasswd: { path: "HTPASSWD" }, apikey: true },
  accessControl: {
    repositories: { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] } },
    adminPolicy: { users: ["root"], actions: ["read"] },
  },
};

describe.runIf(requirePrograms("htpasswd", "chromium"))("the activity", () => {
  let guarded: GuardedServer;
  let browser: Browser;

  beforeAll(async () => {
    guarded = await startGuardedServer({ repositories: ["team/app", "secret/plan"], users: ["alice", "bob", "root"], config });
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await guarded?.[Symbol.asyncDispose]();
  });

  const get = async (path: string, authorization?: string): Promise<readonly [number, string]> => {
    const answer = await guarded.get(path, authorization === undefined ? {} : { authorization });
    return [answer.status, await answer.text()];
  };

  test("shows who pulled what from where, and who was refused, to administrators alone", async () => {
    await get("/v2/team/app/manifests/1", basic("alice"));
    await get("/v2/team/app/manifests/1", basic("alice"));
    await get("/v2/secret/plan/manifests/1", basic("bob"));
    await get("/v2/team/app/manifests/1", basic("alice", "not her password"));
    guarded.upstream.forget();
    const [status, page] = await get("/home/activity", basic("root"));
    expect(status).toBe(200);
    const lines = page.split("<tr>").slice(2);
    const lineOf = (...words: readonly string[]): string | undefined => lines.find((line) => words.every((word) => line.includes(word)));
    expect(lineOf("team/app", "<bdi>alice</bdi>", "127.0.0.1", "allowed")).toMatch(/class="number wide">2</);
    expect(lineOf("secret/plan", "<bdi>bob</bdi>", "denied")).toBeDefined();
    expect(lineOf("team/app", "nobody known", "denied")).toBeDefined();
    expect(page).not.toContain("not her password");
    expect((await get("/home/repositories/docker.io/team/app", basic("root")))[1]).toContain("by <bdi>alice</bdi>");
    expect((await get("/home/repositories/docker.io/team/app", basic("alice")))[1]).not.toContain("by <bdi>");
    // A page tells of clients: it asks nobody.
    expect(guarded.upstream.requests).toEqual([]);
  });

  test("is not there for anybody else, not even by an administrator's key that may do less", async () => {
    const none = await get("/home/activities", basic("alice"));
    expect(await get("/home/activity", basic("alice"))).toEqual(none);
    expect((await guarded.get("/home/activity")).status).toBe(303);
    const made = await guarded.get("/zot/auth/apikey", { method: "POST", user: "root" });
    expect(made.status).toBe(400);
    const answer = await fetch(`${guarded.server.url}/zot/auth/apikey`, {
      method: "POST",
      headers: { authorization: basic("root") },
      body: JSON.stringify({ label: "less", scope: { actions: ["read"] } }),
    });
    const { apiKey } = (await answer.json()) as { readonly apiKey: string };
    const [status, text] = await get("/home/activity", basic("root", apiKey));
    expect([status, text.includes("secret/plan")]).toEqual([404, false]);
  });

  test.each([1280, 390])("renews itself while somebody looks, at %i pixels", { timeout: 30_000 }, async (width) => {
    const { url } = guarded.server;
    await using viewer = await openViewer(browser, { width });
    const { page } = viewer;
    await page.goto(`${url}/login?callback_ui=/home/activity`);
    await page.getByLabel("Name").fill("root");
    await page.getByLabel("Password").fill("root-password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Activity" }).waitFor();
    await get(`/v2/team/at-${width}/manifests/1`, basic("alice"));
    await page.getByRole("link", { name: `team/at-${width}` }).waitFor();
    await page.getByRole("searchbox").fill(`at-${width}`);
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("1 in all.").waitFor();
    await get(`/v2/team/other-at-${width}/manifests/1`, basic("alice"));
    await page.getByText("2 in all.").waitFor();
    expect(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")).toBe(true);
    expect([viewer.complaints, viewer.requests.filter((asked) => new URL(asked).origin !== url)]).toEqual([[], []]);
  });
});
