/** Rules that each registry may have of its own, from the configuration to what clients get and upstreams are asked. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import type { Quirk } from "../support/quirks.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

/** One upstream under several names: the rules are all that differs. */
const rules: Readonly<Record<string, object>> = {
  "lenient.test": {},
  "strict.test": { staleIfError: false, whenDenied: "refuse", whenGone: "refuse" },
  "aged.test": { staleIfError: "1h", whenDenied: "1h" },
  "trusting.test": { tagTtl: "1h" },
  "mixed.test": { tagTtl: { default: "0s", "fixed/**": "-1" } },
};

let folder: TemporaryFolder;
let upstream: FakeUpstream;
let server: OurServer;

beforeAll(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  for (const repository of ["team/app", "fixed/app"]) for (const tag of ["1", "latest"]) upstream.putImage(repository, tag);
  const registries = Object.entries(rules).map(([name, more]) => ({ name, scheme: "http", endpoints: [upstream.url], originFallback: false, ...more }));
  server = await startOurServer({ folder: folder.path, config: { tagTtl: "0s", alwaysPullLatest: true, registries } });
  for (const name of Object.keys(rules)) for (const path of ["team/app", "fixed/app"]) for (const tag of ["1", "latest"]) await get(name, path, tag);
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await upstream?.close();
  await folder?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  upstream.behave();
  upstream.forget();
});

function get(name: string, path = "team/app", tag = "1"): Promise<Response> {
  return fetch(`${server.url}/v2/${name}/${path}/manifests/${tag}`);
}

test.each<[string, Quirk, Readonly<Record<string, number>>]>([
  ["refuses", { status: 403 }, { "lenient.test": 200, "strict.test": 403, "aged.test": 200 }],
  ["has it no more", { status: 404 }, { "lenient.test": 200, "strict.test": 404, "aged.test": 200 }],
  ["is ill", { status: 503 }, { "lenient.test": 200, "strict.test": 502, "aged.test": 200 }],
])("an upstream that %s: each registry's own rule says what is served", async (_, quirk, statuses) => {
  upstream.when({ kind: "manifest" }, quirk);
  for (const [name, status] of Object.entries(statuses)) {
    const answer = await get(name);
    expect([name, answer.status, answer.headers.has("warning")]).toEqual([name, status, status === 200]);
  }
  expect(upstream.requests).toEqual(Array(3).fill("HEAD /v2/team/app/manifests/1"));
});

test.each([
  ["lenient.test", ["team/app/manifests/1", "fixed/app/manifests/1"]],
  ["trusting.test", []],
  ["mixed.test", ["team/app/manifests/1"]],
])("a tag of %s is asked for again when its time to live says so, and latest always", async (name, again) => {
  for (const path of ["team/app", "fixed/app"]) for (const tag of ["1", "latest"]) expect((await get(name, path, tag)).status).toBe(200);
  const asked = [...again, "team/app/manifests/latest", "fixed/app/manifests/latest"];
  expect(upstream.requests.toSorted()).toEqual(asked.map((path) => `HEAD /v2/${path}`).toSorted());
});
