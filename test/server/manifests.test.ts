import { describe, expect, test } from "vitest";
import { digestOf, parseDigest } from "../../src/oci/digest.ts";
import { alpine, imageManifest, serving } from "./serving.ts";

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const absent = parseDigest(`sha256:${"0".repeat(64)}`);

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
