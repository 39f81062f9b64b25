/** Letting a terminal in, in Debian's Chromium: from the code to the key, at two widths and in two colour schemes, checked by axe, and without a script. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openViewer, startBrowser, type Viewer } from "../support/browser.ts";
import { askDevice, pollDevice } from "../support/device-client.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { expectWell, problemsOf, views } from "../support/page-checks.ts";
import { requirePrograms } from "../support/programs.ts";

const page = "/home/device";
const config = {
  auth: { htpasswd: { path: "HTPASSWD" }, apikey: true },
  accessControl: { repositories: { "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] }, "open/**": { anonymousPolicy: ["read"] } } },
};

describe.runIf(requirePrograms("chromium", "htpasswd"))("a terminal, in a browser", () => {
  let guarded: GuardedServer;
  let browser: Browser;
  let url: string;
  beforeAll(async () => {
    guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config });
    url = guarded.server.url;
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await guarded?.[Symbol.asyncDispose]();
  });

  /** Opens an address of ours, and signs in on the way. */
  async function open({ page: window }: Viewer, address: string): Promise<void> {
    await window.goto(address);
    await window.getByLabel("Name").fill("alice");
    await window.getByLabel("Password").fill("alice-password");
    await window.getByRole("button", { name: "Sign in" }).click();
    await window.waitForURL(address);
  }

  test.each(views)("every step is well at $width pixels in $scheme", { timeout: 90_000 }, async (view) => {
    await using viewer = await openViewer(browser, view);
    const { page: window } = viewer;
    const { deviceCode, userCode } = await askDevice(url, {
      host: "a-machine-with-a-name-as-long-as-names-of-machines-get.example.com".slice(0, 64),
      label: "W".repeat(100),
    });
    await open(viewer, `${url}${page}`);
    await expectWell(viewer, [url]);
    await window.getByLabel("Code").fill(userCode.replace("-", " ").toLowerCase());
    await window.getByRole("button", { name: "Go on" }).click();
    await window.getByRole("heading", { name: "Let this terminal in?" }).waitFor();
    expect(await window.locator("p.code").textContent()).toBe(userCode);
    await expectWell(viewer, [url]);
    await window.getByText("Approve", { exact: true }).click();
    await expectWell(viewer, [url]);
    await window.getByRole("button", { name: "let it in" }).click();
    await window.getByRole("heading", { name: "The terminal is let in" }).waitFor();
    await expectWell(viewer, [url]);
    const { key = "" } = await pollDevice(url, deviceCode);
    expect((await guarded.get("/v2/team/app/manifests/1", { authorization: basic("alice", key) })).status).toBe(200);
    await window.getByRole("link", { name: "Your keys" }).click();
    await window.getByRole("heading", { name: "Your keys and sessions" }).waitFor();
    expect(await window.getByText("W".repeat(100)).count()).toBeGreaterThan(0);
    // A used code is a wrong one, and the page says so where the code was typed.
    await window.goto(`${url}${page}?user_code=${userCode}`);
    await window.getByRole("alert").waitFor();
    expect(await problemsOf(window)).toEqual([]);
    expect(await window.evaluate("document.documentElement.scrollWidth <= window.innerWidth")).toBe(true);
  });

  test("without a script, and by the keyboard alone, a terminal is refused", async () => {
    await using viewer = await openViewer(browser, { javaScript: false });
    const { page: window } = viewer;
    const { deviceCode, completeUrl } = await askDevice(url);
    await open(viewer, completeUrl);
    await window.getByText("Approve", { exact: true }).focus();
    await window.keyboard.press("Tab");
    await window.keyboard.press("Enter");
    await window.getByRole("heading", { name: "The terminal is refused" }).waitFor();
    expect((await pollDevice(url, deviceCode)).error).toBe("access_denied");
    // Neither going back nor asking anew decides anything again.
    await window.goBack();
    await window.reload();
    expect(await window.getByRole("alert").count()).toBe(1);
  });

  test("somebody who is signed out meanwhile signs in again, and the code is still there", async () => {
    await using viewer = await openViewer(browser);
    const { page: window } = viewer;
    const { deviceCode, userCode, completeUrl } = await askDevice(url);
    await open(viewer, completeUrl);
    await window.context().clearCookies();
    await window.getByText("Approve", { exact: true }).click();
    await window.getByRole("button", { name: "let it in" }).click();
    await window.waitForURL("**/login?**");
    await window.getByLabel("Name").fill("alice");
    await window.getByLabel("Password").fill("alice-password");
    await window.getByRole("button", { name: "Sign in" }).click();
    await window.locator("p.code", { hasText: userCode }).waitFor();
    expect((await pollDevice(url, deviceCode)).error).toBe("authorization_pending");
  });

  test("a page of another site approves nothing, though the browser is signed in", async () => {
    await using viewer = await openViewer(browser);
    const { page: window } = viewer;
    const { deviceCode, userCode, completeUrl } = await askDevice(url);
    await open(viewer, completeUrl);
    const foreign = "http://evil.example.test/";
    const fields = `<input name="user_code" value="${userCode}"><button name="decision" value="approve">Go</button>`;
    await window.route(foreign, (route) => route.fulfill({ contentType: "text/html", body: `<form action="${url}${page}" method="post">${fields}</form>` }));
    await window.goto(foreign);
    await window.getByRole("button", { name: "Go" }).click();
    await window.waitForURL((address) => address.origin === url);
    expect((await pollDevice(url, deviceCode)).error).toBe("authorization_pending");
  });
});
