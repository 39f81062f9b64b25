import { describe, expect, test } from "vitest";
import { canonicalAddress, classifyAddress } from "../../src/upstream/addresses.ts";

describe("an address is", () => {
  test.each([
    ["public", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]],
    ["loopback", ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "::ffff:0:127.0.0.1"]],
    [
      "private",
      ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:c0a8:101::"],
    ],
    [
      "special",
      [
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "240.0.0.1",
        "2001:db8::1",
        "2001::1",
        "100::1",
        "3fff::1",
        "64:ff9b:1::808:808",
        "4000::1",
        "fec0::1",
      ],
    ],
    [
      "forbidden",
      [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "",
        "localhost",
        "127.1",
        "0x7f.0.0.1",
      ],
    ],
  ])("%s: %j", (expected, addresses) => {
    for (const address of addresses) expect([address, classifyAddress(address)]).toEqual([address, expected]);
  });

  test("written in one way", () => {
    expect(canonicalAddress("[::ffff:7f00:1]")).toBe("127.0.0.1");
    expect(canonicalAddress("[::1]")).toBe("::1");
    expect(canonicalAddress("example.org")).toBeUndefined();
  });
});
