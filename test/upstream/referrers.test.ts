import { describe, expect, test } from "vitest";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { buildArtifact, buildImage } from "../support/images.ts";
import type { Quirk } from "../support/quirks.ts";
import { call, failureOf, listedAs, repositoryAt, startUpstreams } from "./asking.ts";

async function setUp(quirk: Quirk = {}) {
  const stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeUpstream());
  const image = buildImage();
  const signature = buildArtifact(image.manifest);
  fake.putImage("team/app", "latest", image);
  fake.putImage("team/app", undefined, signature);
  fake.when({ kind: "referrers" }, quirk);
  const upstreams = stack.use(startUpstreams([listedAs(fake)]));
  const subject = image.manifest.descriptor.digest;
  const list = () => upstreams.listReferrers(repositoryAt(fake.host), subject, call());
  const lines = { api: `GET /v2/team/app/referrers/${subject}`, tag: `GET /v2/team/app/manifests/${subject.replace(":", "-")}` };
  return { fake, subject, signature, list, lines, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe("referrers", () => {
  test("come from the API", async () => {
    await using set = await setUp();
    const { manifests } = await set.list();
    expect(manifests).toMatchObject([{ digest: set.signature.manifest.descriptor.digest, artifactType: "application/vnd.example.signature" }]);
    expect(set.fake.requests).toEqual([set.lines.api]);
  });

  test.each(["missing", "redirect", "html", "not-an-index"] as const)("come from the fallback tag where the API is %s", async (referrers) => {
    await using set = await setUp({ referrers });
    set.fake.putReferrersTag("team/app", set.subject);
    const { manifests } = await set.list();
    expect(manifests.map(({ digest }) => digest)).toEqual([set.signature.manifest.descriptor.digest]);
    expect(set.fake.requests).toEqual([set.lines.api, set.lines.tag]);
    expect(set.fake.cdn.requests).toEqual([]);
  });

  test.each([
    ["cut short", '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manif'],
    ["no UTF-8", Buffer.from('{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"x":"\xff"}', "latin1")],
    ["something else", '{"packages":[]}'],
  ])("in an index that is %s are an outage, not none", async (_, body) => {
    await using set = await setUp({ body });
    await failureOf(set.list(), "UPSTREAM_UNAVAILABLE");
    expect(set.fake.requests).toEqual([set.lines.api]);
  });

  test("are none where neither exists", async () => {
    await using set = await setUp({ referrers: "missing" });
    expect((await set.list()).manifests).toEqual([]);
    expect(set.fake.requests).toEqual([set.lines.api, set.lines.tag]);
  });

  test("are none where the fallback tag is the subject itself", async () => {
    await using set = await setUp({ referrers: "missing" });
    set.fake.when({ kind: "manifest" }, { subjectAtFallbackTag: true });
    expect((await set.list()).manifests).toEqual([]);
  });

  test("come from all pages", async () => {
    await using set = await setUp();
    set.fake.when({ kind: "referrers", times: 1 }, { headers: { link: `</v2/team/app/referrers/${set.subject}?page=2>; rel="next"` } });
    expect((await set.list()).manifests).toHaveLength(2);
    expect(set.fake.requests).toEqual([set.lines.api, `${set.lines.api}?page=2`]);
  });

  test("of a registry that pads every page with annotations are taken up to a few megabytes", async () => {
    await using set = await setUp();
    const annotations = { padding: "x".repeat(3_900_000) };
    const descriptor = { ...set.signature.manifest.descriptor, size: 3, annotations };
    const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [descriptor] });
    for (let page = 1; page <= 10; page++) {
      const link = `</v2/team/app/referrers/${set.subject}?page=${page + 1}>; rel="next"`;
      set.fake.when({ kind: "referrers", skip: page - 1, times: 1 }, { headers: { link }, body });
    }
    expect((await set.list()).manifests).toHaveLength(3);
    expect(set.fake.requests).toHaveLength(3);
  });

  test.each([
    [500, "UPSTREAM_UNAVAILABLE"],
    [403, "DENIED"],
    [429, "UPSTREAM_THROTTLED"],
  ] as const)("answered with %s fail, and leave the fallback tag alone", async (status, code) => {
    await using set = await setUp({ status });
    await failureOf(set.list(), code);
    expect(set.fake.requests).toEqual([set.lines.api]);
  });
});
