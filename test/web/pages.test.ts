/** What pages say, and what they keep to themselves: a real store, rendered. */
import { describe, expect, test } from "vitest";
import type { AccessRecord } from "../../src/oci/access-record.ts";
import type { Overview } from "../../src/oci/overview.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { parseRegistryHost, repositoryName } from "../../src/oci/repository.ts";
import { parseTag } from "../../src/oci/tag.ts";
import { RecentActivity } from "../../src/operations/recent-activity.ts";
import type { PageVisit } from "../../src/web/page-visit.ts";
import { repositoryNamed } from "../support/deposited-images.ts";
import { buildArtifact, buildImage, buildIndex } from "../support/images.ts";
import { quietOverview, startMs, startShownPages } from "../support/shown-pages.ts";
import { TestClock } from "../support/test-clock.ts";

const amd64 = buildImage({ platform: "linux/amd64" });
const index = buildIndex([amd64, buildImage({ platform: "linux/arm64" })]);
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`;

describe("the repositories", () => {
  test("of an empty store are none, and a command says how to get one", async () => {
    await using rig = await startShownPages();
    const { status, html } = await rig.show("/home/repositories");
    expect(status).toBe(200);
    expect(html).toContain("Nothing is held yet.");
    expect(html).toContain("docker pull localhost:8080/docker.io/library/alpine:latest");
  });

  test("are listed with a link to each, and a search that finds nothing says so", async () => {
    await using rig = await startShownPages();
    await rig.put("a.example/team/app:1", amd64);
    const { html } = await rig.show("/home/repositories");
    expect(linksIn(html)).toContain("/home/repositories/a.example/team/app");
    expect((await rig.show("/home/repositories?q=App")).html).toContain("1 repository found");
    expect((await rig.show("/home/repositories?q=nothing")).html).toContain("Nothing that is held has such a name.");
  });

  test("are paged by links that carry what was asked for", async () => {
    await using rig = await startShownPages();
    for (let number = 0; number < 51; number++) await rig.put(`a.example/team/app-${String(number).padStart(2, "0")}:1`, amd64);
    const first = await rig.show("/home/repositories?q=app");
    const next = linksIn(first.html).find((href) => href.includes("after="));
    expect(next).toBe("/home/repositories?q=app&after=a.example%2Fteam%2Fapp-49");
    const second = await rig.show(next ?? "");
    expect(linksIn(second.html).filter((href) => href.includes("/team/"))).toEqual(["/home/repositories/a.example/team/app-50"]);
    const byUse = await rig.show("/home/repositories?sort=used");
    const later = await rig.show(linksIn(byUse.html).find((href) => href.includes("after=")) ?? "");
    expect(linksIn(later.html).filter((href) => href.includes("/team/"))).toHaveLength(1);
  });

  test("come in part for who is typing, without the frame", async () => {
    await using rig = await startShownPages();
    await rig.put("a.example/team/app:1", amd64);
    const { html } = await rig.show("/home/repositories?q=team&part=results");
    expect(html).toMatch(/^<div id="results" data-status="1 repository found">/);
    expect(html).not.toContain("<html");
  });
});

describe("a repository and its images", () => {
  test("show what is held of them", async () => {
    await using rig = await startShownPages();
    await rig.put("a.example/team/app:1.0", index);
    const repository = await rig.show("/home/repositories/a.example/team/app");
    expect(linksIn(repository.html)).toContain("/home/repositories/a.example/team/app:1.0");
    const { status, html } = await rig.show("/home/repositories/a.example/team/app:1.0");
    expect(status).toBe(200);
    for (const text of ["linux/amd64", "linux/arm64", index.manifest.descriptor.digest, "docker pull localhost:8080/a.example/team/app:1.0"]) {
      expect(html).toContain(text);
    }
    const child = await rig.show(`/home/repositories/a.example/team/app@${amd64.manifest.descriptor.digest}`);
    expect(child.html).toContain("/hello");
    expect(child.html).toContain(`docker pull localhost:8080/a.example/team/app@${amd64.manifest.descriptor.digest}`);
  });

  test("by https, and with an address of their own, are pulled from there", async () => {
    await using rig = await startShownPages({ externalUrl: () => "https://registry.example.com" });
    await rig.put("a.example/team/app:1", amd64);
    const { html } = await rig.show("/home/repositories/a.example/team/app:1");
    expect(html).toContain("podman pull registry.example.com/a.example/team/app:1");
    expect(html).toContain("ctr images pull registry.example.com/a.example/team/app:1");
    expect(html).not.toContain("--plain-http");
  });

  test("that are not held, or are no names at all, are not found", async () => {
    await using rig = await startShownPages();
    const targets = [
      "a.example/team/app",
      "a.example/team/app:1",
      "a.example",
      "A.example/x",
      "a.example/x@sha256:1",
      "a.example/%ff",
      "a.example/-x",
      "a.example/-x",
    ];
    for (const target of targets) expect([target, (await rig.show(`/home/repositories/${target}`)).status]).toEqual([target, 404]);
    expect((await rig.show("/home/elsewhere")).status).toBe(404);
  });

  test("that a visitor may not see are refused before anybody looks whether they are held", async () => {
    await using rig = await startShownPages();
    await rig.put("a.example/team/app:1", amd64);
    const refusals = await Promise.all(
      ["a.example/team/app", "a.example/team/app:1", "a.example/team/none", "a.example/team/none:1"].map((name) =>
        rig.show(`/home/repositories/${name}`, {
          user: { name: "eve", hasSession: false },
          refusalOf: (repository) => `eve may not read ${repositoryName(repository)}`,
        }),
      ),
    );
    expect(refusals.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect(refusals[1]?.html.replaceAll("team/app", "team/none")).toBe(refusals[3]?.html);
  });
});

describe("what an image says of itself", () => {
  test("is shown as text, whatever it is", async () => {
    await using rig = await startShownPages();
    const image = buildImage({ annotations: { [hostile]: hostile } });
    await rig.put("a.example/team/app:1", image);
    await rig.put("a.example/team/app", buildArtifact(image.manifest, { artifactType: hostile, payload: hostile }));
    const { html } = await rig.show("/home/repositories/a.example/team/app:1");
    expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(html).not.toMatch(/<script>|<img src=x|onerror=alert\(2\)>/);
  });

  test("and what somebody searches for comes back as text too", async () => {
    await using rig = await startShownPages();
    await rig.put("a.example/team/app:1", amd64);
    for (const path of ["/home/repositories", "/home/repositories/a.example/team/app"]) {
      const { html } = await rig.show(
        `${path}?${new URLSearchParams({ q: hostile, registry: hostile, after: hostile, sort: hostile, from: hostile }).toString()}`,
      );
      expect(html).not.toMatch(/<script>|<img src=x/);
    }
  });
});

describe("the overview", () => {
  const repository = repositoryNamed("a.example/team/app");
  const busy: Overview = {
    ...quietOverview,
    served: () => ({ sinceMs: startMs - 3_600_000, heldPulls: 999, upstreamPulls: 1, heldBytes: 5 * 1024 ** 3, upstreamBytes: 1024 }),
    downloads: () => [
      {
        repository,
        digest: parseDigest(`sha256:${"a".repeat(64)}`),
        state: "arriving",
        receivedBytes: 1024 ** 2,
        sizeBytes: 4 * 1024 ** 2,
        readers: 2,
        runningMs: 2_000,
      },
      {
        repository: repositoryNamed("a.example/secret"),
        digest: parseDigest(`sha256:${"b".repeat(64)}`),
        state: "waiting",
        receivedBytes: 0,
        sizeBytes: undefined,
        readers: 1,
        runningMs: 5,
      },
    ],
    upstreams: () => [
      { host: parseRegistryHost("a.example"), state: "ready" },
      { host: parseRegistryHost("b.example"), state: "failing", reason: "connection refused by 127.0.0.1:9", retryInMs: 1_500 },
    ],
    budgets: () => [{ host: undefined, takenBytes: 3 * 1024 ** 3, limitBytes: 4 * 1024 ** 3 }],
    disk: async () => ({ freeBytes: 1024 ** 3, totalBytes: 8 * 1024 ** 3 }),
    store: () => ({ writable: false, reason: "EROFS: read-only file system" }),
  };

  test("tells what is saved, fetched, ill and full", async () => {
    await using rig = await startShownPages({ overview: busy });
    const { html } = await rig.show("/home");
    for (const text of [
      "&gt;99%",
      "999 of 1,000 pulls",
      "5.0 GiB",
      "1.0 MiB of 4.0 MiB, 512 KiB/s",
      "2 readers",
      "waiting for its turn",
      "1 of 2 needs a look.",
      "connection refused by 127.0.0.1:9",
    ]) {
      expect(html).toContain(text);
    }
    for (const text of ["3.0 GiB of 4.0 GiB", "1.0 GiB free of 8.0 GiB", "not writable", "EROFS"]) expect(html).toContain(text);
  });

  test("names no download of what a visitor may not see: it is counted only", async () => {
    await using rig = await startShownPages({ overview: busy });
    const { html } = await rig.show("/home?part=live", { sees: ({ path }) => path === "team/app" });
    expect(html).toContain("a.example/team/app");
    expect(html).not.toContain("secret");
    expect(html).toContain("and 1 more");
    expect(html).not.toContain("<html");
  });
});

test("the upstreams show those that are ill first, and when they will be asked again", async () => {
  const overview: Overview = {
    ...quietOverview,
    upstreams: () => [
      { host: parseRegistryHost("a.example"), state: "ready", lastFailure: { atMs: startMs - 7_200_000, reason: "no answer within 5000 ms" } },
      { host: parseRegistryHost("b.example"), state: "throttled", reason: "b.example asked us to wait", retryInMs: 30_000 },
      { host: parseRegistryHost("c.example"), state: "ready", credential: { state: "held", expiresAtMs: startMs + 7_200_000 } },
      { host: parseRegistryHost("d.example"), state: "ready", quota: { remaining: 9, limit: 100, windowMs: 21_600_000, toldAtMs: startMs - 60_000 } },
    ],
  };
  await using rig = await startShownPages({ overview });
  const { html } = await rig.show("/home/upstreams");
  expect(html.indexOf("b.example")).toBeLessThan(html.indexOf("a.example"));
  for (const text of [
    "asked us to wait",
    "in 30 seconds",
    "2 hours ago",
    "no answer within 5000 ms",
    "held, ends in 2 hours",
    "9 of 100 pulls left in 6 hours (told 1 minute ago)",
  ])
    expect(textOf(html)).toContain(text);
  expect(html).toContain('<span class="badge warn">9 of 100 pulls left</span>');
  await using offline = await startShownPages({ overview, isAirGapped: true });
  expect((await offline.show("/home/upstreams")).html).toContain("Air-gapped");
});

test("of very many upstreams those that are ill are shown, and some that are well; the overview tells what is left of a quota", async () => {
  const many = Array.from({ length: 250 }, (_, number) => ({ host: parseRegistryHost(`r-${number}.example`), state: "ready" as const }));
  const ill = { host: parseRegistryHost("z.example"), state: "failing" as const, reason: "no answer within 5000 ms" };
  const limited = {
    host: parseRegistryHost("docker.io"),
    state: "ready" as const,
    quota: { remaining: 76, limit: 100, windowMs: undefined, toldAtMs: startMs },
  };
  await using rig = await startShownPages({ overview: { ...quietOverview, upstreams: () => [...many, limited, ill] } });
  const { html } = await rig.show("/home/upstreams");
  expect([html.match(/<tr>/g)?.length, html.includes("z.example"), textOf(html).includes("and 52 more, all of them ready")]).toEqual([201, true, true]);
  expect(textOf((await rig.show("/home")).html)).toContain("docker.io: 76 of 100 pulls left (told just now)");
});

describe("the activity", () => {
  const record: AccessRecord = {
    requestId: "r1",
    method: "GET",
    client: "198.51.100.7",
    action: "read",
    repository: repositoryNamed("a.example/team/app"),
    reference: { kind: "tag", tag: parseTag("1.0") },
    user: hostile,
    by: "htpasswd",
    isAllowed: true,
    showedCredential: true,
    rule: "no accessControl",
    reason: undefined,
  };
  const root = { name: "root", hasSession: true, isAdministrator: true };

  test("shows administrators what others have made up as text that cannot mislead, and no more of it than is read", async () => {
    const activity = new RecentActivity({ clock: new TestClock({ startMs }) });
    activity.note(record);
    activity.note({ ...record, user: `exe.\u202egnp${"x".repeat(5_000)}`, isAllowed: false, reason: "\u0000 no\u001b[31m", action: `<${"y".repeat(5_000)}` });
    await using rig = await startShownPages({ activity });
    const { status, html } = await rig.show("/home/activity", { user: root });
    expect([status, html.length < 20_000]).toEqual([200, true]);
    for (const text of ["<script>", "<img src=x", "\u0000", "\u001b", "\u202e"]) expect([text, html.includes(text)]).toEqual([text, false]);
    for (const text of ["exe.\\u{202e}gnp", "\\u{0} no\\u{1b}[31m", "team/app 1.0", "denied", "198.51.100.7"])
      expect([text, textOf(html).includes(text)]).toEqual([text, true]);
    expect(linksIn(html)).toContain("/home/repositories/a.example/team/app:1.0");
  });

  test("is to everybody else as no page at all", async () => {
    const activity = new RecentActivity({ clock: new TestClock({ startMs }) });
    activity.note(record);
    await using rig = await startShownPages({ activity });
    await using without = await startShownPages();
    for (const user of [undefined, { name: "alice", hasSession: true }, { ...root, isAdministrator: false }]) {
      const [there, none] = await Promise.all(["/home/activity", "/home/activities"].map((path) => rig.show(path, { user })));
      expect([there?.status, there?.html]).toEqual([404, none?.html]);
      expect(there?.html).not.toContain("Activity");
    }
    expect((await without.show("/home/activity", { user: root })).status).toBe(404);
  });

  test("names nothing that an administrator may not see, and finds by any word of a line", async () => {
    const activity = new RecentActivity({ clock: new TestClock({ startMs }) });
    activity.note({ ...record, user: "alice" });
    activity.note({ ...record, user: "bob", repository: repositoryNamed("a.example/secret/plan") });
    await using rig = await startShownPages({ activity });
    const filtered = await rig.show("/home/activity", { user: root, sees: ({ path }) => path === "team/app" });
    expect([filtered.html.includes("alice"), filtered.html.includes("secret"), filtered.html.includes("bob")]).toEqual([true, false, false]);
    const searched = await rig.show("/home/activity?q=PLAN%20bob&part=live", { user: root });
    expect([searched.html.includes("secret/plan"), searched.html.includes("alice"), searched.html.includes("<html")]).toEqual([true, false, false]);
    const vain = await rig.show("/home/activity?q=nothing", { user: root });
    expect(textOf(vain.html)).toContain("Nothing that is still known has this in it.");
  });

  test("tells administrators who pulled a tag last, and nobody else", async () => {
    const activity = new RecentActivity({ clock: new TestClock({ startMs }) });
    await using rig = await startShownPages({ activity });
    await rig.put("a.example/team/app:1.0", amd64);
    activity.note({ ...record, user: "alice" });
    activity.note({ ...record, user: "carol" });
    const show = async (visit: Partial<PageVisit>): Promise<string> => textOf((await rig.show("/home/repositories/a.example/team/app", visit)).html);
    expect(await show({ user: root })).toContain("by carol");
    for (const user of [undefined, { ...root, isAdministrator: false }]) expect(await show({ user })).not.toContain("carol");
  });
});

describe("the page to sign in at", () => {
  const providers = [{ name: "oidc", title: "Authentik", href: "/auth/login?provider=oidc" }];

  test("has a button for each provider, and a form where passwords are known", async () => {
    await using rig = await startShownPages({
      signIn: () => ({ providers, hasPasswords: true, action: "/login", hidden: { callback_ui: hostile }, error: "The password is wrong." }),
    });
    const page = rig.pages.signIn(new URLSearchParams());
    expect(page?.html).toContain("Continue with Authentik");
    expect(page?.html).toContain('type="password"');
    expect(textOf(page?.html ?? "")).toContain("The password is wrong.");
    expect(page?.html).not.toContain("<script>");
    expect(rig.pages.canSignIn).toBe(true);
  });

  test("is none where nobody can sign in", async () => {
    await using rig = await startShownPages();
    expect(rig.pages.signIn(new URLSearchParams())).toBeUndefined();
    expect((await rig.show("/home")).html).not.toContain("Sign in");
  });
});

function linksIn(html: string): readonly string[] {
  return [...html.matchAll(/href="([^"]*)"/g)].map(([, href = ""]) => href.replaceAll("&amp;", "&"));
}

/** As people read it. */
function textOf(html: string): string {
  return html
    .replaceAll(/<[^>]*>/g, "")
    .replaceAll(/\s+/g, " ")
    .trim();
}
