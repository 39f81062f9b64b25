import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { refreshLifeMs, RefreshTokens, refreshTokensMax } from "../../src/auth/refresh-tokens.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

const alice = { user: "alice", stamp: "first" };

async function setup(): Promise<{ folder: string; clock: TestClock; tokens: RefreshTokens } & AsyncDisposable> {
  const temporary = await temporaryFolder();
  const folder = join(temporary.path, "refresh-tokens");
  const clock = new TestClock();
  return { folder, clock, tokens: new RefreshTokens({ folder, clock }), [Symbol.asyncDispose]: temporary[Symbol.asyncDispose] };
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

test("a token stands for its user, also for another process", async () => {
  await using at = await setup();
  const token = await at.tokens.issue(alice);
  expect(await at.tokens.redeem(token)).toEqual(alice);
  expect(await new RefreshTokens({ folder: at.folder, clock: at.clock }).redeem(token)).toEqual(alice);
});

test("the folder gives no token away, and is for its owner's eyes", async () => {
  await using at = await setup();
  const token = await at.tokens.issue(alice);
  const secret = token.split("_").at(-1) ?? "";
  const [file = "", ...more] = await filesOf(at.folder);
  expect(more).toEqual([]);
  expect(`${file}${await readFile(file, "utf8")}`).not.toContain(secret);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test("a token that was changed in any place stands for nobody", async () => {
  await using at = await setup();
  const token = await at.tokens.issue(alice);
  await at.tokens.issue({ user: "bob", stamp: "x" });
  const [, bob = ""] = /^ocr_(.*)_/.exec(await at.tokens.issue({ user: "bob", stamp: "x" })) ?? [];
  const [, own = ""] = /^ocr_(.*)_/.exec(token) ?? [];
  const changed = [token.slice(0, -1), `${token}A`, token.replace(own, bob), token.replace("ocr_", "ocr_../"), token.toUpperCase(), "", "ocr__", own];
  for (const wrong of changed) expect(await at.tokens.redeem(wrong)).toBeUndefined();
});

test("a revoked token is over, and the others of its user are not", async () => {
  await using at = await setup();
  const [one, other] = [await at.tokens.issue(alice), await at.tokens.issue(alice)];
  await at.tokens.revoke(one);
  await at.tokens.revoke("garbage");
  expect(await at.tokens.redeem(one)).toBeUndefined();
  expect(await at.tokens.redeem(other)).toEqual(alice);
});

test("all of one user's are over at once, also for another process, and everybody's are", async () => {
  await using at = await setup();
  const bob = { user: "bob", stamp: "x" };
  const [one, other, his] = [await at.tokens.issue(alice), await at.tokens.issue(alice), await at.tokens.issue(bob)];
  const elsewhere = new RefreshTokens({ folder: at.folder, clock: at.clock });
  expect([await elsewhere.revokeAll("nobody"), await elsewhere.revokeAll("alice"), await elsewhere.revokeAll("alice")]).toEqual([0, 2, 0]);
  expect([await at.tokens.redeem(one), await at.tokens.redeem(other), await at.tokens.redeem(his)]).toEqual([undefined, undefined, bob]);
  const later = await at.tokens.issue(alice);
  expect([await elsewhere.revokeAll(undefined), await at.tokens.redeem(his), await at.tokens.redeem(later)]).toEqual([2, undefined, undefined]);
  expect(await filesOf(at.folder)).toEqual([]);
});

test("where nobody ever logged in there is nothing to revoke", async () => {
  await using at = await setup();
  expect([await at.tokens.revokeAll(undefined), await at.tokens.revokeAll("alice")]).toEqual([0, 0]);
});

test("a token that is used lives on, one that is not is over after 30 days, and gone", async () => {
  await using at = await setup();
  const [used, unused] = [await at.tokens.issue(alice), await at.tokens.issue(alice)];
  for (let day = 0; day < 30; day += 10) {
    await at.clock.advance(refreshLifeMs / 3);
    expect(await at.tokens.redeem(used)).toEqual(alice);
  }
  await at.clock.advance(1_000);
  expect(await at.tokens.redeem(unused)).toBeUndefined();
  expect(await at.tokens.redeem(used)).toEqual(alice);
  expect(await filesOf(at.folder)).toHaveLength(1);
});

test("of too many tokens of one user the one that was not used for the longest makes room", async () => {
  await using at = await setup();
  const first = await at.tokens.issue(alice);
  await at.clock.advance(1_000);
  const second = await at.tokens.issue(alice);
  for (let count = 2; count < refreshTokensMax + 1; count++) {
    await at.clock.advance(1_000);
    await at.tokens.issue(alice);
  }
  expect(await at.tokens.redeem(first)).toBeUndefined();
  expect(await at.tokens.redeem(second)).toEqual(alice);
  expect(await filesOf(at.folder)).toHaveLength(refreshTokensMax);
});

test("a torn file is a token that is over", async () => {
  await using at = await setup();
  const token = await at.tokens.issue(alice);
  const [file = ""] = await filesOf(at.folder);
  for (const torn of ["", "{", "[]", '{"user":1}', '{"user":"bob","stamp":"first"}']) {
    await writeFile(file, torn);
    expect(await at.tokens.redeem(token)).toBeUndefined();
  }
});
