/** `ociregistry prune`: the Go one's flags, what it prints, and what it refuses. */
import { writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { parseReference } from "../../src/oci/reference.ts";
import { depositImage, heldNames, missingParts, repositoryNamed } from "../support/deposited-images.ts";
import { buildImage, buildIndex } from "../support/images.ts";
import { openTestStore, type TestStore } from "../support/test-store.ts";
import { runLine } from "./captured-io.ts";

const image = buildImage();
const index = buildIndex([buildImage({ platform: "linux/amd64" }), buildImage({ platform: "linux/arm64" })]);

async function deposited(): Promise<TestStore> {
  const store = await openTestStore();
  await depositImage(store, store.clock, "docker.io/curlimages/curl:8", image);
  await store.clock.advance(3_600_000);
  await depositImage(store, store.clock, "docker.io/calico/typha:v3.27.0", index);
  return store;
}

const none = /^ociregistry: prune wants to know what/;

test("--pattern takes what a tag means with all below it, and says what it freed", async () => {
  await using store = await deposited();
  const { code, out } = await runLine(`prune --image-path ${store.layout.root} --pattern calico/typha:v3.27.0`);
  expect(code).toBe(0);
  expect(out.split("\n")).toEqual([
    expect.stringMatching(/^pruned docker\.io\/calico\/typha:v3\.27\.0 \(\d+\.\d KiB\): its name matches$/),
    expect.stringMatching(/^1 image pruned, \d files of \d+\.\d KiB freed$/),
    "",
  ]);
  expect(await heldNames(store, systemClock)).toEqual(["docker.io/curlimages/curl:8"]);
  expect(await missingParts(store, systemClock)).toEqual([]);
});

test("several patterns have commas between them, and --dry-run removes nothing", async () => {
  await using store = await deposited();
  for (const flag of ["--dry-run", "--dry-run=true"]) {
    const { out } = await runLine(`prune ${flag} --image-path ${store.layout.root} --pattern curl,calico`);
    expect(out).toMatch(/^would prune docker\.io\/calico.*\nwould prune docker\.io\/curl.*\n2 images would be pruned, \d+ files of .* would be freed\n$/);
  }
  expect(await heldNames(store, systemClock)).toHaveLength(2);
  await runLine(`prune --dry-run=false --image-path ${store.layout.root} --pattern curl,calico`);
  expect(await heldNames(store, systemClock)).toEqual([]);
});

test.each([
  ["2026-01-01T00:30:00", "UTC", ["docker.io/calico/typha:v3.27.0"]],
  // An hour ahead of UTC: half past one there.
  ["2026-01-01T01:30:00", "Europe/Berlin", ["docker.io/calico/typha:v3.27.0"]],
  ["2026-01-01T00:30:00", "Europe/Berlin", ["docker.io/calico/typha:v3.27.0", "docker.io/curlimages/curl:8"]],
  ["2025-12-31T19:30:00", "America/New_York", ["docker.io/calico/typha:v3.27.0"]],
])("--date %s is meant by a clock of %s", async (date, timezone, left) => {
  await using store = await deposited();
  const flags = `prune --image-path ${store.layout.root} --date ${date}`;
  expect((await runLine(`${flags} --timezone ${timezone}`)).code).toBe(0);
  expect(await heldNames(store, systemClock)).toEqual(left);
});

test("the configuration's time zone is the date's", async () => {
  await using store = await deposited();
  const file = `${store.layout.root}/config.yaml`;
  await writeFile(file, "pruneConfig: { timezone: Europe/Berlin }\n");
  await runLine(`prune --config-file ${file} --image-path ${store.layout.root} --date 2026-01-01T00:30:00`);
  expect(await heldNames(store, systemClock)).toHaveLength(2);
});

test("without flags it does what pruneConfig says, when that is enabled", async () => {
  await using store = await deposited();
  const file = `${store.layout.root}/config.yaml`;
  await writeFile(file, "pruneConfig: { enabled: true, type: created, duration: 0, keep: [{ pattern: calico/* }] }\n");
  expect(await runLine(`prune --config-file ${file} --image-path ${store.layout.root}`)).toMatchObject({
    code: 0,
    out: expect.stringContaining("1 image pruned"),
  });
  expect(await heldNames(store, systemClock)).toEqual(["docker.io/calico/typha:v3.27.0"]);
});

test("with dryRun in pruneConfig nothing goes, whatever the flags ask for, but --dry-run=false", async () => {
  await using store = await deposited();
  const file = `${store.layout.root}/config.yaml`;
  await writeFile(file, "pruneConfig: { enabled: true, type: created, duration: 0, dryRun: true }\n");
  const prune = (flags: string) => runLine(`prune --config-file ${file} --image-path ${store.layout.root} ${flags}`);
  for (const flags of ["", "--pattern curl,calico", "--dry-run"]) {
    expect((await prune(flags)).out).toMatch(/^would prune .*\nwould prune .*\n2 images would be pruned, .* would be freed\n$/);
  }
  expect((await prune("--json --pattern curl")).out).toContain('"dryRun":true');
  expect(await heldNames(store, systemClock)).toHaveLength(2);
  expect((await prune("--dry-run=false --pattern curl")).out).toMatch(/^pruned docker\.io\/curl/);
  expect(await heldNames(store, systemClock)).toEqual(["docker.io/calico/typha:v3.27.0"]);
});

test("what is pinned or kept is told, with the end and the reason; what matches nothing is told as such", async () => {
  await using store = await deposited();
  const file = `${store.layout.root}/config.yaml`;
  await writeFile(file, "pruneConfig: { keep: [{ pattern: calico/* }] }\n");
  await store.pins.put(repositoryNamed("docker.io/curlimages/curl"), parseReference("8"), { untilMs: Date.UTC(2099, 0, 2), reason: "the installer" });
  const prune = (flags: string) => runLine(`prune --config-file ${file} --image-path ${store.layout.root} ${flags}`);
  for (const [flags, sum] of [
    ["--dry-run", "0 images would be pruned, 0 files of 0 bytes would be freed"],
    ["", "0 images pruned, 0 files of 0 bytes freed"],
  ]) {
    expect((await prune(`--pattern curl,calico ${flags}`)).out.split("\n")).toEqual([
      "stays docker.io/calico/typha:v3.27.0: pruneConfig.keep keeps it",
      "stays docker.io/curlimages/curl:8: it is pinned until 2099-01-02T00:00:00Z (the installer)",
      `${sum}; 2 images match and stay`,
      "",
    ]);
    expect((await prune(`--pattern postgres ${flags}`)).out).toBe(`${sum}; nothing matches\n`);
  }
  expect((await prune("--json --dry-run --pattern curl")).out).toMatch(/"stays":true,"reason":"it is pinned until .*\n.*"staying":1\}\n$/);
  expect(await heldNames(store, systemClock)).toHaveLength(2);
});

test("--json prints a line for each image, and the sums", async () => {
  await using store = await deposited();
  const { out } = await runLine(`prune --json --dry-run --image-path ${store.layout.root} --pattern curl`);
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  expect(lines).toEqual([
    { names: ["docker.io/curlimages/curl:8"], digest: image.manifest.descriptor.digest, whole: true, reason: "its name matches", size: expect.any(Number) },
    { images: 1, files: expect.any(Number), freedBytes: expect.any(Number), dryRun: true, staying: 0 },
  ]);
});

test.each([
  ["prune", none],
  ["prune --pattern ,", /--pattern: there is none/],
  ["prune --pattern (", /"\(" is no regular expression of Go's/],
  ["prune --date 2026-02-30T00:00:00", /"2026-02-30T00:00:00" is not a date such as/],
  ["prune --date yesterday", /"yesterday" is not a date such as/],
  ["prune --date 2026-02-01T00:00:00 --timezone Mars", /"Mars" is not a time zone/],
])("%s is misuse, and nothing is touched", async (line, problem) => {
  const { code, out, errors } = await runLine(`${line} --image-path /nowhere/store`);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(errors).toMatch(problem);
});

test("says on stderr what it does, and nothing of it in its result", async () => {
  await using store = await deposited();
  const { out, errors } = await runLine(`prune --dry-run --image-path ${store.layout.root} --pattern curl`);
  expect(errors).toBe("looking through what is held\n");
  expect(out).not.toContain("looking");
});
