import { expect, test } from "vitest";
import { clientAddress, TrustedProxies } from "../../src/server/client-address.ts";

const proxies = new TrustedProxies(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);

test.each([
  ["203.0.113.9", undefined, "203.0.113.9"],
  ["203.0.113.9", "198.51.100.1", "203.0.113.9"],
  ["10.1.1.1", "198.51.100.1", "198.51.100.1"],
  ["::ffff:10.1.1.1", "198.51.100.1", "198.51.100.1"],
  ["10.1.1.1", "6.6.6.6, 198.51.100.1, 192.0.2.7", "198.51.100.1"],
  ["10.1.1.1", "10.2.2.2, 10.3.3.3", "10.2.2.2"],
  ["10.1.1.1", "198.51.100.1, nonsense", "10.1.1.1"],
  ["10.1.1.1", "198.51.100.1, nonsense, 10.2.2.2", "10.2.2.2"],
  ["10.1.1.1", "198.51.100.1:4711", "198.51.100.1"],
  ["10.1.1.1", "[2001:db9::1]:4711", "2001:db9::1"],
  ["2001:db8::5", "2001:db9::1", "2001:db9::1"],
  ["10.1.1.1", "::FFFF:198.51.100.1", "198.51.100.1"],
  ["10.1.1.1", "2001:DB9:0::0:1", "2001:db9::1"],
  ["10.1.1.1", "", "10.1.1.1"],
  [undefined, "198.51.100.1", ""],
])("from %s with %s it is %s", (peer, forwardedFor, client) => {
  expect(clientAddress(peer, forwardedFor, proxies)).toBe(client);
});

test("nobody is believed when nobody is trusted", () => {
  expect(clientAddress("127.0.0.1", "198.51.100.1", new TrustedProxies([]))).toBe("127.0.0.1");
});

test.each(["10.0.0.0/33", "10.0.0/8", "x", "10.0.0.0/", "::/129", "10.0.0.0/8/8", ""])("%s is refused as a proxy", (entry) => {
  expect(() => new TrustedProxies([entry])).toThrow(/trustedProxies/);
});
