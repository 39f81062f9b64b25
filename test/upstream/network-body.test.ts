/** Chunks from the socket, and what becomes of their memory. */
import { describe, expect, test } from "vitest";
import { NetworkBody } from "../../src/upstream/network-body.ts";
import { TestClock } from "../support/test-clock.ts";

function bodyOf(...chunks: readonly Buffer[]): NetworkBody {
  const body = new NetworkBody({ flow: { pause() {}, resume() {}, abort() {} }, clock: new TestClock() });
  for (const chunk of chunks) body.push(chunk);
  body.end();
  return body;
}

function ownMemory(text: string): Buffer {
  const chunk = Buffer.allocUnsafeSlow(text.length);
  chunk.write(text);
  return chunk;
}

async function readText(body: NetworkBody, pieceBytes: number): Promise<string> {
  const piece = Buffer.alloc(pieceBytes);
  let text = "";
  for (;;) {
    const length = await body.read(piece, 1_000);
    if (length === 0) return text;
    text += piece.toString("latin1", 0, length);
  }
}

describe("a body's chunks", () => {
  test.each([1, 3, 4, 7, 64])("are read in pieces of %i bytes as they came", async (pieceBytes) => {
    expect(await readText(bodyOf(ownMemory("abcd"), ownMemory("efghijk"), ownMemory("l")), pieceBytes)).toBe("abcdefghijkl");
  });

  test("that were copied whole have given their memory back; what is not yet copied has not", async () => {
    const [first, second] = [ownMemory("abcd"), ownMemory("efgh")];
    const body = bodyOf(first, second);
    await body.read(Buffer.alloc(6), 1_000);
    expect([first.buffer.byteLength, second.buffer.byteLength]).toEqual([0, 4]);
    expect(await readText(body, 10)).toBe("gh");
  });

  test("that were skipped have too", async () => {
    const [first, second] = [ownMemory("abcd"), ownMemory("efgh")];
    const body = bodyOf(first, second);
    expect(await body.skip(5, 1_000)).toBe(5);
    expect(first.buffer.byteLength).toBe(0);
    expect(await readText(body, 10)).toBe("fgh");
  });

  test("that are part of something larger leave it alone: a head and a body may have come together", async () => {
    const together = ownMemory("headBODY");
    expect(await readText(bodyOf(together.subarray(4)), 10)).toBe("BODY");
    expect(together.toString()).toBe("headBODY");
  });

  test("of a body that is read to its end at once are the caller's", async () => {
    const body = bodyOf(ownMemory("abcd"), ownMemory("efgh"));
    expect(await body.skip(1, 1_000)).toBe(1);
    expect((await body.readAll(100, new AbortController().signal)).toString()).toBe("bcdefgh");
  });
});

test("a body is waited for without end by who says so, and for as long as he says by everybody else", async () => {
  const clock = new TestClock();
  const body = new NetworkBody({ flow: { pause() {}, resume() {}, abort() {} }, clock });
  const piece = Buffer.alloc(4);
  const patient = body.read(piece, Infinity);
  await clock.advance(1_000 * 365 * 86_400_000);
  body.push(ownMemory("late"));
  expect(await patient).toBe(4);
  const hasty = expect(body.read(piece, 60_000)).rejects.toMatchObject({ code: "UPSTREAM_TIMEOUT" });
  await clock.advance(60_000);
  await hasty;
});
