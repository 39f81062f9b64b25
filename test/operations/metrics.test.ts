import { expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { OciError } from "../../src/oci/errors.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { parseRegistryHost, parseRepositoryPath, repositoryOf } from "../../src/oci/repository.ts";
import type { RequestRecord } from "../../src/oci/request-record.ts";
import type { UpstreamStatus } from "../../src/oci/views.ts";
import { meteredRegistry } from "../../src/operations/metered-registry.ts";
import { Metrics, type UpstreamCallRecord } from "../../src/operations/metrics.ts";
import { MemoryRegistry } from "../support/memory-registry.ts";
import { TestClock } from "../support/test-clock.ts";
import { call, describeRegistryContract } from "../contract/registry-contract.ts";

const alpine = repositoryOf(parseRegistryHost("docker.io"), parseRepositoryPath("alpine"));
const request: RequestRecord = {
  requestId: "r",
  method: "GET",
  kind: "manifest",
  repository: alpine,
  reference: "1",
  status: 200,
  sentBytes: 100,
  durationMs: 3,
  outcome: "hit",
  client: "::1",
  principal: undefined,
};

/** The samples whose name begins with `prefix`, as `name{labels}` -> value. */
async function samples(metrics: Metrics, prefix: string): Promise<Record<string, number>> {
  const { text } = await metrics.page();
  const lines = text.split("\n").filter((line) => line.startsWith(prefix));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]));
}

test("the Go ociregistry's dashboards find their numbers", async () => {
  const metrics = new Metrics({ clock: systemClock, version: "1", totals: () => ({ manifests: 3, manifestBytes: 1_500, blobs: 7, blobBytes: 9_000 }) });
  metrics.observeRequest(request);
  metrics.observeRequest({ ...request, outcome: "stale" });
  metrics.observeRequest({ ...request, outcome: "miss" });
  metrics.observeRequest({ ...request, method: "HEAD" });
  metrics.observeRequest({ ...request, kind: "blob", outcome: "passed" });
  metrics.observeRequest({ ...request, status: 404, outcome: undefined });
  metrics.observeRequest({ ...request, kind: "probe", status: 503, outcome: undefined });
  const all = await samples(metrics, "ociregistry_");
  expect(all).toMatchObject({
    'ociregistry_cached_pulls_by_ns_total{ns="docker.io"}': 2,
    'ociregistry_upstream_pulls_by_ns{ns="docker.io"}': 1,
    ociregistry_manifest_pulls_total: 3,
    ociregistry_blob_pulls_total: 1,
    ociregistry_blob_bytes_on_disk_total: 9_000,
    ociregistry_manifest_bytes_on_disk_total: 1_500,
    ociregistry_cached_manifest_count: 3,
    ociregistry_cached_blob_count: 7,
    ociregistry_v2_api_endpoint_hits_total: 6,
    ociregistry_api_errors_total: 1,
  });
});

test("requests are counted by what was asked and how it ended", async () => {
  const metrics = new Metrics({ clock: systemClock, version: "1" });
  metrics.observeRequest(request);
  metrics.observeRequest({ ...request, kind: "blob", sentBytes: 5_000, outcome: "miss" });
  metrics.observeRequest({ ...request, method: "BREW", status: 405, kind: "other", outcome: undefined, repository: undefined });
  expect(await samples(metrics, "ociregistry_requests_total")).toEqual({
    'ociregistry_requests_total{kind="manifest",method="GET",status="200",outcome="hit"}': 1,
    'ociregistry_requests_total{kind="blob",method="GET",status="200",outcome="miss"}': 1,
    'ociregistry_requests_total{kind="other",method="other",status="405",outcome="none"}': 1,
  });
  expect(await samples(metrics, "ociregistry_sent_bytes_total")).toMatchObject({ 'ociregistry_sent_bytes_total{kind="blob",outcome="miss"}': 5_000 });
  expect(await samples(metrics, "ociregistry_request_duration_seconds")).toMatchObject({
    'ociregistry_request_duration_seconds_bucket{le="0.001",kind="manifest"}': 0,
    'ociregistry_request_duration_seconds_bucket{le="0.005",kind="manifest"}': 1,
    'ociregistry_request_duration_seconds_count{kind="manifest"}': 1,
  });
});

