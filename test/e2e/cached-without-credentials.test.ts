/** What is held needs no credential: with the token provider down from the start it is served as with it up. */
import { describe, expect, test } from "vitest";
import { compareHeld, fetchWhole, startOnOneStore, type Down } from "./cached-without-credentials.ts";

describe.each(["away", "silent"] as const satisfies readonly Down[])("with a token provider that is %s", (how) => {
  test("what is held goes out as it does with a token, and the registry is asked nothing", async () => {
    await using servers = await startOnOneStore({ how });
    const { upstream, aws, up, down, held } = servers;
    upstream.forget();
    for (const path of held) {
      const expected = await fetchWhole(up, path);
      expect(expected).toMatchObject({ status: 200, warning: null });
      expect(await fetchWhole(down, path), path).toEqual(expected);
    }
    expect(upstream.requests).toEqual([]);
    expect(aws.asked).toHaveLength(1);
  });

  test("a tag whose time is over is served with a warning; the rest without", async () => {
    await using servers = await startOnOneStore({ how, tagTtl: "0s" });
    const { upstream, down, held } = servers;
    upstream.forget();
    const warnings: (string | null)[] = [];
    for (const path of held) {
      const { status, warning } = await fetchWhole(down, path);
      expect(status).toBe(200);
      warnings.push(warning);
    }
    expect(warnings).toEqual([expect.stringContaining(`upstream ${upstream.host} unavailable; served from cache`), ...held.slice(1).map(() => null)]);
    expect(upstream.requests).toEqual([]);
  });
});

test("what is not held is 502 while no token can be had, and readiness tells why, at 200", async () => {
  await using servers = await startOnOneStore({ how: "away" });
  const { upstream, down } = servers;
  upstream.putImage("team/other", "1");
  upstream.forget();
  expect(await fetchWhole(down, "/v2/up/team/other/manifests/1")).toMatchObject({ status: 502, challenge: null });
  const readiness = await fetchWhole(down, "/readyz");
  expect(readiness.status).toBe(200);
  expect(readiness.body).toContain('"credential":{"state":"failing"}');
  // Why names accounts and paths: that stands in the log, and probes are open to everybody.
  expect(readiness.body).not.toContain("connection refused");
  expect(upstream.requests).toEqual([]);
});

test("both are measured in turn", async () => {
  const asked: string[] = [];
  const { up, down } = await compareHeld({ how: "away", rounds: 2, measure: async (url) => asked.push((await fetch(url)).ok ? url : "failed") });
  expect([up, down]).toEqual([
    [3, 6],
    [4, 5],
  ]);
  expect(asked).not.toContain("failed");
});
