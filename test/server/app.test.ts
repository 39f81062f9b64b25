import { describe, expect, test } from "vitest";
import { digestOf, parseDigest } from "../../src/oci/digest.ts";
import { OciError, type OciErrorCode } from "../../src/oci/errors.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog, type LogFields } from "../../src/oci/log.ts";
import { createProbeApp } from "../../src/server/app.ts";
import { alpine, imageManifest, repository, serving } from "./serving.ts";

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const absent = parseDigest(`sha256:${"0".repeat(64)}`);

describe("/v2/", () => {
  test.each(["/v2/", "/v2", "/docker.io/v2/", "/v2/?ns=docker.io"])("%s says which API it is", async (path) => {
    const { app, registry } = serving();
    for (const method of ["GET", "HEAD"]) {
      const response = await app.request(path, { method });
      expect(response.status).toBe(200);
      expect(response.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(response.headers.get("content-length")).toBe("2");
      expect(await response.text()).toBe(method === "GET" ? "{}" : "");
    }
    expect(registry.calls).toEqual([]);
  });

  test.each(["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])("%s is refused wherever it is sent", async (method) => {
    const { app, registry } = serving();
    for (const path of ["/v2/", "/v2/alpine/blobs/uploads/", "/v2/alpine/manifests/latest", "/", "/readyz", "/metrics", "/elsewhere"]) {
      const response = await app.request(path, { method });
      expect(response.status, path).toBe(405);
      expect(response.headers.get("allow")).toBe("GET, HEAD");
      expect(await response.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
    }
    expect(registry.calls).toEqual([]);
  });

  test.each(["/v2/", "/v2/_catalog"])("%s beside a namespace that is no registry is refused, and nothing of it echoed", async (path) => {
    const logged: string[] = [];
    const { app } = serving({ log: { ...silentLog, error: (_, message) => void logged.push(message) } });
    for (const ns of ["%0d%0aX-Evil:%20y", "%E6%97%A5", "docker.io&ns=quay.io"]) {
      const response = await app.request(`${path}?ns=${ns}`);
      expect(response.status, ns).toBe(400);
      expect(response.headers.has("oci-namespace")).toBe(false);
      expect(await response.json()).toMatchObject({ errors: [{ code: "NAME_INVALID" }] });
    }
    expect(logged).toEqual([]);
  });

  test("an unknown path is 404 in the API's own words", async () => {
    const { app } = serving();
    for (const path of ["/v2/alpine", "/v1/search", "/favicon.ico"]) {
      const response = await app.request(path);
      expect(response.status).toBe(404);
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(await response.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
    }
  });
});

describe("manifests", () => {
  test("leave with their exact bytes and the headers that clients check", async () => {
    const { app, registry, records } = serving();
    const { descriptor } = registry.putManifest(alpine, imageManifest, { tags: ["latest"], contentType: `${manifestType}; charset=utf-8` });
    const response = await app.request("/v2/library/alpine/manifests/latest?ns=docker.io", { headers: { accept: "text/html", range: "bytes=0-" } });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(imageManifest);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": manifestType,
      "content-length": String(imageManifest.length),
      "docker-content-digest": descriptor.digest,
      etag: `"${descriptor.digest}"`,
      "docker-distribution-api-version": "registry/2.0",
      "oci-namespace": "docker.io",
    });
    expect(response.headers.has("warning")).toBe(false);
    expect(registry.calls).toEqual(["getManifest docker.io/library/alpine latest"]);
    expect(records).toMatchObject([
      { kind: "manifest", method: "GET", repository: alpine, reference: "latest", status: 200, sentBytes: imageManifest.length, outcome: "hit" },
    ]);
  });

  test("say nothing of a namespace that was not asked for", async () => {
    const { app, registry } = serving();
    registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    const response = await app.request("/v2/docker.io/library/alpine/manifests/latest");
    expect(response.headers.has("oci-namespace")).toBe(false);
  });

  test("HEAD has all headers and no body", async () => {
    const { app, registry, records } = serving();
    const { descriptor } = registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    const response = await app.request("/v2/alpine/manifests/latest", { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": manifestType,
      "content-length": String(imageManifest.length),
      "docker-content-digest": descriptor.digest,
      etag: `"${descriptor.digest}"`,
    });
    expect(registry.calls).toEqual(["headManifest docker.io/library/alpine latest"]);
    expect(records[0]?.sentBytes).toBe(0);
  });

  test("asked for by sha512 show the sha512 digest", async () => {
    const { app, registry } = serving();
    registry.putManifest(alpine, imageManifest, { algorithm: "sha512" });
    const digest = digestOf(Buffer.from(imageManifest), "sha512");
    const response = await app.request(`/v2/alpine/manifests/${digest}`);
    expect(response.headers.get("docker-content-digest")).toBe(digest);
  });

  test("are 304 only for an If-None-Match of the same digest", async () => {
    const { app, registry } = serving();
    const { descriptor } = registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    const statusFor = async (ifNoneMatch: string, method = "GET"): Promise<number> =>
      (await app.request("/v2/alpine/manifests/latest", { method, headers: { "if-none-match": ifNoneMatch } })).status;
    expect(await statusFor(`"${descriptor.digest}"`)).toBe(304);
    expect(await statusFor(descriptor.digest)).toBe(304);
    expect(await statusFor(`"x", W/"${descriptor.digest}"`)).toBe(304);
    expect(await statusFor(`"${descriptor.digest}"`, "HEAD")).toBe(304);
    expect(await statusFor(`"${absent}"`)).toBe(200);
    expect(await statusFor("*")).toBe(200);
  });

  test("carry warnings that a header can hold", async () => {
    const { app, registry } = serving();
    registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    registry.answered = { outcome: "stale", warnings: ['upstream "docker.io" unavailable\r\nSet-Cookie: x', "é".repeat(5_000)] };
    const response = await app.request("/v2/alpine/manifests/latest");
    expect(response.headers.get("warning")).toBe('299 - "upstream \\"docker.io\\" unavailable??Set-Cookie: x"');
    expect(response.headers.has("set-cookie")).toBe(false);
  });
});

describe("request ids", () => {
  test("are taken over when they are decent, and always returned", async () => {
    const { app, registry, records } = serving();
    registry.putManifest(alpine, imageManifest, { tags: ["latest"] });
    const idFor = async (given: string): Promise<string | null> =>
      (await app.request("/v2/alpine/manifests/latest", { headers: { "x-request-id": given } })).headers.get("x-request-id");
    expect(await idFor("abc-1.2_3")).toBe("abc-1.2_3");
    expect(registry.lastCall?.requestId).toBe("abc-1.2_3");
    expect(await idFor("a b")).toMatch(/^[0-9a-f-]{36}$/);
    expect(await idFor("x".repeat(65))).toMatch(/^[0-9a-f-]{36}$/);
    const failed = await app.request("/v2/Bad/manifests/1", { headers: { "x-request-id": "mine" } });
    expect(failed.headers.get("x-request-id")).toBe("mine");
    expect(records.map(({ requestId }) => requestId)[3]).toBe("mine");
  });
});

describe("failures", () => {
  test.each<[OciErrorCode, number, string]>([
    ["BLOB_UNKNOWN", 404, "BLOB_UNKNOWN"],
    ["MANIFEST_UNKNOWN", 404, "MANIFEST_UNKNOWN"],
    ["NAME_UNKNOWN", 404, "NAME_UNKNOWN"],
    ["NAME_INVALID", 400, "NAME_INVALID"],
    ["DIGEST_INVALID", 400, "DIGEST_INVALID"],
    ["TAG_INVALID", 400, "TAG_INVALID"],
    ["REQUEST_INVALID", 400, "REQUEST_INVALID"],
    ["UNAUTHORIZED", 401, "UNAUTHORIZED"],
    ["DENIED", 403, "DENIED"],
    ["UNSUPPORTED", 405, "UNSUPPORTED"],
    ["RANGE_INVALID", 416, "RANGE_INVALID"],
    ["UPSTREAM_UNAVAILABLE", 502, "UNAVAILABLE"],
    ["UPSTREAM_TIMEOUT", 504, "UNAVAILABLE"],
    ["UPSTREAM_THROTTLED", 503, "TOOMANYREQUESTS"],
    ["OVERLOADED", 503, "TOOMANYREQUESTS"],
  ])("%s is %i %s", async (code, status, wireCode) => {
    const { app, registry, records } = serving();
    registry.failure = new OciError(code, "what and why");
    const response = await app.request("/v2/alpine/manifests/latest");
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.has("retry-after")).toBe(status === 503);
    expect(await response.json()).toEqual({ errors: [{ code: wireCode, message: "what and why" }] });
    expect(records).toMatchObject([{ status, repository: alpine, reference: "latest", outcome: undefined }]);
  });

  test("tell when to come back, between one and thirty seconds", async () => {
    const { app, registry } = serving();
    const retryAfter = async (code: OciErrorCode, retryAfterMs: number): Promise<string | null> => {
      registry.failure = new OciError(code, "later", { retryAfterMs });
      return (await app.request("/v2/alpine/manifests/latest")).headers.get("retry-after");
    };
    expect(await retryAfter("UPSTREAM_THROTTLED", 3_600_000)).toBe("30");
    expect(await retryAfter("UPSTREAM_THROTTLED", 1_200)).toBe("2");
    expect(await retryAfter("OVERLOADED", 0)).toBe("1");
    expect(await retryAfter("UPSTREAM_TIMEOUT", 4_000)).toBe("4");
  });

  test("of an upstream's making are not the client's fault", async () => {
    const { app, registry } = serving();
    registry.failure = new OciError("MANIFEST_INVALID", "not JSON", { source: "upstream" });
    expect((await app.request("/v2/alpine/manifests/latest")).status).toBe(502);
  });

  test("of our own are logged with their stack and tell the client nothing", async () => {
    const logged: [LogFields, string][] = [];
    const log = { debug() {}, info() {}, warn() {}, error: (fields: LogFields, message: string) => logged.push([fields, message]) };
    const { app, registry, records } = serving({ log: { ...log, error: (fields, message) => void log.error(fields, message) } });
    registry.failure = new TypeError("secret of the house");
    const response = await app.request("/v2/alpine/manifests/latest", { headers: { "x-request-id": "r1" } });
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ errors: [{ code: "UNKNOWN" }] });
    expect(text).not.toContain("secret");
    expect(logged).toMatchObject([[{ requestId: "r1", error: registry.failure }, "request failed"]]);
    expect(records).toMatchObject([{ status: 500 }]);
  });

  test("of grammar are told before anybody is asked", async () => {
    const { app, registry } = serving();
    for (const [path, code] of [
      ["/v2/Bad/manifests/1", "NAME_INVALID"],
      ["/v2/a/manifests/-", "TAG_INVALID"],
      ["/v2/a/blobs/sha256:1", "DIGEST_INVALID"],
      ["/v2/a/referrers/x", "DIGEST_INVALID"],
    ]) {
      const response = await app.request(path ?? "");
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ errors: [{ code }] });
    }
    expect(registry.calls).toEqual([]);
  });
});

