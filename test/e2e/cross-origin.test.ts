/** A page of another site in front of a real server: it reads what it may, and changes nothing. */
import { expect, test } from "vitest";
import { startGuardedServer } from "../support/guarded-server.ts";

const page = "https://ui.example.com";

test("a listed page reads what is answered, refusals among it, and ends nobody's session", async () => {
  const config = { auth: { htpasswd: { path: "HTPASSWD" } }, http: { allowOrigin: page } };
  await using guarded = await startGuardedServer({ repositories: ["b/app"], config, users: ["a"] });
  const ask = async (path: string, { method = "GET", origin = page, user }: { method?: string; origin?: string; user?: string } = {}) => {
    const { status, headers } = await guarded.get(path, { method, user, headers: { origin } });
    return [status, headers.get("access-control-allow-origin"), headers.get("access-control-allow-credentials")];
  };
  expect(await ask("/v2/b/app/manifests/1", { method: "OPTIONS" })).toEqual([204, page, "true"]);
  expect(await ask("/zot/auth/sessions", { method: "OPTIONS" })).toEqual([204, page, "true"]);
  expect(await ask("/v2/b/app/manifests/1")).toEqual([401, page, "true"]);
  expect(await ask("/v2/b/app/manifests/1", { origin: "https://evil.example" })).toEqual([401, null, null]);
  expect(guarded.upstream.requests).toEqual([]);
  expect(await ask("/v2/b/app/manifests/1", { user: "a" })).toEqual([200, page, "true"]);
  expect(await ask("/zot/auth/sessions", { method: "DELETE", user: "a" })).toEqual([403, page, "true"]);
  expect(await ask("/zot/auth/logout", { method: "POST" })).toEqual([403, page, "true"]);
  expect(await ask("/home")).toEqual([expect.any(Number), null, null]);
});
