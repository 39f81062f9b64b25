/** Answers from memory are the answers that the disk gives: the same to the last header, whatever is asked. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { seededBytes } from "../support/images.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";

const small = seededBytes(20_000, "small");
let folder: TemporaryFolder;
let upstream: FakeUpstream;
let server: OurServer;
let paths: Readonly<Record<string, string>>;
const etags: Record<string, string> = {};

beforeAll(async () => {
  folder = await temporaryFolder();
  upstream = await startFakeUpstream();
  const image = upstream.putImage("team/app", "1");
  const blob = upstream.putBlob("team/app", small);
  server = await startOurServer({ folder: folder.path, config: { registries: [{ name: upstream.host, scheme: "http" }] } });
  const base = `/v2/${upstream.host}/team/app`;
  const { digest } = image.manifest.descriptor;
  paths = { tag: `${base}/manifests/1`, digest: `${base}/manifests/${digest}`, blob: `${base}/blobs/${blob}` };
  for (const [name, path] of Object.entries(paths)) {
    const answer = await fetch(`${server.url}${path}`);
    await answer.arrayBuffer();
    etags[name] = answer.headers.get("etag") ?? "";
  }
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await upstream?.close();
  await folder?.[Symbol.asyncDispose]();
});

async function ask(path: string, method: string, headers: Record<string, string>) {
  const answer = await fetch(path, { method, headers });
  const own = new Set(["date", "x-request-id"]);
  return {
    status: answer.status,
    headers: [...answer.headers].filter(([name]) => !own.has(name)),
    hasRequestId: answer.headers.has("x-request-id"),
    body: Buffer.from(await answer.arrayBuffer()).toString("base64"),
  };
}

const questions: readonly [string, (etag: string) => Record<string, string>][] = [
  ["GET", () => ({})],
  ["HEAD", () => ({})],
  ["GET", (etag) => ({ "if-none-match": etag })],
  ["HEAD", (etag) => ({ "if-none-match": etag })],
  ["GET", () => ({ range: "bytes=5-20" })],
  ["GET", () => ({ range: "bytes=900000-" })],
  ["HEAD", () => ({ range: "bytes=5-20" })],
  ["GET", () => ({ "if-none-match": '"sha256:other"', connection: "close" })],
];

test.each(questions)("%s with %s", async (method, headersFor) => {
  const registries = [{ name: upstream.host, scheme: "http" }];
  // Files are trusted for a second: what a new server is asked first comes from the disk, what it is asked again from memory.
  await using fresh = await startOurServer({ folder: folder.path, config: { imagePath: server.imagePath, registries } });
  for (const [name, path] of Object.entries(paths)) {
    const headers = headersFor(etags[name] ?? "");
    const url = `${fresh.url}${path}`;
    const fromDisk = await ask(url, method, headers);
    await ask(url, "GET", {});
    const fromMemory = await ask(url, method, headers);
    expect(fromMemory, name).toEqual(fromDisk);
    expect(fromMemory.hasRequestId).toBe(true);
  }
});

test("a client that is told nothing new is sent nothing", async () => {
  for (let again = 0; again < 3; again++) {
    expect(await ask(`${server.url}${paths["tag"] ?? ""}`, "GET", { "if-none-match": etags["tag"] ?? "" })).toMatchObject({ status: 304, body: "" });
  }
});
