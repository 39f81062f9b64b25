import { describe, expect, test } from "vitest";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import type { Quirk } from "../support/quirks.ts";
import { call, failureOf, listedAs, repositoryAt, startUpstreams } from "./asking.ts";

async function setUp(tags: readonly string[], quirk: Quirk = {}) {
  const stack = new AsyncDisposableStack();
  const fake = stack.use(await startFakeUpstream());
  const { manifest } = fake.putImage("team/app", undefined);
  for (const tag of tags) fake.setTag("team/app", tag, manifest.descriptor.digest);
  fake.when({ kind: "tags" }, quirk);
  const upstreams = stack.use(startUpstreams([listedAs(fake)]));
  const list = (page: { last?: string; limit?: number } = {}) => upstreams.listTags(repositoryAt(fake.host), { ...call(), ...page });
  return { fake, list, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe("tags", () => {
  test("come whole and sorted", async () => {
    await using set = await setUp(["b", "a", "C"]);
    const { tags, next } = await set.list();
    expect({ tags, next }).toEqual({ tags: ["C", "a", "b"], next: undefined });
    expect(set.fake.requests).toEqual(["GET /v2/team/app/tags/list"]);
  });

  test("come page by page where the upstream marks pages with `last`", async () => {
    await using set = await setUp(["a", "b", "c", "d", "e"], { tags: { pageSize: 2, paging: "last" } });
    const first = await set.list({ limit: 2 });
    expect(first).toMatchObject({ tags: ["a", "b"], next: "b" });
    const second = await set.list({ limit: 2, last: "b" });
    expect(second).toMatchObject({ tags: ["c", "d"], next: "d" });
    const third = await set.list({ limit: 2, last: "d" });
    expect(third.tags).toEqual(["e"]);
    expect(third.next).toBeUndefined();
    expect(set.fake.requests).toEqual(["GET /v2/team/app/tags/list?n=2", "GET /v2/team/app/tags/list?n=2&last=b", "GET /v2/team/app/tags/list?n=2&last=d"]);
  });

  test("of a registry that pads every page are collected up to a few dozen megabytes", async () => {
    await using set = await setUp(["a"]);
    const body = JSON.stringify({ tags: ["a"], padding: "x".repeat(12 << 20) });
    for (let page = 1; page <= 5; page++) {
      set.fake.when({ kind: "tags", skip: page - 1, times: 1 }, { headers: { link: `</v2/team/app/tags/list?page=${page + 1}>; rel="next"` }, body });
    }
    expect((await set.list()).tags).toEqual(["a"]);
    expect(set.fake.requests).toHaveLength(3);
  });

  test("are collected and paged here where the upstream's marks are its own", async () => {
    await using set = await setUp(["a", "b", "c", "d", "e"], { tags: { pageSize: 2, paging: "opaque" } });
    const first = await set.list({ limit: 3 });
    expect(first).toMatchObject({ tags: ["a", "b", "c"], next: "c" });
    const second = await set.list({ limit: 3, last: "c" });
    expect(second.tags).toEqual(["d", "e"]);
    expect(second.next).toBeUndefined();
  });

  test("are cut to the limit where the upstream drops the query", async () => {
    await using set = await setUp([], { status: 200, body: '{"tags":["a","b","c"]}' });
    expect(await set.list({ limit: 2 })).toMatchObject({ tags: ["a", "b"], next: "b" });
    const rest = await set.list({ limit: 2, last: "b" });
    expect(rest.tags).toEqual(["c"]);
    expect(rest.next).toBeUndefined();
  });

  test("come without what else is said of them", async () => {
    const body = JSON.stringify({ child: ["sub"], manifest: { "sha256:0": { tag: ["a"], timeUploadedMs: "1" } }, name: "team/app", tags: ["a"] });
    await using set = await setUp([], { status: 200, body });
    expect(await set.list()).toMatchObject({ tags: ["a"] });
    expect(set.fake.requests).toEqual(["GET /v2/team/app/tags/list"]);
  });

  test("that are none are left out", async () => {
    await using set = await setUp(["a"], { tags: { extraEntries: [null, 7, "sha256:abc", "", "../x", "ok"] } });
    expect((await set.list()).tags).toEqual(["a", "ok"]);
  });

  test("that are null are none", async () => {
    await using set = await setUp([], { tags: { nullWhenEmpty: true } });
    expect((await set.list()).tags).toEqual([]);
  });

  test("of an unknown repository", async () => {
    await using set = await setUp([], { status: 404 });
    expect((await failureOf(set.list(), "NAME_UNKNOWN")).source).toBe("upstream");
  });

  test.each(["<html></html>", "[]", "{}", "null"])("that are %s are unusable", async (body) => {
    await using set = await setUp([], { status: 200, body });
    await failureOf(set.list(), "UPSTREAM_UNAVAILABLE");
  });

  test("whose Link leads to itself, or elsewhere, end", async () => {
    await using set = await setUp(["a"], { headers: { link: '</v2/team/app/tags/list?page=2>; rel="next"' } });
    expect((await set.list()).tags).toEqual(["a"]);
    expect(set.fake.requests.length).toBeLessThanOrEqual(3);
    set.fake.forget();
    set.fake.when({ kind: "tags" }, { headers: { link: '<https://elsewhere.example/tags>; rel="next"' } });
    expect((await set.list()).tags).toEqual(["a"]);
    expect(set.fake.requests).toHaveLength(1);
  });
});
