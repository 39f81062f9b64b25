/** Pages of other sites: what their browsers are told that they may read, and ask. */
import { describe, expect, test } from "vitest";
import type { AdminActions } from "../../src/server/admin.ts";
import type { CrossOriginOptions } from "../../src/server/cross-origin.ts";
import { alpine, imageManifest, serving } from "./serving.ts";

const page = "https://ui.example.com";
const path = "/v2/alpine/manifests/latest";

function open(crossOrigin: CrossOriginOptions | undefined) {
  const { app, registry } = serving({ crossOrigin });
  registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
  return async (target: string, { method = "GET", origin = page }: { method?: string; origin?: string | undefined } = {}) => {
    const { status, headers } = await app.request(target, { method, headers: origin === "" ? {} : { origin } });
    const told = Object.fromEntries(
      [...headers].filter(([name]) => name.startsWith("access-control-")).map(([name, value]) => [name.slice("access-control-".length), value]),
    );
    return { status, told, vary: headers.get("vary") };
  };
}

describe("of listed sites", () => {
  const ask = open({ origins: [page, "http://localhost:3000"], withCredentials: true });

  test.each([page, "http://localhost:3000"])("%s may read answers, errors among them, in somebody's name", async (origin) => {
    for (const [target, status] of [
      [path, 200],
      ["/v2/", 200],
      ["/v2/Bad/manifests/1", 400],
      ["/v2/nothing", 404],
    ] as const) {
      const answer = await ask(target, { origin });
      expect(answer).toMatchObject({ status, told: { "allow-origin": origin, "allow-credentials": "true" }, vary: "Origin" });
      expect(answer.told["expose-headers"]).toContain("Docker-Content-Digest");
    }
  });

  test.each([
    ["another site", "https://evil.example"],
    ["another port", `${page}:8443`],
    ["the same without TLS", "http://ui.example.com"],
    ["a name that begins so", `${page}.evil.example`],
    ["a page of nowhere", "null"],
    ["no page", ""],
  ])("%s is told nothing, and no cache takes the one answer for the other", async (_, origin) => {
    expect(await ask(path, { origin })).toEqual({ status: 200, told: {}, vary: "Origin" });
    expect(await ask(path, { origin, method: "OPTIONS" })).toEqual({ status: 204, told: {}, vary: "Origin" });
  });

  test("may ask as clients do: what is allowed at an address is told before", async () => {
    const { status, told } = await ask(path, { method: "OPTIONS" });
    expect(status).toBe(204);
    expect(told).toMatchObject({ "allow-origin": page, "allow-credentials": "true", "allow-methods": "GET, HEAD, OPTIONS", "max-age": "7200" });
    expect(told["allow-headers"]?.split(", ")).toEqual(expect.arrayContaining(["Authorization", "Range", "X-ZOT-API-CLIENT"]));
  });

  test("read neither probes nor what administrators do", async () => {
    const actions = {} as AdminActions; // None is reached: who asks is refused.
    const { app } = serving({ crossOrigin: { origins: [page], withCredentials: true }, admin: { open: "off", actions } });
    for (const target of ["/readyz", "/metrics", "/cmd/manifest/list"]) {
      const { headers } = await app.request(target, { headers: { origin: page } });
      expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
    }
  });
});

describe("of any site", () => {
  const ask = open({ origins: "any", withCredentials: true });

  test("may read what strangers may, and nothing in somebody's name", async () => {
    for (const origin of [page, "https://evil.example", "null"]) {
      const { told, vary } = await ask(path, { origin });
      expect([told["allow-origin"], told["allow-credentials"], vary]).toEqual(["*", undefined, null]);
      expect((await ask(path, { origin, method: "OPTIONS" })).told["allow-credentials"]).toBeUndefined();
    }
  });
});

test("where none is listed, no site may read anything", async () => {
  const ask = open(undefined);
  for (const method of ["GET", "OPTIONS"]) expect(await ask(path, { method })).toMatchObject({ told: {}, vary: null });
});

test("of listed sites act in nobody's name where nobody has one", async () => {
  const { told } = await open({ origins: [page], withCredentials: false })(path);
  expect([told["allow-origin"], told["allow-credentials"]]).toEqual([page, undefined]);
});
