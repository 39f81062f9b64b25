import { expect, test } from "vitest";
import { DiskHangs, DiskShare } from "../../src/auth/disk-share.ts";
import { TestClock } from "../support/test-clock.ts";

/** Work that ends when it is told to. */
class Gate {
  begun = 0;
  readonly #doors: (() => void)[] = [];

  readonly work = (): Promise<string> => {
    this.begun++;
    return new Promise((resolve) => this.#doors.push(() => resolve("done")));
  };

  /** Ends one of those that were begun, the oldest first. */
  open(): void {
    this.#doors.shift()?.();
  }
}

function setup(): { clock: TestClock; gate: Gate; share: DiskShare } {
  const clock = new TestClock();
  return { clock, gate: new Gate(), share: new DiskShare({ workingMax: 2, waitingMax: 3, answerMs: 1_000, clock }) };
}

test("no more than its share are at the disk, and whoever waits comes in the order of asking", async () => {
  const { clock, gate, share } = setup();
  const ended: number[] = [];
  const all = [0, 1, 2, 3].map((number) => share.run(gate.work).then(() => ended.push(number)));
  await clock.advance(0);
  expect(gate.begun).toBe(2);
  gate.open();
  await clock.advance(0);
  expect([gate.begun, ended]).toEqual([3, [0]]);
  for (let left = 0; left < 3; left++) {
    gate.open();
    await clock.advance(0);
  }
  await Promise.all(all);
  expect(ended).toEqual([0, 1, 2, 3]);
});

test("work that fails fails for whoever asked, and gives its place to the next", async () => {
  const { share } = setup();
  for (let count = 0; count < 5; count++) await expect(share.run(() => Promise.reject(new Error("EIO")))).rejects.toThrow("EIO");
  expect(await share.run(() => Promise.resolve("well"))).toBe("well");
});

test("a disk that hangs is waited for once; while its share hangs everybody else is told at once, and when it answers all is well again", async () => {
  const { clock, gate, share } = setup();
  const [one, other, behind] = [share.run(gate.work), share.run(gate.work), share.run(gate.work)].map((work) => work.catch((error: unknown) => error));
  await clock.advance(999);
  expect(clock.waiting).toBe(3);
  await clock.advance(1);
  for (const hung of [one, other, behind]) expect(await hung).toBeInstanceOf(DiskHangs);
  // Who was behind them was never begun, and is not begun for nobody.
  expect(gate.begun).toBe(2);
  await expect(share.run(gate.work)).rejects.toThrow(/2 questions hang/);
  expect(clock.waiting).toBe(0);
  gate.open();
  await clock.advance(0);
  expect(await share.run(() => Promise.resolve("well"))).toBe("well");
  gate.open();
  await clock.advance(0);
  const both = [share.run(gate.work), share.run(gate.work)];
  await clock.advance(0);
  expect(gate.begun).toBe(4);
  gate.open();
  gate.open();
  expect(await Promise.all(both)).toEqual(["done", "done"]);
});

test("one too many is told so", async () => {
  const { clock, gate, share } = setup();
  const all = Array.from({ length: 5 }, () => share.run(gate.work).catch(() => {}));
  await clock.advance(0);
  await expect(share.run(gate.work)).rejects.toThrow(/3 questions wait/);
  await clock.advance(1_000);
  await Promise.all(all);
});
