import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { formatTarHeader, parsePathRecord, parseTarHeader, tarBlockBytes, tarEnd } from "../../src/transfer/tar-format.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const run = promisify(execFile);
const longName = `blobs/sha512/${"ab".repeat(64)}`;

test.each([0, 1, 511, 512, 8 ** 11 - 1, 8 ** 11, 10 * 2 ** 40])("a size of %d comes back", (sizeBytes) => {
  expect(parseTarHeader(formatTarHeader("blobs/sha256/x", sizeBytes))).toEqual({ name: "blobs/sha256/x", sizeBytes, kind: "file" });
});

test.each([100, 101, 141, 200, 983, 984, 1_000])("a name of %d characters comes back", (length) => {
  const name = "n".repeat(length);
  const bytes = formatTarHeader(name, 7);
  const first = parseTarHeader(bytes.subarray(0, tarBlockBytes));
  if (length <= 100) expect(first).toEqual({ name, sizeBytes: 7, kind: "file" });
  else {
    expect(first).toMatchObject({ kind: "path" });
    expect(parsePathRecord(bytes.subarray(tarBlockBytes, tarBlockBytes + (first?.sizeBytes ?? 0)))).toBe(name);
    expect(parseTarHeader(bytes.subarray(-tarBlockBytes))).toMatchObject({ sizeBytes: 7, kind: "file" });
  }
});

test("tar reads long names, and sizes that octal digits do not hold", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "x.tar");
  await writeFile(file, Buffer.concat([formatTarHeader(longName, 0), formatTarHeader("small", 0), tarEnd()]));
  expect((await run("tar", ["--list", "--file", file])).stdout).toBe(`${longName}\nsmall\n`);
  await writeFile(file, formatTarHeader("huge", 20 * 2 ** 30));
  expect((await run("tar", ["--list", "--verbose", "--file", file]).catch((error: { stdout: string }) => error)).stdout).toContain(` ${20 * 2 ** 30} `);
});

test("a flipped bit in a header is seen", () => {
  for (let bit = 0; bit < tarBlockBytes * 8; bit += 7) {
    const block = formatTarHeader("blobs/sha256/x", 1_234);
    block[bit >> 3] = (block[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    // The digits of the sum itself may be written in more than one way.
    if (bit >> 3 < 148 || bit >> 3 >= 156) expect(() => parseTarHeader(block), `bit ${bit}`).toThrow("not a tar header");
  }
});

test.each(["12 path=x\n", "9 size=1\n", "x", "9 path=x\n9 path=y\n"])("an extended header that is no single name is refused: %j", (record) => {
  expect(() => parsePathRecord(Buffer.from(record))).toThrow("an extended tar header that says more than a name");
});
