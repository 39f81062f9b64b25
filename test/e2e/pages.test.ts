/** The pages in Debian's Chromium: at two widths and in two colour schemes, empty and full, checked by axe, with a keyboard, and without a script. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openViewer, startBrowser, type Viewer } from "../support/browser.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startGuardedServer, type GuardedServer } from "../support/guarded-server.ts";
import { buildImage, buildIndex, seededBytes } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { expectWell, problemsOf, views } from "../support/page-checks.ts";
import { plantNames } from "../support/planted-names.ts";
import { requirePrograms } from "../support/programs.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const hostile = `<script>document.title = "taken"</script><img src=x onerror="document.title = 'taken'">`;
const amd64 = buildImage({ platform: "linux/amd64", annotations: { "org.example.title": hostile } });
const index = buildIndex([amd64, buildImage({ platform: "linux/arm64" })]);

describe.runIf(requirePrograms("chromium"))("in a browser", () => {
  let browser: Browser;
  let upstream: FakeUpstream;
  let folders: AsyncDisposableStack;
  let empty: OurServer;
  let few: OurServer;
  let many: OurServer;

  beforeAll(async () => {
    folders = new AsyncDisposableStack();
    upstream = folders.use(await startFakeUpstream());
    browser = await startBrowser();
    folders.defer(() => browser.close());
    const listed = [
      { name: upstream.host, scheme: "http", aliases: ["fake"] },
      { name: "away.example", endpoints: ["http://127.0.0.1:9"], originFallback: false },
      { name: "quiet.example" },
    ];
    const start = async (registries: readonly object[], store: (root: string) => void = () => {}): Promise<OurServer> => {
      const folder = folders.use(await temporaryFolder());
      store(`${folder.path}/store`);
      return folders.use(await startOurServer({ folder: folder.path, config: { registries, pruneConfig: { maxSize: "1GiB" } } }));
    };
    const others = Array.from({ length: 3_000 }, (_, number) => ({ name: `registry-${number}.example` }));
    [empty, few, many] = await Promise.all([
      start([]),
      start(listed),
      start([...listed, ...others], (root) => plantNames(root, { host: upstream.host, repositories: 3_000, tags: 3_000 })),
    ]);
    upstream.putImage("team/app", "1.0", index);
    upstream.putImage("team/app", "0.9", amd64);
    upstream.putImage("team/other", "1", amd64);
    await pull(few, "team/app", "1.0");
    await pull(few, "team/app", "0.9");
    await pull(few, "team/other", "1");
    await fetch(`${few.url}/v2/away.example/x/manifests/1`);
  });

  afterAll(async () => {
    await folders.disposeAsync();
  });

  /** Looks at a page, and at whatever must be true of every page. */
  async function look(viewer: Viewer, server: Pick<OurServer, "url">, path: string): Promise<Page> {
    const { page } = viewer;
    const answer = await page.goto(`${server.url}${path}`);
    expect([path, answer?.status()]).toEqual([path, 200]);
    // The icon of the page before may be asked for late.
    await expectWell(
      viewer,
      [empty, few, many, server].map(({ url }) => url),
    );
    return page;
  }

  test.each(views)("every page is well at $width pixels in $scheme, with nothing, a little and a lot in it", { timeout: 180_000 }, async (view) => {
    await using viewer = await openViewer(browser, view);
    const app = `/home/repositories/${upstream.host}/team/app`;
    const lots = `/home/repositories/${upstream.host}/library/lots`;
    const pages: readonly (readonly [OurServer, string])[] = [
      ...["/home", "/home/repositories", "/home/upstreams"].flatMap((path) => [empty, few, many].map((server) => [server, path] as const)),
      ...[app, `${app}?list=manifests`, `${app}:1.0`, `${app}:0.9`].map((path) => [few, path] as const),
      ...[lots, `${lots}?q=nothing`].map((path) => [many, path] as const),
    ];
    for (const [server, path] of pages) expect([path, await problemsOf(await look(viewer, server, path))]).toEqual([path, []]);
  });

  test("what an image says of itself is text: no script of somebody else's runs", async () => {
    await using viewer = await openViewer(browser);
    const page = await look(viewer, few, `/home/repositories/${upstream.host}/team/app:0.9`);
    expect(await page.title()).toBe(`${upstream.host}/team/app:0.9 · ociregistry`);
    expect(await page.getByText(hostile).count()).toBeGreaterThan(0);
    // Whatever might come into a page, the browser would not run it.
    await page.evaluate(`document.body.insertAdjacentHTML("beforeend", ${JSON.stringify(hostile)})`);
    await expect.poll(() => viewer.complaints.some((line) => line.includes("Content Security Policy"))).toBe(true);
    expect(await page.title()).not.toContain("taken");
  });

  test("a list is searched while somebody types, can be gone back to, and is told of", async () => {
    await using viewer = await openViewer(browser);
    const page = await look(viewer, many, "/home/repositories");
    await page.getByRole("searchbox", { name: "Name" }).pressSequentially("app-1234");
    await page.getByRole("status").filter({ hasText: "1 repository found" }).waitFor();
    await page.waitForURL("**/home/repositories?q=app-1234");
    await page.getByRole("link", { name: "app-1234" }).click();
    await page.getByRole("heading", { name: "team-4/app-1234" }).waitFor();
    await page.goBack();
    await page.getByRole("status").filter({ hasText: "1 repository found" }).waitFor();
    await page.getByRole("combobox", { name: "Order" }).selectOption("used");
    await page.waitForURL("**/home/repositories?q=app-1234&sort=used");
  });

  test("without a script everything can be read, searched and paged", async () => {
    await using viewer = await openViewer(browser, { javaScript: false });
    const page = await look(viewer, many, "/home/repositories");
    await page.getByRole("searchbox", { name: "Name" }).fill("app-1234");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("1 repository found").waitFor();
    await look(viewer, many, "/home/repositories");
    await page.getByRole("link", { name: "Next page" }).click();
    expect(await page.getByRole("table").getByRole("link").count()).toBe(50);
    expect(await page.getByRole("button", { name: "Copy" }).count()).toBe(0);
  });

  test("a keyboard reaches the content first, and then everything that can be used", async () => {
    await using viewer = await openViewer(browser);
    const page = await look(viewer, few, "/home/repositories");
    const focused = async (): Promise<unknown> => await page.evaluate("(document.activeElement?.textContent || document.activeElement?.name || '').trim()");
    const order: unknown[] = [];
    for (let step = 0; step < 9; step++) {
      await page.keyboard.press("Tab");
      order.push(await focused());
    }
    expect(order).toEqual([
      "Skip to the content",
      "ociregistry",
      "Overview",
      "Repositories",
      "Upstreams",
      "q",
      expect.stringContaining("All registries"),
      expect.stringContaining("By name"),
      "Search",
    ]);
  });

  test("a command is copied by its button", async () => {
    await using viewer = await openViewer(browser);
    await viewer.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await look(viewer, few, `/home/repositories/${upstream.host}/team/app:1.0`);
    await page.getByRole("button", { name: "Copy the command for podman" }).click();
    await page.getByRole("button", { name: "Copied the command for podman" }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(`podman pull --tls-verify=false ${few.host}/${upstream.host}/team/app:1.0`);
  });

  test("the overview shows a download come and go by itself", async () => {
    const bytes = seededBytes(2_000_000, "slow");
    const digest = upstream.putBlob("team/slow", bytes);
    const held = Promise.withResolvers<undefined>();
    upstream.when({ kind: "blob", repository: "team/slow" }, { holdBody: { atBytes: 1_000_000, until: held.promise } });
    await using viewer = await openViewer(browser);
    const page = await look(viewer, few, "/home");
    await page.getByText("Nothing is being fetched.").waitFor();
    const pulling = fetch(`${few.url}/v2/${upstream.host}/team/slow/blobs/${digest}`);
    await page.getByText("of 1.9 MiB").waitFor();
    await page.getByRole("progressbar", { name: `${upstream.host}/team/slow` }).waitFor();
    expect(await problemsOf(page)).toEqual([]);
    held.resolve(undefined);
    expect((await (await pulling).arrayBuffer()).byteLength).toBe(bytes.byteLength);
    await page.getByText("Nothing is being fetched.").waitFor();
  });

  describe("with users", () => {
    let guarded: GuardedServer;

    beforeAll(async () => {
      const repositories = {
        "team/**": { policies: [{ users: ["alice"], actions: ["read"] }] },
        "secret/**": { policies: [{ users: ["bob"], actions: ["read"] }] },
      };
      guarded = await startGuardedServer({
        repositories: ["team/app", "secret/plan"],
        users: ["alice", "bob"],
        config: { auth: { htpasswd: { path: "HTPASSWD" } }, accessControl: { repositories, adminPolicy: { users: [], actions: [] } } },
      });
      await guarded.get("/v2/team/app/manifests/1", { user: "alice" });
      await guarded.get("/v2/secret/plan/manifests/1", { user: "bob" });
    });

    afterAll(async () => {
      await guarded[Symbol.asyncDispose]();
    });

    test("each sees what he may pull, and of the rest not even that it is there", async () => {
      const text = async (path: string, user: string): Promise<readonly [number, string]> => {
        const answer = await guarded.get(path, { user });
        return [answer.status, await answer.text()];
      };
      const [, alices] = await text("/home/repositories", "alice");
      expect([alices.includes("team/app"), alices.includes("secret"), alices.includes("1 repository")]).toEqual([true, false, true]);
      const [, searched] = await text("/home/repositories?q=plan&part=results", "alice");
      expect([searched.includes("secret"), searched.includes("0 repositories found")]).toEqual([false, true]);
      const [, bobs] = await text("/home/repositories", "bob");
      expect([bobs.includes("team/app"), bobs.includes("secret/plan")]).toEqual([false, true]);
      for (const name of ["secret/plan", "secret/plan:1", "secret/none", "secret/none:1"]) {
        expect([name, (await text(`/home/repositories/docker.io/${name}`, "alice"))[0]]).toEqual([name, 403]);
      }
      expect((await text("/home/repositories/docker.io/team/app:1", "alice"))[0]).toBe(200);
    });

    test("whoever comes signs in, is where he wanted to go, and signs out", async () => {
      await using viewer = await openViewer(browser, { width: 390 });
      const { page } = viewer;
      await page.goto(`${guarded.server.url}/home/repositories?q=app`);
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      expect(await problemsOf(page)).toEqual([]);
      const signIn = async (password: string): Promise<void> => {
        await page.getByLabel("Name").fill("alice");
        await page.getByLabel("Password").fill(password);
        await page.getByRole("button", { name: "Sign in" }).click();
      };
      await signIn("wrong");
      await page.getByRole("alert").waitFor();
      expect(await problemsOf(page)).toEqual([]);
      await signIn("alice-password");
      await page.getByText("Signed in as alice").waitFor();
      expect(new URL(page.url()).search).toBe("?q=app");
      await page.getByText("1 repository found").waitFor();
      expect(await problemsOf(page)).toEqual([]);
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      await page.goto(`${guarded.server.url}/home`);
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      expect(viewer.requests.filter((url) => new URL(url).origin !== guarded.server.url)).toEqual([]);
    });

    test("a client that shows a name and a password with each request needs no page for it", async () => {
      const answer = await guarded.get("/home", { user: "alice" });
      expect([answer.status, (await answer.text()).includes("Sign out")]).toEqual([200, false]);
    });
  });
});

/** An image as a client pulls it, with its first child. */
async function pull({ url }: Pick<OurServer, "url">, repository: string, reference: string): Promise<void> {
  const at = `${url}/v2/fake/${repository}`;
  const manifest = (await (await fetch(`${at}/manifests/${reference}`)).json()) as Pulled;
  for (const { digest } of [...(manifest.config ? [manifest.config] : []), ...(manifest.layers ?? [])])
    await (await fetch(`${at}/blobs/${digest}`)).arrayBuffer();
  const [child] = manifest.manifests ?? [];
  if (child) await pull({ url }, repository, child.digest);
}

interface Pulled {
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
  readonly manifests?: readonly { readonly digest: string }[];
}
