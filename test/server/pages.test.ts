/** How pages are served: to whom, and under which headers. */
import { describe, expect, test } from "vitest";
import { AccessPolicy, type AccessRules } from "../../src/auth/access-policy.ts";
import { FailDelay } from "../../src/auth/fail-delay.ts";
import { Gate } from "../../src/auth/gate.ts";
import type { AccessRecord } from "../../src/oci/access-record.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { startShownPages } from "../support/shown-pages.ts";
import { serving } from "./serving.ts";

const names = new RegistryNames({ defaultNs: "docker.io", registries: [] });
const rules: AccessRules = {
  fetch: "readers",
  groups: new Map(),
  repositories: [],
  adminPolicy: undefined,
  metrics: { users: new Set(), anonymousPolicy: new Set() },
};

/** Nobody can log in, and nothing is open. */
const closed = new Gate({
  headerMethods: [],
  certificates: { method: "mtls", authenticate: async () => ({ kind: "none" }) },
  challenge: { kind: "basic", realm: "closed" },
  failDelay: new FailDelay({ delayMs: 0, clock: systemClock }),
  access: { policy: new AccessPolicy(rules, names.defaultHost), hasConditions: false },
  names: () => names,
  now: () => 0,
});

describe("a page", () => {
  test("runs no script but ours, shows in nobody's frame, asks nobody else, and is kept by nobody", async () => {
    await using rig = await startShownPages();
    const { app, records } = serving({ pages: rig.pages });
    for (const path of ["/home", "/home/", "/home/repositories", "/home/upstreams", "/home/none"]) {
      const response = await app.request(path);
      const policy = response.headers.get("content-security-policy") ?? "";
      expect(policy.split("; ")).toEqual(
        expect.arrayContaining([
          "default-src 'none'",
          "script-src 'self'",
          "style-src 'self'",
          "frame-ancestors 'none'",
          "form-action 'self'",
          "base-uri 'none'",
        ]),
      );
      expect(policy).not.toContain("unsafe");
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
      const text = await response.text();
      expect(Buffer.byteLength(text)).toBe(Number(response.headers.get("content-length")));
      expect(text).not.toMatch(/<script(?![^>]*\ssrc=")|<style|\sstyle="|\son[a-z]+="|https?:/);
    }
    expect(records.map(({ kind, status }) => [kind, status])).toEqual([200, 200, 200, 200, 404].map((status) => ["page", status]));
  });

  test("is made of parts that a browser may keep for ever, and that are named after what is in them", async () => {
    await using rig = await startShownPages();
    const { app } = serving({ pages: rig.pages });
    const paths = [...(await (await app.request("/home")).text()).matchAll(/(?:href|src)="(\/home\/assets\/[^"]+)"/g)].map(([, path = ""]) => path);
    expect(new Set(paths).size).toBe(3);
    for (const path of paths) {
      const response = await app.request(path);
      expect([path, response.status, response.headers.get("cache-control")]).toEqual([path, 200, "public, max-age=31536000, immutable"]);
      expect(path).toMatch(/-[0-9a-f]{12}\.(css|js|svg)$/);
    }
    expect((await app.request("/home/assets/site-000000000000.css")).status).toBe(404);
    expect((await app.request("/home/assets/../frame.ts")).status).toBe(404);
  });

  test("is only read", async () => {
    await using rig = await startShownPages();
    const { app } = serving({ pages: rig.pages });
    for (const method of ["POST", "PUT", "DELETE"]) expect((await app.request("/home", { method })).status).toBe(405);
    const head = await app.request("/home", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect((await app.request(`/home/repositories?q=${"x".repeat(9_000)}`)).status).toBe(400);
  });

  test("is what a browser is sent to; others are told in plain text what this is", async () => {
    await using rig = await startShownPages();
    const { app } = serving({ pages: rig.pages });
    const browser = await app.request("/", { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } });
    expect([browser.status, browser.headers.get("location")]).toEqual([303, "/home"]);
    const curl = await app.request("/", { headers: { accept: "*/*" } });
    expect([curl.status, curl.headers.get("content-type")]).toEqual([200, "text/plain; charset=utf-8"]);
    expect(await curl.text()).toContain("/home");
  });

  test("is none where pages are off", async () => {
    const { app } = serving();
    for (const path of ["/home", "/home/repositories", "/login"]) expect((await app.request(path)).status).toBe(404);
    expect((await app.request("/", { headers: { accept: "text/html" } })).headers.get("content-type")).toBe("text/plain; charset=utf-8");
  });
});

describe("whoever may not be here", () => {
  test("is asked who he is on a page, whatever lies behind it, and the log is told", async () => {
    await using rig = await startShownPages();
    const refused: AccessRecord[] = [];
    const { app } = serving({ pages: rig.pages, gate: () => closed, audit: { refused: (record) => void refused.push(record), admitted: () => {} } });
    for (const path of ["/home", "/home/repositories", "/home/repositories/docker.io/library/alpine", "/home/none"]) {
      const response = await app.request(path);
      expect([path, response.status, response.headers.get("www-authenticate")]).toEqual([path, 401, 'Basic realm="closed"']);
      expect(await response.text()).toContain("Authentication is required to see this.");
    }
    expect(refused.map(({ action, isAllowed }) => [action, isAllowed])).toEqual(Array.from({ length: 4 }, () => ["page", false]));
    expect((await app.request("/home/assets/none.css")).status).toBe(404);
  });

  test("is sent to where he can sign in, and comes back to where he was", async () => {
    await using rig = await startShownPages({ signIn: () => ({ providers: [], hasPasswords: true, action: "/login", hidden: {}, error: undefined }) });
    const { app } = serving({ pages: rig.pages, gate: () => closed });
    const response = await app.request("/home/repositories?q=a");
    expect([response.status, response.headers.get("location")]).toEqual([303, "/login?callback_ui=%2Fhome%2Frepositories%3Fq%3Da"]);
    const page = await app.request("/login");
    expect([page.status, page.headers.get("content-security-policy")?.includes("frame-ancestors 'none'")]).toEqual([200, true]);
    expect(await page.text()).toContain('type="password"');
  });
});
