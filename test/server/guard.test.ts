/** No request is looked at before the gate has let it in: the table of routes, walked with a gate that lets nobody in. */
import { describe, expect, test } from "vitest";
import { AccessPolicy, type AccessRules } from "../../src/auth/access-policy.ts";
import { FailDelay } from "../../src/auth/fail-delay.ts";
import { Gate } from "../../src/auth/gate.ts";
import type { AccessRecord } from "../../src/oci/access-record.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { RegistryNames } from "../../src/oci/registry-names.ts";
import { alpine, imageManifest, serving } from "./serving.ts";

const names = new RegistryNames({ defaultNs: "docker.io", registries: [] });
const rules: AccessRules = {
  fetch: "readers",
  groups: new Map(),
  repositories: [],
  adminPolicy: undefined,
  metrics: { users: new Set(), anonymousPolicy: new Set() },
} as const;

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

const digest = `sha256:${"a".repeat(64)}`;
/** Every kind of route, and what is none. */
const targets = [
  "/v2",
  "/v2/",
  "/v2/_catalog",
  "/v2/library/alpine/manifests/latest",
  `/v2/library/alpine/manifests/${digest}`,
  `/v2/library/alpine/blobs/${digest}`,
  "/v2/library/alpine/tags/list",
  `/v2/library/alpine/referrers/${digest}`,
  "/v2/library/alpine/blobs/uploads/",
  "/v2/library/alpine/blobs/uploads/1",
  "/v2/library/alpine/nothing",
  "/v2/INVALID/manifests/1",
  "/v2/library/alpine/blobs/sha256:short",
  "/docker.io/v2/library/alpine/manifests/latest",
  "/docker.io/v2/",
  "/metrics",
  "/anything",
  "/zot/auth/token",
  "/cmd",
  "/cmd/stop",
  "/cmd/prune?type=pattern&expr=.",
  "/cmd/manifest/list",
  "/cmd/nothing",
];
/** A terminal has no name yet: where none is let in it is told that, and nothing else. */
const open = ["/", "/health", "/healthz", "/livez", "/readyz", "/zot/auth/device", "/zot/auth/device/*"];

describe("with a gate that lets nobody in", () => {
  test.each(targets)("%s is refused by every method, and nothing is looked up", async (target) => {
    const { app, registry } = serving({ gate: () => closed });
    registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    for (const method of ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]) {
      const answer = await app.request(target, { method });
      expect([method, answer.status, answer.headers.get("www-authenticate")]).toEqual([method, 401, 'Basic realm="closed"']);
    }
    expect(registry.calls).toEqual([]);
  });

  test("what may be asked is told alike of what is there, of what is not, and of what is no name", async () => {
    const { app, registry } = serving({ gate: () => closed });
    registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    const told = async (target: string): Promise<unknown> => {
      const { status, headers } = await app.request(target, { method: "OPTIONS" });
      return [status, [...headers].filter(([name]) => name !== "x-request-id")];
    };
    const [first, ...others] = await Promise.all(targets.filter((target) => target.includes("v2") || target === "/anything").map(told));
    expect(first).toEqual([204, expect.arrayContaining([["allow", "GET, HEAD, OPTIONS"]])]);
    for (const other of others) expect(other).toEqual(first);
    expect(registry.calls).toEqual([]);
  });

  test("no route of the table is open but those that are known to be", async () => {
    const { app } = serving({ gate: () => closed });
    const paths = [...new Set(app.routes.map(({ path }) => path))];
    expect(paths.toSorted()).toEqual(
      [
        "/",
        "/*",
        "/cmd/*",
        "/health",
        "/healthz",
        "/livez",
        "/metrics",
        "/readyz",
        "/token",
        "/zot/auth/apikey",
        "/zot/auth/device",
        "/zot/auth/device/*",
        "/zot/auth/token",
      ].toSorted(),
    );
    const statuses = await Promise.all(paths.map(async (path) => [path, (await app.request(path.replace("*", "x"))).status] as const));
    expect(
      statuses
        .filter(([, status]) => status !== 401)
        .map(([path]) => path)
        .toSorted(),
    ).toEqual(open);
  });

  test("each refusal is told of, with what was asked and the rule", async () => {
    const refused: AccessRecord[] = [];
    const { app, records } = serving({ gate: () => closed, audit: { refused: (record) => refused.push(record), admitted: () => {} } });
    await app.request("/v2/alpine/manifests/latest", { headers: { "x-request-id": "r1" } });
    expect(refused).toEqual([
      {
        requestId: "r1",
        method: "GET",
        client: "",
        action: "read",
        repository: alpine,
        reference: { kind: "tag", tag: "latest" },
        user: undefined,
        by: undefined,
        isAllowed: false,
        showedCredential: false,
        rule: "no pattern matches",
        reason: undefined,
      },
    ]);
    expect(records.map(({ status }) => status)).toEqual([401]);
  });
});

test("without a gate the same requests are answered", async () => {
  const { app, registry } = serving();
  registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
  expect((await app.request("/v2/library/alpine/manifests/latest")).status).toBe(200);
  expect((await app.request("/metrics")).status).toBe(200);
  expect((await app.request("/v2/INVALID/manifests/1", { method: "PUT" })).status).toBe(405);
});
