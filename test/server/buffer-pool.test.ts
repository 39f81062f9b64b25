import { expect, test } from "vitest";
import { BufferPool } from "../../src/server/buffer-pool.ts";
import { TestClock } from "../support/test-clock.ts";

const mebibyte = 1024 * 1024;

test("hands out what is wanted, rounded to a size", async () => {
  const pool = new BufferPool({ clock: new TestClock() });
  const sizes = [];
  for (const wanted of [1, 65_536, 65_537, 262_144, 262_145, 10 * mebibyte]) sizes.push((await pool.take(wanted)).bytes.byteLength);
  expect(sizes).toEqual([65_536, 65_536, 262_144, 262_144, mebibyte, mebibyte]);
});

test("hands out small ones when it is tight", async () => {
  const pool = new BufferPool({ clock: new TestClock(), totalBytes: 4 * mebibyte });
  expect((await pool.take(mebibyte)).bytes.byteLength).toBe(mebibyte);
  expect(pool.isTight).toBe(false);
  expect((await pool.take(mebibyte)).bytes.byteLength).toBe(65_536);
  expect(pool.isTight).toBe(true);
});

test("never lends more than it has; who waits is served in order", async () => {
  const clock = new TestClock();
  const pool = new BufferPool({ clock, totalBytes: 131_072 });
  const [one, two] = [await pool.take(1), await pool.take(1)];
  const order: string[] = [];
  const third = Promise.resolve(pool.take(1)).then((buffer) => (order.push("third"), buffer));
  const fourth = Promise.resolve(pool.take(1)).then((buffer) => (order.push("fourth"), buffer));
  expect(pool.usedBytes).toBe(131_072);
  one.release();
  expect((await third).bytes.byteLength).toBe(65_536);
  expect(order).toEqual(["third"]);
  two.discard();
  (await fourth).release();
  expect(order).toEqual(["third", "fourth"]);
  expect(clock.waiting).toBe(0);
});

test("a released buffer is used again, a discarded one never", async () => {
  const pool = new BufferPool({ clock: new TestClock() });
  const first = await pool.take(1);
  first.release();
  const second = await pool.take(1);
  expect(second.bytes).toBe(first.bytes);
  second.discard();
  expect((await pool.take(1)).bytes).not.toBe(first.bytes);
});

test("a wait has an end, and so has the queue", async () => {
  const clock = new TestClock();
  const pool = new BufferPool({ clock, totalBytes: 65_536, waitMs: 1_000, waitersMax: 1 });
  await pool.take(1);
  const waiting = Promise.resolve(pool.take(1));
  const outcome = expect(waiting).rejects.toMatchObject({ code: "OVERLOADED", retryAfterMs: 5_000 });
  await expect(Promise.resolve(pool.take(1))).rejects.toMatchObject({ code: "OVERLOADED" });
  await clock.advance(1_000);
  await outcome;
});

test("while others wait, the client that has held its buffer for longest is cut", async () => {
  const clock = new TestClock();
  const pool = new BufferPool({ clock, totalBytes: 131_072, yieldMs: 5_000, waitMs: 20_000 });
  const cut: string[] = [];
  const [first, second] = [await pool.take(1), await pool.take(1)];
  for (const [name, loan] of [
    ["first", first],
    ["second", second],
  ] as const) {
    loan.sending(() => {
      cut.push(name);
      loan.release();
    });
    await clock.advance(1_000);
  }
  const waiting = Promise.resolve(pool.take(1));
  await clock.advance(2_999);
  expect(cut).toEqual([]);
  await clock.advance(1);
  expect(cut).toEqual(["first"]);
  (await waiting).release();
  await clock.advance(60_000);
  expect(cut).toEqual(["first"]);
});

test("a buffer that waits for its bytes is nobody's fault", async () => {
  const clock = new TestClock();
  const pool = new BufferPool({ clock, totalBytes: 65_536, yieldMs: 5_000, waitMs: 20_000 });
  await pool.take(1);
  const refused = expect(Promise.resolve(pool.take(1))).rejects.toMatchObject({ code: "OVERLOADED" });
  await clock.advance(20_000);
  await refused;
});

test("free buffers count towards the total, and go when nothing was lent for a while", async () => {
  const clock = new TestClock();
  const pool = new BufferPool({ clock, totalBytes: 4 * mebibyte, idleMs: 10_000 });
  const large = await pool.take(mebibyte);
  large.release();
  await clock.advance(9_999);
  const again = await pool.take(mebibyte);
  expect(again.bytes).toBe(large.bytes);
  again.release();
  await clock.advance(10_000);
  expect((await pool.take(mebibyte)).bytes).not.toBe(large.bytes);
});
