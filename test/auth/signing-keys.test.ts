import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { overlapMs, SigningKeys, signingMs } from "../../src/auth/signing-keys.ts";
import { silentLog, type LogFields } from "../../src/oci/log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

async function setup(): Promise<{ folder: string; clock: TestClock; open: () => SigningKeys } & AsyncDisposable> {
  const temporary = await temporaryFolder();
  const folder = join(temporary.path, "state", "token-keys");
  const clock = new TestClock();
  return { folder, clock, open: () => new SigningKeys({ folder, clock, log: silentLog }), [Symbol.asyncDispose]: temporary[Symbol.asyncDispose] };
}

function knows(keys: SigningKeys, id: string): Promise<boolean> {
  return keys.find({ algorithm: "ES256", id }).then(({ kind }) => kind === "found");
}

test("a key is made when it is first needed, one for all who ask at once, for its owner's eyes", async () => {
  await using at = await setup();
  const keys = at.open();
  const made = await Promise.all(Array.from({ length: 20 }, () => keys.current()));
  expect(new Set(made.map(({ id }) => id)).size).toBe(1);
  const [name = "", ...more] = await readdir(at.folder);
  expect(more).toEqual([]);
  expect((await stat(join(at.folder, name))).mode & 0o777).toBe(0o600);
  expect((await stat(at.folder)).mode & 0o777).toBe(0o700);
});

test("it outlives the process, and another process of the same folder takes it at once", async () => {
  await using at = await setup();
  const [one, other] = [at.open(), at.open()];
  // The other one has looked before there was any.
  expect(await knows(other, "nothing")).toBe(false);
  const { id } = await one.current();
  await at.clock.advance(1_000);
  expect(await knows(other, id)).toBe(true);
  expect((await at.open().current()).id).toBe(id);
});

test("after a week another key signs, and what the old one signed counts for an hour more", async () => {
  await using at = await setup();
  const keys = at.open();
  const { id: old } = await keys.current();
  await at.clock.advance(signingMs - 1);
  expect((await keys.current()).id).toBe(old);
  await at.clock.advance(1);
  const { id } = await keys.current();
  expect(id).not.toBe(old);
  expect(await knows(keys, old)).toBe(true);
  await at.clock.advance(overlapMs - 1);
  expect(await knows(keys, old)).toBe(true);
  await at.clock.advance(1);
  expect(await knows(keys, old)).toBe(false);
  expect(await knows(keys, id)).toBe(true);
});

test("old keys are removed with the next rotation", async () => {
  await using at = await setup();
  const keys = at.open();
  await keys.current();
  await at.clock.advance(signingMs);
  await keys.current();
  expect(await readdir(at.folder)).toHaveLength(2);
  await at.clock.advance(signingMs);
  const generation = keys.generation;
  await keys.current();
  expect(await readdir(at.folder)).toHaveLength(2);
  expect(keys.generation).toBeGreaterThan(generation);
});

test("a key that somebody takes away ends within a minute, and with it what is remembered", async () => {
  await using at = await setup();
  const keys = at.open();
  const { id } = await keys.current();
  const generation = keys.generation;
  await rm(at.folder, { recursive: true });
  await at.clock.advance(60_000);
  expect(await knows(keys, id)).toBe(false);
  expect(keys.generation).toBeGreaterThan(generation);
  expect((await keys.current()).id).not.toBe(id);
});

test("a torn, empty or strange file is left aside", async () => {
  await using at = await setup();
  const { id } = await at.open().current();
  const [name = ""] = await readdir(at.folder);
  const later = `${at.clock.now() + 1}-00000000.pem`;
  await writeFile(join(at.folder, later), (await readFile(join(at.folder, name), "utf8")).slice(0, 60));
  await writeFile(join(at.folder, `${at.clock.now() + 2}-00000000.pem`), "");
  await writeFile(join(at.folder, "notes.txt"), "mine");
  expect((await at.open().current()).id).toBe(id);
});

test("where nothing can be kept, tokens are signed all the same, and the log says what that means", async () => {
  await using temporary = await temporaryFolder();
  const warnings: LogFields[] = [];
  const log = { ...silentLog, warn: (fields: LogFields) => void warnings.push(fields) };
  // A file in the folder's place stops root too.
  await writeFile(join(temporary.path, "state"), "");
  const keys = new SigningKeys({ folder: join(temporary.path, "state", "token-keys"), clock: new TestClock(), log });
  const { id } = await keys.current();
  expect((await keys.current()).id).toBe(id);
  expect(await knows(keys, id)).toBe(true);
  expect(warnings.length).toBeGreaterThan(0);
});

test("whatever key ids strangers make up, the folder is looked at once a second", async () => {
  await using at = await setup();
  const [one, other] = [at.open(), at.open()];
  expect(await knows(one, "made-up")).toBe(false);
  const { id } = await other.current();
  // Were it looked at for each, this one would be there.
  expect(await knows(one, id)).toBe(false);
  await at.clock.advance(1_000);
  expect(await knows(one, id)).toBe(true);
});

test("a token without a key id is nobody's", async () => {
  await using at = await setup();
  const keys = at.open();
  await keys.current();
  expect(await keys.find({ algorithm: "ES256", id: undefined })).toEqual({ kind: "unknown" });
});
