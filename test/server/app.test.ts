import { describe, expect, test } from "vitest";
import { OciError, type OciErrorCode } from "../../src/oci/errors.ts";
import { silentLog, type LogFields } from "../../src/oci/log.ts";
import { alpine, imageManifest, listening, serving } from "./serving.ts";

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

  test.each(["POST", "PUT", "PATCH", "DELETE"])("%s is refused wherever it is sent", async (method) => {
    const { app, registry } = serving();
    for (const path of ["/v2/", "/v2/alpine/blobs/uploads/", "/v2/alpine/manifests/latest", "/", "/readyz", "/metrics", "/elsewhere"]) {
      const response = await app.request(path, { method });
      expect(response.status, path).toBe(405);
      expect(response.headers.get("allow")).toBe("GET, HEAD");
      expect(await response.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
    }
    expect(registry.calls).toEqual([]);
  });

  test("what may be asked is told to everybody, and nothing is looked up", async () => {
    const { app, registry } = serving();
    for (const path of ["/v2/", "/v2/alpine/manifests/latest", "/docker.io/v2/alpine/tags/list", "/v2/INVALID/tags/list", "/elsewhere"]) {
      const response = await app.request(path, { method: "OPTIONS" });
      expect([path, response.status, response.headers.get("allow"), await response.text()]).toEqual([path, 204, "GET, HEAD, OPTIONS", ""]);
    }
    for (const path of ["/", "/readyz", "/metrics"]) expect([path, (await app.request(path, { method: "OPTIONS" })).status]).toEqual([path, 405]);
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
    const message = status >= 502 ? "docker.io/library/alpine:latest: what and why" : "what and why";
    expect(await response.json()).toEqual({ errors: [{ code: wireCode, message }] });
    expect(records).toMatchObject([{ status, repository: alpine, reference: "latest", outcome: undefined }]);
  });

  test.each([
    ["manifests/latest", "refused by r.test:443", "docker.io/library/alpine:latest: refused by r.test:443"],
    [`manifests/sha256:${"a".repeat(64)}`, "refused by r.test:443", `docker.io/library/alpine@sha256:${"a".repeat(64)}: refused by r.test:443`],
    [`blobs/sha256:${"a".repeat(64)}`, "refused by r.test:443", `docker.io/library/alpine@sha256:${"a".repeat(64)}: refused by r.test:443`],
    [
      `blobs/sha256:${"a".repeat(64)}`,
      `r.test did not send sha256:${"a".repeat(64)}`,
      `docker.io/library/alpine: r.test did not send sha256:${"a".repeat(64)}`,
    ],
    ["manifests/latest", "no answer for docker.io/library/alpine:latest in time", "no answer for docker.io/library/alpine:latest in time"],
    ["manifests/1", "refused by 127.0.0.1:9", "docker.io/library/alpine:1: refused by 127.0.0.1:9"],
    ["manifests/3.20", "r.test takes longer than 1500 ms to confirm 3.20", "docker.io/library/alpine: r.test takes longer than 1500 ms to confirm 3.20"],
    ["tags/list", "refused by r.test:443", "docker.io/library/alpine: refused by r.test:443"],
  ])("of an upstream name what was asked for, once: %s, %s", async (path, said, told) => {
    const { app, registry } = serving();
    registry.failure = new OciError("UPSTREAM_UNAVAILABLE", said, { source: "upstream" });
    await using server = await listening(app);
    expect(await (await fetch(`${server.origin}/v2/alpine/${path}`)).json()).toEqual({ errors: [{ code: "UNAVAILABLE", message: told }] });
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

test("GET / says what this is and how to use it", async () => {
  const response = await serving().app.request("/", { headers: { host: "cache.example:8080" } });
  expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  const text = await response.text();
  expect(text).toContain("ociregistry 1.2.3");
  expect(text).toContain("docker pull cache.example:8080/docker.io/library/alpine");
  const odd = await serving().app.request("/", { headers: { host: "<script>" } });
  expect(await odd.text()).toContain("docker pull localhost:8080/");
});
