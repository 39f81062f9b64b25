import { describe, expect, test } from "vitest";
import { digestOf, parseDigest } from "../../src/oci/digest.ts";
import { OciError } from "../../src/oci/errors.ts";
import { alpine, imageManifest, repository, serving } from "./serving.ts";

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const absent = parseDigest(`sha256:${"0".repeat(64)}`);

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