describe("tags", () => {
  const path = "/v2/docker.io/library/alpine/tags/list";
  function tagged(): ReturnType<typeof serving> {
    const made = serving();
    made.registry.putManifest(alpine, imageManifest, { tags: ["1", "2", "3", "V4", "latest"] });
    return made;
  }

  test("are listed whole, under the name that was asked", async () => {
    const response = await tagged().app.request(path);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.has("link")).toBe(false);
    expect(await response.json()).toEqual({ name: "docker.io/library/alpine", tags: ["1", "2", "3", "V4", "latest"] });
  });

  test("come in pages whose links keep the client's spelling", async () => {
    const { app } = tagged();
    for (const start of [`${path}?n=2`, "/v2/library/alpine/tags/list?n=2&ns=docker.io", "/docker.io/v2/library/alpine/tags/list?n=2&ns=docker.io"]) {
      const seen: string[] = [];
      let next: string | undefined = start;
      while (next !== undefined && seen.length < 10) {
        expect(next.split("?")[0]).toBe(start.split("?")[0]);
        expect(new URLSearchParams(next.split("?")[1]).get("ns")).toBe(new URLSearchParams(start.split("?")[1]).get("ns"));
        const response: Response = await app.request(next);
        const page: { tags: string[] } = (await response.json()) as { tags: string[] };
        expect(page.tags.length).toBeLessThanOrEqual(2);
        seen.push(...page.tags);
        next = /^<(.+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
      }
      expect(seen).toEqual(["1", "2", "3", "V4", "latest"]);
    }
  });

  test("start after last, with or without n", async () => {
    const { app } = tagged();
    expect(await (await app.request(`${path}?last=3`)).json()).toMatchObject({ tags: ["V4", "latest"] });
    expect(await (await app.request(`${path}?last=3&n=1`)).json()).toMatchObject({ tags: ["V4"] });
  });

  test("n=0 is an empty list without a link, a bad n is 400", async () => {
    const { app } = tagged();
    const none = await app.request(`${path}?n=0`);
    expect(none.headers.has("link")).toBe(false);
    expect(await none.json()).toMatchObject({ tags: [] });
    for (const n of ["-1", "x", "1.5", "", "99999999999999999"]) expect((await app.request(`${path}?n=${n}`)).status).toBe(400);
    expect((await app.request("/v2/ghcr.io/none/here/tags/list?n=0")).status).toBe(404);
  });
});

