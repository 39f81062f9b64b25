/** The page of somebody's own keys and sessions: what its forms do, without a script and with a browser, and for whom they do nothing. */
import type { Browser } from "playwright-core";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openViewer, startBrowser } from "../support/browser.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { basic, startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { startOurServer } from "../support/our-server.ts";
import { runProcess, type RunResult } from "../support/processes.ts";
import { requirePrograms } from "../support/programs.ts";
import { startRedis } from "../support/redis.ts";

const accountPath = "/home/account";
const closed = "/v2/team/app/manifests/1";
const accessControl = { repositories: { "**": { policies: [{ users: ["alice"], actions: ["read"] }] } } };
const auth = { htpasswd: { path: "HTPASSWD" }, apikey: true };
const wished = { label: "laptop", ends: "30", repositories: "team/**", "read-only": "yes" };

async function signedIn({ server }: Pick<GuardedServer, "server">, user = "alice", headers: Readonly<Record<string, string>> = {}): Promise<CookieBrowser> {
  const browser = new CookieBrowser(server.url);
  const answer = await browser.ask("/zot/auth/login", { form: { username: user, password: `${user}-password` }, from: server.url, headers });
  expect(answer.status).toBe(303);
  return browser;
}

async function made(browser: CookieBrowser, form: Readonly<Record<string, string>> = wished): Promise<{ readonly key: string; readonly text: string }> {
  const answer = await browser.submit(`${accountPath}/keys`, form);
  const text = await answer.text();
  expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store, private"]);
  const [key = ""] = /zak_[0-9a-f]{32}/.exec(text) ?? [];
  expect(key).not.toBe("");
  return { key, text };
}

async function shown(browser: CookieBrowser): Promise<string> {
  return await (await browser.ask(accountPath)).text();
}

function idsIn(text: string): readonly string[] {
  return [...text.matchAll(/name="id"\s+value="([^"]+)"/g)].map(([, id = ""]) => id);
}

/** A session's is no UUID. */
function keysIn(text: string): readonly string[] {
  return idsIn(text).filter((id) => id.length === 36);
}

