import { describe, expect, test } from "vitest";
import { OciError } from "../../src/oci/errors.ts";
import { permittedRealm } from "../../src/upstream/realms.ts";

function isPermitted(realm: string, registry: string, { withCredential = true, realmHosts = [] as string[] } = {}): boolean {
  try {
    permittedRealm(realm, { registry: new URL(registry), realmHosts, withCredential });
    return true;
  } catch (error) {
    if (error instanceof OciError && error.code === "UPSTREAM_UNAVAILABLE") return false;
    throw error;
  }
}

describe("a credential goes", () => {
  test.each([
    ["to the same registrable domain", "https://auth.docker.io/token", "https://registry-1.docker.io"],
    ["to any port of it", "https://auth.corp.example:8443/t", "https://registry.corp.example"],
    ["by the public suffix list", "https://auth.example.co.uk/t", "https://registry.example.co.uk"],
    ["to the same address and port", "https://127.0.0.1:5000/t", "https://127.0.0.1:5000"],
    ["to the same plain-http place", "http://registry.corp:5000/t", "http://registry.corp:5000"],
    ["to localhost on the same port", "http://localhost:5000/t", "http://localhost:5000"],
    ["from http to https of the same domain", "https://auth.corp.example/t", "http://registry.corp.example"],
  ])("%s", (_, realm, registry) => {
    expect(isPermitted(realm, registry)).toBe(true);
  });

  test.each([
    ["to another domain", "https://auth.evil.example/t", "https://registry.corp.test"],
    ["to a name that only ends alike", "https://notdocker.io/token", "https://registry-1.docker.io"],
    ["to a neighbour under a public suffix", "https://evil.co.uk/t", "https://registry.example.co.uk"],
    ["to a neighbour at a hosting site", "https://evil.github.io/t", "https://me.github.io"],
    ["without TLS for a registry with TLS", "http://auth.docker.io/token", "https://registry-1.docker.io"],
    ["to another port over http", "http://registry.corp:5001/t", "http://registry.corp:5000"],
    ["to another port of an address", "https://127.0.0.1:5001/t", "https://127.0.0.1:5000"],
    ["to another port of localhost", "http://localhost:5001/t", "http://localhost:5000"],
    ["to another address", "https://127.0.0.2:5000/t", "https://127.0.0.1:5000"],
    ["to a URL with a user", "https://a@auth.docker.io/token", "https://registry-1.docker.io"],
    ["to no URL", "nonsense:", "https://registry-1.docker.io"],
  ])("never %s", (_, realm, registry) => {
    expect(isPermitted(realm, registry)).toBe(false);
  });

  test("wherever realmHosts say, port included, and never without TLS for a registry with TLS", () => {
    const realmHosts = ["authn.nvidia.com", "other.example:8443", "127.0.0.1:9000"];
    expect(isPermitted("https://authn.nvidia.com/token", "https://nvcr.io", { realmHosts })).toBe(true);
    expect(isPermitted("https://authn.nvidia.com:8443/token", "https://nvcr.io", { realmHosts })).toBe(false);
    expect(isPermitted("https://other.example:8443/token", "https://nvcr.io", { realmHosts })).toBe(true);
    expect(isPermitted("http://authn.nvidia.com/token", "https://nvcr.io", { realmHosts })).toBe(false);
    expect(isPermitted("http://127.0.0.1:9000/token", "http://127.0.0.1:5000", { realmHosts })).toBe(true);
  });
});

test("anybody's token may be asked of any realm, but of none without TLS for a registry with TLS", () => {
  expect(isPermitted("https://elsewhere.example/t", "https://registry.corp.test", { withCredential: false })).toBe(true);
  expect(isPermitted("http://elsewhere.example/t", "http://registry.corp.test", { withCredential: false })).toBe(true);
  expect(isPermitted("http://elsewhere.example/t", "https://registry.corp.test", { withCredential: false })).toBe(false);
});