describe("referrers", () => {
  const subject = digestOf(Buffer.from(imageManifest));
  const signature = (artifactType: string): string =>
    JSON.stringify({
      schemaVersion: 2,
      artifactType,
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: absent, size: 2 },
      layers: [],
      subject: { mediaType: manifestType, digest: subject, size: 1 },
      annotations: { by: "me" },
    });
  const path = `/v2/alpine/referrers/${subject}`;

  test("are an index of descriptors", async () => {
    const { app, registry } = serving();
    const { descriptor } = registry.putManifest(alpine, signature("application/x.sig"));
    const response = await app.request(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/vnd.oci.image.index.v1+json");
    expect(response.headers.has("oci-filters-applied")).toBe(false);
    expect(await response.json()).toEqual({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [
        { mediaType: manifestType, digest: descriptor.digest, size: descriptor.sizeBytes, artifactType: "application/x.sig", annotations: { by: "me" } },
      ],
    });
  });

  test("are filtered, and say so", async () => {
    const { app, registry } = serving();
    registry.putManifest(alpine, signature("application/x.sig"));
    registry.putManifest(alpine, signature("application/x.sbom"));
    const response = await app.request(`${path}?artifactType=application/x.sbom`);
    expect(response.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(await response.json()).toMatchObject({ manifests: [{ artifactType: "application/x.sbom" }] });
  });

  test("of what is unknown are none, and an upstream that is away is no error", async () => {
    const { app, registry } = serving();
    const away = new OciError("UPSTREAM_TIMEOUT", "docker.io did not answer");
    for (const failure of [undefined, new OciError("NAME_UNKNOWN", "no such repository"), new OciError("MANIFEST_UNKNOWN", "no such manifest"), away]) {
      registry.failure = failure;
      const response = await app.request(path);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ manifests: [] });
      expect(response.headers.get("warning") !== null).toBe(failure === away);
    }
  });

  test("that are denied are 403", async () => {
    const { app, registry } = serving();
    registry.failure = new OciError("DENIED", "not yours");
    expect((await app.request(path)).status).toBe(403);
  });
});

