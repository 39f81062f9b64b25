/** What a claim for room gets, and what goes for its sake. */
import { describe, expect, test } from "vitest";
import { Evictor } from "../../../src/cache/eviction/evictor.ts";
import { keepNothing, type SizeLimits } from "../../../src/cache/eviction/rules.ts";
import { HeldImages } from "../../../src/cache/held-images.ts";
import { systemClock } from "../../../src/oci/clock.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { depositImage, heldNames, repositoryNamed } from "../../support/deposited-images.ts";
import { buildImage, seededBytes } from "../../support/images.ts";
import { KeptLog } from "../../support/kept-log.ts";
import { lookUntil } from "../../support/looking.ts";
import { openTestStore, type TestStore } from "../../support/test-store.ts";

const tebibyte = 2 ** 40;
const imageBytes = 1024 * 1024;
const names = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => `r.example.com/team/n${number}:1`);
const { host } = repositoryNamed("r.example.com/team");
const other = repositoryNamed("other.example.com/team").host;

interface Rig extends AsyncDisposable {
  readonly evictor: Evictor;
  /** What everything takes. */
  readonly takenBytes: number;
  claim(sizeBytes: number, from?: typeof host): Promise<(() => void) | undefined>;
  held(): Promise<readonly string[]>;
}

/** A store of eight images, and an evictor that has counted them. */
async function arrange(limitsOf: (takenBytes: number) => Partial<SizeLimits>): Promise<Rig> {
  const store: TestStore = await openTestStore({ systemClock: true });
  for (const name of names) await depositImage(store, systemClock, name, buildImage({ layers: [{ [name]: seededBytes(imageBytes, name) }] }));
  const log = new KeptLog();
  const limits: SizeLimits = { totalBytes: 100 * tebibyte, byHost: new Map(), lowWater: 0.9 };
  const common = { store, images: new HeldImages({ store }), clock: systemClock, log, background: store.background };
  const evictor = new Evictor({ ...common, settings: { limits, keep: keepNothing } });
  expect(await lookUntil(async () => log.lines.some((line) => line.includes("has been counted")), Boolean, { waitMs: 10_000 })).toBe(true);
  const takenBytes = evictor.figures().budgets[0]?.takenBytes ?? 0;
  evictor.reconfigure({ limits: { byHost: new Map(), lowWater: 0.9, ...limitsOf(takenBytes) }, keep: keepNothing });
  const isMeasured = (): boolean => evictor.figures().budgets.every((budget) => budget.takenBytes >= names.length * imageBytes);
  expect(await lookUntil(async () => isMeasured(), Boolean, { waitMs: 10_000 })).toBe(true);
  let claims = 0;
  return {
    evictor,
    takenBytes,
    claim: (sizeBytes, from = host) => evictor.claim({ host: from, digest: digestOf(Buffer.from(`${++claims}`)), sizeBytes, arrivedBytes: () => 0 }),
    held: () => heldNames(store, systemClock),
    async [Symbol.asyncDispose]() {
      await evictor.close();
      await store[Symbol.asyncDispose]();
    },
  };
}

describe("a size that an upstream says", () => {
  test("and that is larger than the limit and the disk is refused, and nothing goes for its sake", async () => {
    await using one = await arrange((takenBytes) => ({ totalBytes: 2 * takenBytes }));
    expect(await one.claim(50 * tebibyte, other)).toBeUndefined();
    await one.evictor.close();
    expect(await one.held()).toEqual(names);
  });

  test("and that no disk has is refused where only registries have limits", async () => {
    await using one = await arrange((takenBytes) => ({ byHost: new Map([[host, 2 * takenBytes]]) }));
    expect(await one.claim(50 * tebibyte, other)).toBeUndefined();
    await one.evictor.close();
    expect(await one.held()).toEqual(names);
  });

  test("just below the limit takes nobody's place", async () => {
    await using one = await arrange((takenBytes) => ({ totalBytes: Math.floor(1.2 * takenBytes) }));
    expect(await one.claim(Math.floor(1.1 * one.takenBytes), other)).toBeUndefined();
    await one.evictor.close();
    expect(await one.held()).toEqual(names);
  });

  test("takes half of it at most together with what others were promised", async () => {
    await using one = await arrange((takenBytes) => ({ totalBytes: Math.floor(1.1 * takenBytes) }));
    const rooms = await Promise.all([1, 2, 3, 4, 5, 6].map(() => one.claim(Math.floor(0.2 * one.takenBytes), other)));
    expect(rooms.filter((room) => room !== undefined)).toHaveLength(2);
    await one.evictor.close();
    expect((await one.held()).length).toBeGreaterThanOrEqual(names.length / 2 - 1);
  });
});

test("a large blob has its place within its registry's limit, when the registry's other images can go", async () => {
  await using one = await arrange((takenBytes) => ({ byHost: new Map([[host, takenBytes]]) }));
  const room = await one.claim(Math.floor(0.6 * one.takenBytes));
  expect(room).toBeDefined();
  room?.();
  const left = await one.held();
  expect(left.length).toBeLessThan(names.length);
  expect(left.length).toBeGreaterThan(0);
});
