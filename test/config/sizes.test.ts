import { describe, expect, test } from "vitest";
import { findSizeBytes } from "../../src/config/sizes.ts";

describe("sizes", () => {
  test.each([
    ["0", 0],
    ["4096", 4_096],
    ["1KiB", 1_024],
    ["1.5MiB", 1_572_864],
    ["200GiB", 214_748_364_800],
    ["2TiB", 2_199_023_255_552],
  ])("%s is %d bytes", (text, expected) => {
    expect(findSizeBytes(text)).toBe(expected);
  });

  test.each(["", "GiB", "-1", "1GB", "1G", "1 GiB", "1gib", "1e9", "99999999TiB"])("%j is none", (text) => {
    expect(findSizeBytes(text)).toBeUndefined();
  });
});
