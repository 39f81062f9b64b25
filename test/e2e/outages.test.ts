/** Every way for an upstream to be away, seen by clients of the real program: with the image held, and with nothing held. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import type { BuiltImage } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import type { Quirk } from "../support/quirks.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

interface Outage {
  readonly name: string;
  /** Absent: nobody listens any more. */
  readonly quirk?: Quirk;
  /** What a pull gets of what is held, and of what is not. */
  readonly heldWarning: RegExp;
  readonly absentStatus: number;
  readonly absentCode?: string;
}

const unavailable = /^299 - "upstream \S+ unavailable; served from cache, last checked \d{4}-\d\d-\d\dT/;
const page = "<!doctype html><title>down for maintenance</title>";

const outages: readonly Outage[] = [
  { name: "refuses connections", heldWarning: unavailable, absentStatus: 502 },
  { name: "closes connections without a word", quirk: { drop: true }, heldWarning: unavailable, absentStatus: 502 },
  { name: "answers 500", quirk: { status: 500 }, heldWarning: unavailable, absentStatus: 502 },
  { name: "answers 503", quirk: { status: 503, headers: { "retry-after": "1" } }, heldWarning: unavailable, absentStatus: 502 },
  { name: "answers 429", quirk: { status: 429, headers: { "retry-after": "3" } }, heldWarning: unavailable, absentStatus: 503 },
  {
    name: "answers 200 with a page",
    quirk: { status: 200, headers: { "content-type": "text/html" }, body: page },
    heldWarning: unavailable,
    absentStatus: 502,
  },
  { name: "redirects in a circle", quirk: { redirectTo: "/v2/circle" }, heldWarning: unavailable, absentStatus: 502 },
  { name: "answers 401 without a challenge", quirk: { status: 401 }, heldWarning: /^299 - "access refused by /, absentStatus: 403, absentCode: "DENIED" },
  { name: "answers 403", quirk: { status: 403 }, heldWarning: /^299 - "access refused by /, absentStatus: 403, absentCode: "DENIED" },
  { name: "answers 404", quirk: { status: 404 }, heldWarning: /^299 - "gone from /, absentStatus: 404, absentCode: "MANIFEST_UNKNOWN" },
];

let folder: TemporaryFolder;
let server: OurServer;
const upstreams: FakeUpstream[] = [];
const images: BuiltImage[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  for (const _ of outages) {
    const upstream = await startFakeUpstream();
    images.push(upstream.putImage("held", "1", { layers: [{ "etc/host": upstream.host }] }));
    upstream.putImage("absent", "1", {});
    upstreams.push(upstream);
  }
  const registries = upstreams.map(({ host }, at) => ({ name: host, scheme: "http", aliases: [`up${at}`] }));
  server = await startOurServer({ folder: folder.path, config: { tagTtl: "0s", registries } });
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  for (const upstream of upstreams) await upstream.close();
  await folder?.[Symbol.asyncDispose]();
});

describe.each(outages.map((outage, at) => ({ ...outage, at })))("an upstream that $name", ({ at, quirk, heldWarning, absentStatus, absentCode }) => {
  const get = (path: string): Promise<Response> => fetch(`${server.url}/v2/up${at}/${path}`);
  const upstreamOf = (): FakeUpstream => upstreams[at] ?? expect.fail("no upstream");
  const imageOf = (): BuiltImage => images[at] ?? expect.fail("no image");

  test("is not noticed by who pulls what is held, but for a warning", async () => {
    const { manifest, blobs } = imageOf();
    for (const path of ["manifests/1", ...[...blobs.keys()].map((digest) => `blobs/${digest}`)]) expect((await get(`held/${path}`)).status).toBe(200);
    const upstream = upstreamOf();
    if (quirk) upstream.when({}, quirk);
    else await upstream.refuse();
    upstream.forget();
    const answer = await get("held/manifests/1");
    expect([answer.status, Buffer.from(await answer.arrayBuffer())]).toEqual([200, Buffer.from(manifest.bytes)]);
    expect(answer.headers.get("warning")).toMatch(heldWarning);
    for (const [digest, bytes] of blobs) {
      const blob = await get(`held/blobs/${digest}`);
      expect([blob.status, blob.headers.get("warning"), Buffer.from(await blob.arrayBuffer()).equals(bytes)]).toEqual([200, null, true]);
    }
    expect(upstream.requests.filter((line) => line.includes("/blobs/"))).toEqual([]);
  });

  test("is told to who pulls what is not held, as an error to move on from", async () => {
    const answer = await get("absent/manifests/1");
    const body: unknown = await answer.json();
    expect([answer.status, body]).toEqual([
      absentStatus,
      { errors: [expect.objectContaining({ code: absentCode ?? expect.any(String), message: expect.any(String) })] },
    ]);
    if (absentStatus === 503) expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  });
});

test("an upstream that is silent: what is held goes out all the same, and from then on nobody waits for it", async () => {
  await using quiet = await temporaryFolder();
  await using upstream = await startFakeUpstream();
  const { manifest } = upstream.putImage("held", "1");
  await using own = await startOurServer({
    folder: quiet.path,
    config: { tagTtl: "0s", registries: [{ name: upstream.host, scheme: "http", aliases: ["up"] }] },
  });
  const get = (): Promise<Response> => fetch(`${own.url}/v2/up/held/manifests/1`);
  expect((await get()).headers.get("warning")).toBeNull();
  upstream.when({}, { silent: "before headers" });
  for (let again = 0; again < 3; again++) {
    const answer = await get();
    expect([answer.status, answer.headers.get("docker-content-digest")]).toEqual([200, manifest.descriptor.digest]);
    expect(answer.headers.get("warning")).toMatch(unavailable);
  }
  upstream.behave();
  await upstream.refuse(); // The connections that hang.
  await upstream.accept();
  await expect.poll(async () => (await get()).headers.get("warning"), { timeout: 10_000 }).toBeNull();
});