describe.runIf(requirePrograms("htpasswd"))("somebody's own page", () => {
  let guarded: GuardedServer;

  beforeAll(async () => {
    guarded = await startGuardedServer({ repositories: ["team/app", "other/app"], users: ["alice", "bob"], config: { auth, accessControl } });
  });
  afterAll(() => guarded?.[Symbol.asyncDispose]());

  const statusWith = async (key: string, path = closed): Promise<number> => {
    const answer = await guarded.get(path, { authorization: basic("alice", key) });
    await answer.arrayBuffer();
    return answer.status;
  };

  test("makes a key that is shown once, opens what was asked for and no more, and is good until it is revoked there", async () => {
    const browser = await signedIn(guarded);
    const { key, text } = await made(browser);
    expect(text).toContain(`docker login --username alice --password-stdin ${guarded.server.host}`);
    expect([await statusWith(key), await statusWith(key, "/v2/other/app/manifests/1")]).toEqual([200, 403]);
    const page = await shown(browser);
    for (const word of ["laptop", "pulling in", "<code>team/**</code>", "in 30 days"]) expect([word, page.includes(word)]).toEqual([word, true]);
    // Neither the page, nor the address that the form was sent to, tells it again.
    expect(page).not.toContain(key);
    const again = await browser.ask(`${accountPath}/keys`);
    expect([again.status, again.headers.get("location")]).toEqual([303, accountPath]);
    const [id = ""] = keysIn(page);
    const answer = await browser.submit(`${accountPath}/keys/revoke`, { id });
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `${accountPath}?done=revoked`]);
    await expect.poll(() => statusWith(key), { timeout: 5_000 }).toBe(401);
    expect(keysIn(await shown(browser))).toEqual([]);
  });

  test("says what is wrong at the field that it is in, keeps what was typed, and makes nothing", async () => {
    const browser = await signedIn(guarded);
    const cases = [
      [{ ...wished, label: " " }, "label", "A key has a name, by which you tell it from others."],
      [{ ...wished, label: "two\nlines" }, "label", "Label is to be text in one line, of 256 characters at most."],
      [{ ...wished, repositories: "[team" }, "repositories", "has a [ without a ]."],
      [{ ...wished, repositories: `library/* ${"x".repeat(2_050)}` }, "repositories", "at most 2048."],
    ] as const;
    for (const [form, field, problem] of cases) {
      const answer = await browser.submit(`${accountPath}/keys`, form);
      const text = await answer.text();
      expect([problem, answer.status]).toEqual([problem, 400]);
      expect(text).toMatch(new RegExp(`name="${field}"[^>]*aria-describedby="${field}-hint ${field}-problem"[^>]*aria-invalid="true"`));
      expect(/id="(?:label|repositories)-problem">([^<]*)</.exec(text)?.[1]?.replaceAll("&quot;", '"')).toContain(problem);
      expect(text).toContain(`value="${form.repositories}"`);
      expect(text).not.toContain("zak_");
    }
    expect(keysIn(await shown(browser))).toEqual([]);
  });

  test("gives no key for ever but to who has chosen that", async () => {
    const browser = await signedIn(guarded);
    for (const [ends, text] of [
      ["never", "no end"],
      ["365", "in 1 year"],
      ["", "in 3 months"],
      ["something", "in 3 months"],
    ] as const) {
      await made(browser, { label: "ends", ends });
      const page = await shown(browser);
      expect([ends, page.includes(text)]).toEqual([ends, true]);
      for (const id of keysIn(page)) await browser.submit(`${accountPath}/keys/revoke`, { id });
    }
  });

  test("says so when there are as many keys as there may be", async () => {
    const browser = await signedIn(guarded, "bob");
    for (let number = 0; number < 100; number++) await made(browser, { label: `key ${number}` });
    const answer = await browser.submit(`${accountPath}/keys`, { label: "one more" });
    const text = await answer.text();
    expect([answer.status, text.includes("Bob has 100 keys already"), text.includes('value="one more"')]).toEqual([400, true, true]);
  });

  test("says that something was done to whoever did it, and not by a mere link", async () => {
    const browser = await signedIn(guarded);
    const said = async (headers: Readonly<Record<string, string>>): Promise<boolean> =>
      (await (await browser.ask(`${accountPath}?done=revoked`, { headers })).text()).includes("The key is revoked");
    expect(await Promise.all([said({ "sec-fetch-site": "same-origin" }), said({ "sec-fetch-site": "cross-site" }), said({})])).toEqual([true, false, false]);
  });

  test("shows where one is signed in, and ends it there", async () => {
    const others = [await signedIn(guarded, "alice", { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" })];
    const browser = await signedIn(guarded, "alice", { "user-agent": "curl/8.0" });
    const page = await shown(browser);
    expect(page).toContain("Firefox on Linux");
    expect(page.match(/this one/g)).toHaveLength(1);
    const before = idsIn(page).length;
    const [id = ""] = [...page.matchAll(/Firefox on Linux[\s\S]*?name="id"\s+value="([^"]+)"/g)].map(([, found = ""]) => found);
    expect((await browser.submit(`${accountPath}/sessions/end`, { id })).headers.get("location")).toBe(`${accountPath}?done=ended`);
    expect((await others[0]?.ask(accountPath))?.headers.get("location")).toBe(`/login?callback_ui=${encodeURIComponent(accountPath)}`);
    expect(idsIn(await shown(browser))).toHaveLength(before - 1);
    others.push(await signedIn(guarded));
    expect((await browser.submit(`${accountPath}/sessions/end-others`, {})).headers.get("location")).toBe(`${accountPath}?done=others-ended`);
    expect((await others[1]?.ask(accountPath))?.status).toBe(303);
    const left = await shown(browser);
    expect([left.includes("this one"), idsIn(left)]).toEqual([true, []]);
  });

  test("is nobody else's: what bob sends ends nothing of alice's", async () => {
    const [alice, bob] = [await signedIn(guarded), await signedIn(guarded, "bob")];
    await signedIn(guarded);
    const { key } = await made(alice);
    const page = await shown(alice);
    for (const id of idsIn(page)) {
      await bob.submit(`${accountPath}/keys/revoke`, { id });
      await bob.submit(`${accountPath}/sessions/end`, { id });
    }
    expect(await statusWith(key)).toBe(200);
    expect(idsIn(await shown(alice))).toEqual(idsIn(page));
    expect((await shown(bob)).includes("<code>team/**</code>")).toBe(false);
  });

  test("takes no form of a page of another site, nor of nobody, nor anything that is no form of it", async () => {
    const browser = await signedIn(guarded);
    const { key } = await made(browser);
    const [id = ""] = keysIn(await shown(browser));
    const forms = [
      ["keys", wished],
      ["keys/revoke", { id }],
      ["sessions/end", { id }],
      ["sessions/end-others", {}],
    ] as const;
    for (const [path, form] of forms) {
      const send = async (headers: Readonly<Record<string, string>>, from?: string): Promise<number> => {
        const answer = await browser.ask(`${accountPath}/${path}`, { form, headers, ...(from === undefined ? {} : { from }) });
        return answer.status;
      };
      // A cookie counts for a form of our own page alone; a password, which browsers remember too, for no form of another's.
      const toSignIn = 303;
      expect([path, await send({}, "https://evil.example")]).toEqual([path, toSignIn]);
      expect([path, await send({})]).toEqual([path, toSignIn]);
      expect([path, await send({ "sec-fetch-site": "cross-site" }, guarded.server.url)]).toEqual([path, toSignIn]);
      expect([path, await send({ authorization: basic("alice") }, "https://evil.example")]).toEqual([path, 403]);
      expect([path, await send({ authorization: basic("alice"), "sec-fetch-site": "same-site" })]).toEqual([path, 403]);
    }
    const own = { from: guarded.server.url };
    for (const path of ["/home", accountPath, `${accountPath}/else`, "/home/repositories"])
      expect([path, (await browser.ask(path, { form: { id }, ...own })).status]).toEqual([path, 405]);
    for (const method of ["PUT", "DELETE", "PATCH"]) expect((await browser.ask(`${accountPath}/keys`, { method, ...own })).status).toBe(405);
    expect((await browser.ask(`${accountPath}/keys`, { method: "POST", ...own, headers: { "content-type": "text/plain" } })).status).toBe(400);
    expect((await browser.submit(`${accountPath}/keys`, { label: "x".repeat(70_000) })).status).toBe(413);
    expect(await statusWith(key)).toBe(200);
    expect(idsIn(await shown(browser))).toContain(id);
    await browser.submit(`${accountPath}/keys/revoke`, { id });
  });

  test("is for its owner in person: a key sees nothing of it and changes nothing", async () => {
    const browser = await signedIn(guarded);
    const { key } = await made(browser, { label: "all of it" });
    const authorization = basic("alice", key);
    const page = await guarded.get(accountPath, { authorization });
    expect([page.status, (await page.text()).includes("all of it")]).toEqual([403, false]);
    const robot = new CookieBrowser(guarded.server.url);
    const answer = await robot.ask(`${accountPath}/keys`, { form: wished, headers: { authorization }, from: guarded.server.url });
    expect([answer.status, (await answer.text()).includes("zak_")]).toEqual([403, false]);
    // A password that came by Basic is a person's.
    expect((await guarded.get(accountPath, { user: "alice" })).status).toBe(200);
  });

  test.runIf(requirePrograms("redis-server", "redis-cli"))("says to come back later while nothing can be read or kept, and makes nothing of it", async () => {
    await using redis = await startRedis();
    const shared = { ...auth, sessionDriver: { name: "redis", url: redis.url, keyprefix: "tests" } };
    await using apart = await startGuardedServer({ users: ["alice"], config: { auth: shared, accessControl } });
    const browser = new CookieBrowser(apart.server.url);
    const headers = { authorization: basic("alice") };
    expect((await browser.ask(accountPath, { headers })).status).toBe(200);
    redis.freeze();
    const page = await browser.ask(accountPath, { headers });
    expect([page.status, (await page.text()).includes("Keys and sessions cannot be read or kept just now.")]).toEqual([503, true]);
    const answer = await browser.ask(`${accountPath}/keys`, { form: wished, from: apart.server.url, headers });
    expect([answer.status, (await answer.text()).includes("zak_")]).toEqual([503, false]);
    redis.goOn();
    await expect.poll(async () => (await browser.ask(accountPath, { headers })).status).toBe(200);
    expect(await (await browser.ask(accountPath, { headers })).text()).not.toContain("laptop</bdi>");
  });

  test("tells nobody without a name that it is there, where nobody can sign in", async () => {
    await using open = await startOurServer({ folder: await mkdtemp(join(guarded.folder, "open-")), config: {} });
    expect((await fetch(`${open.url}${accountPath}`)).status).toBe(404);
    expect((await fetch(`${open.url}${accountPath}/keys`, { method: "POST", body: new URLSearchParams(wished) })).status).toBe(405);
  });
});

describe.runIf(requirePrograms("htpasswd", "chromium", "skopeo"))("in a browser, and in skopeo", () => {
  let guarded: GuardedServer;
  let browser: Browser;

  beforeAll(async () => {
    guarded = await startGuardedServer({ repositories: ["team/app"], users: ["alice"], config: { auth, accessControl } });
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await guarded?.[Symbol.asyncDispose]();
  });

  test.each([
    { javaScript: true, width: 1280 },
    { javaScript: false, width: 390 },
  ])("a key is made, logged in with, revoked, and refused (script: $javaScript)", { timeout: 60_000 }, async (how) => {
    const { url, host } = guarded.server;
    await using viewer = await openViewer(browser, how);
    const { page } = viewer;
    await page.goto(`${url}${accountPath}`);
    await page.getByLabel("Name").fill("alice");
    await page.getByLabel("Password").fill("alice-password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Your keys and sessions" }).waitFor();
    await page.getByLabel("Name").fill("laptop");
    await page.getByRole("button", { name: "Make the key" }).click();
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    const key = (await page.locator("pre").first().innerText()).trim();
    expect(key).toMatch(/^zak_[0-9a-f]{32}$/);
    const line = (await page.locator("dd", { hasText: "skopeo login" }).locator("code").innerText()).trim();
    expect(line).toBe(`skopeo login --tls-verify=false --username alice --password-stdin ${host}`);

    const authFile = join(guarded.folder, `auth-${String(how.javaScript)}.json`);
    const logIn = async (): Promise<RunResult> => {
      const [program = "", ...words] = line.split(" ");
      return await runProcess(program, words, { input: `${key}\n`, env: { REGISTRY_AUTH_FILE: authFile } });
    };
    expect((await logIn()).code).toBe(0);
    const inspected = await runProcess("skopeo", ["inspect", "--tls-verify=false", "--authfile", authFile, `docker://${host}/team/app:1`]);
    expect([inspected.code, inspected.stdout.includes('"Digest"')]).toEqual([0, true]);

    await page.getByRole("link", { name: "back to your keys" }).click();
    expect(await page.content()).not.toContain(key);
    await page.locator("summary", { hasText: "Revoke" }).click();
    await page.getByRole("button", { name: "Yes, revoke it" }).click();
    await page.getByRole("status").filter({ hasText: "The key is revoked" }).waitFor();
    // Within two seconds.
    await expect.poll(async () => (await logIn()).stderr, { timeout: 5_000 }).toContain("invalid username/password");
    expect(viewer.requests.filter((asked) => new URL(asked).origin !== url)).toEqual([]);
  });

  test("going back shows the key no more", { timeout: 60_000 }, async () => {
    const { url } = guarded.server;
    await using viewer = await openViewer(browser);
    const { page } = viewer;
    await page.goto(`${url}${accountPath}`);
    await page.getByLabel("Name").fill("alice");
    await page.getByLabel("Password").fill("alice-password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByLabel("Name").fill("seen once");
    await page.getByRole("button", { name: "Make the key" }).click();
    const key = (await page.locator("pre").first().innerText()).trim();
    await page.getByRole("link", { name: "back to your keys" }).click();
    await page.getByRole("heading", { name: "Your keys and sessions" }).waitFor();
    const before = page.url();
    await page.goBack({ waitUntil: "load" }).catch(() => {}); // A form's answer that may not be kept is an error in itself.
    await expect.poll(() => page.url()).not.toBe(before);
    await page.waitForLoadState();
    expect(await page.content()).not.toContain(key);
  });
});