test("how things stand is read when it is asked", async () => {
  const status = {
    upstreams: (): readonly UpstreamStatus[] => [
      { host: alpine.host, state: "failing", quota: { remaining: 76, limit: 100, windowMs: 21_600_000, toldAtMs: 0 } },
      { host: parseRegistryHost("quay.io"), state: "ready" },
    ],
    fills: () => ({ running: 2, waiting: 5, publishing: 3, readers: 9 }),
    store: () => ({ writable: false }),
  };
  const metrics = new Metrics({ clock: systemClock, version: "1.2.3", status: () => status });
  expect(await samples(metrics, "ociregistry_")).toMatchObject({
    'ociregistry_build_info{version="1.2.3"}': 1,
    'ociregistry_fills{state="running"}': 2,
    'ociregistry_fills{state="waiting"}': 5,
    'ociregistry_fills{state="publishing"}': 3,
    ociregistry_fill_readers: 9,
    'ociregistry_upstream_state{upstream="docker.io",state="failing"}': 1,
    'ociregistry_upstream_state{upstream="docker.io",state="ready"}': 0,
    ociregistry_store_writable: 0,
  });
  expect(await samples(metrics, "ociregistry_upstream_quota")).toEqual({ 'ociregistry_upstream_quota_remaining{upstream="docker.io"}': 76 });
  status.upstreams = () => [];
  expect(await samples(metrics, "ociregistry_upstream_state")).toEqual({});
});

test("registries that clients make up do not grow the page without end", async () => {
  const metrics = new Metrics({ clock: systemClock, version: "1", hostsMax: 3 });
  for (let index = 0; index < 50; index++) {
    const repository = repositoryOf(parseRegistryHost(`r${index}.example`), parseRepositoryPath("a"));
    metrics.observeRequest({ ...request, repository });
    metrics.observeUpstream({ host: repository.host, kind: "getBlob", result: "ok", durationMs: 1, outcome: "miss" });
  }
  expect(await samples(metrics, "ociregistry_cached_pulls_by_ns_total")).toMatchObject({ 'ociregistry_cached_pulls_by_ns_total{ns="other"}': 47 });
  expect(Object.keys(await samples(metrics, "ociregistry_upstream_calls_total"))).toHaveLength(4);
});

test("two pages in one process do not share their numbers", async () => {
  const [one, other] = [new Metrics({ clock: systemClock, version: "1" }), new Metrics({ clock: systemClock, version: "1" })];
  one.observeRequest(request);
  expect(await samples(other, "ociregistry_requests_total")).toEqual({});
});

test("calls to an upstream are timed and told with how they ended", async () => {
  const clock = new TestClock();
  const memory = new MemoryRegistry();
  const records: UpstreamCallRecord[] = [];
  const metered = meteredRegistry(memory, { observe: (record) => void records.push(record), clock });
  memory.putManifest(alpine, JSON.stringify({ schemaVersion: 2, layers: [] }), { tags: ["1"] });
  await metered.getManifest(alpine, parseReference("1"), call());
  memory.failure = new OciError("UPSTREAM_TIMEOUT", "no answer");
  memory.listTags = async () => {
    await clock.advance(250);
    throw new OciError("UPSTREAM_TIMEOUT", "no answer");
  };
  await expect(metered.listTags(alpine, call())).rejects.toMatchObject({ code: "UPSTREAM_TIMEOUT" });
  expect(records).toEqual([
    { host: "docker.io", kind: "getManifest", result: "ok", durationMs: 0, outcome: "hit" },
    { host: "docker.io", kind: "listTags", result: "UPSTREAM_TIMEOUT", durationMs: 250, outcome: undefined },
  ]);
  const metrics = new Metrics({ clock: systemClock, version: "1" });
  for (const record of records) metrics.observeUpstream(record);
  expect(await samples(metrics, "ociregistry_upstream_call")).toMatchObject({
    'ociregistry_upstream_calls_total{upstream="docker.io",kind="listTags",result="UPSTREAM_TIMEOUT"}': 1,
    'ociregistry_upstream_call_duration_seconds_sum{upstream="docker.io",kind="listTags"}': 0.25,
  });
});

describeRegistryContract("a metered registry", async (content) => {
  const memory = new MemoryRegistry();
  const repository = repositoryOf(parseRegistryHost("registry.example"), parseRepositoryPath(content.path));
  for (const { bytes, mediaType } of content.manifests.values()) memory.putManifest(repository, bytes, { contentType: mediaType });
  for (const [tag, digest] of content.tags) memory.putManifest(repository, content.manifests.get(digest)?.bytes ?? "", { tags: [tag] });
  for (const bytes of content.blobs.values()) memory.putBlob(repository, bytes);
  return { registry: meteredRegistry(memory, { observe: () => {}, clock: new TestClock() }), repository, close: async () => {} };
});

test("numbers of the store that are not known yet are absent, not zero", async () => {
  const metrics = new Metrics({ clock: systemClock, version: "1", totals: () => undefined });
  expect(await samples(metrics, "ociregistry_cached_")).not.toHaveProperty("ociregistry_cached_manifest_count");
});