describe("the catalog", () => {
  test("is what is held, page by page", async () => {
    const all = ["docker.io/library/alpine", "quay.io/team/app"];
    const asked: unknown[] = [];
    const { app } = serving({
      holdings: {
        async listRepositories(page) {
          asked.push(page);
          const repositories = [alpine, repository("quay.io", "team/app")]
            .filter((_, index) => page.last === undefined || index > all.indexOf(page.last))
            .slice(0, page.limit);
          return { repositories, ...(page.last === undefined && page.limit === 1 ? { next: all[0] ?? "" } : {}) };
        },
      },
    });
    expect(await (await app.request("/v2/_catalog")).json()).toEqual({ repositories: all });
    const first = await app.request("/v2/_catalog?n=1");
    expect(await first.json()).toEqual({ repositories: [all[0]] });
    const next = /^<(.+)>; rel="next"$/.exec(first.headers.get("link") ?? "")?.[1] ?? "";
    expect(await (await app.request(next)).json()).toEqual({ repositories: [all[1]] });
    expect(asked).toEqual([{ limit: 100 }, { limit: 1 }, { last: all[0], limit: 1 }]);
    expect(await (await app.request("/v2/_catalog?n=0")).json()).toEqual({ repositories: [] });
  });
});

describe("probes", () => {
  const failing = { host: alpine.host, state: "failing", reason: "connection refused", retryInMs: 899.25 } as const;

  test.each(["/health", "/healthz", "/livez"])("%s is 200 while the process answers", async (path) => {
    const { app, records } = serving({ unready: () => "draining" });
    expect((await app.request(path)).status).toBe(200);
    expect(records).toMatchObject([{ kind: "probe", status: 200 }]);
  });

  test("an upstream that is away is told and does not make us unready", async () => {
    const status = { upstreams: () => [failing], fills: () => ({ running: 0, waiting: 0, readers: 0 }), store: () => ({ writable: true }) };
    const response = await serving({ status }).app.request("/readyz");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      status: "degraded",
      registries: [{ name: "docker.io", state: "failing", reason: "connection refused", retryInMs: 900 }],
    });
    expect(await (await serving().app.request("/readyz")).json()).toEqual({ status: "ready", registries: [], store: { writable: true } });
  });

  test("draining is 503, and only that answer's", async () => {
    const { app } = serving({ unready: () => "draining", draining: () => true });
    const response = await app.request("/readyz");
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ status: "draining" });
    const ping = await app.request("/v2/");
    expect(ping.status).toBe(200);
    expect(ping.headers.get("connection")).toBe("close");
  });

  test("have an app of their own that serves nothing else", async () => {
    const app = createProbeApp({
      clock: systemClock,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      onRequest: () => {},
      draining: () => false,
      unready: () => undefined,
      status: { upstreams: () => [], fills: () => ({ running: 0, waiting: 0, readers: 0 }), store: () => ({ writable: true }) },
      metrics: async () => ({ contentType: "text/plain; version=0.0.4", text: "a 1\n" }),
    });
    const metrics = await app.request("/metrics");
    expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    expect(await metrics.text()).toBe("a 1\n");
    expect((await app.request("/healthz")).status).toBe(200);
    expect((await app.request("/v2/")).status).toBe(404);
  });
});

test("GET / says what this is and how to use it", async () => {
  const response = await serving().app.request("/", { headers: { host: "cache.example:8080" } });
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  const text = await response.text();
  expect(text).toContain("ociregistry 1.2.3");
  expect(text).toContain("docker pull cache.example:8080/docker.io/library/alpine");
  const odd = await serving().app.request("/", { headers: { host: "<script>" } });
  expect(await odd.text()).toContain("docker pull localhost:8080/");
});
