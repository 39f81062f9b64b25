/** Who may be dialled: what a canary on loopback hears when names, numbers, DNS, redirects and realms try to lead there. */
import { describe, expect, test } from "vitest";
import { findRegistryHost, parseRepositoryPath, type RegistryHost } from "../../src/oci/repository.ts";
import { AddressPolicy, ListedAddresses } from "../../src/upstream/address-policy.ts";
import { startCanary } from "../support/canary.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { call, failureOf, listedAs, reference, repositoryAt, startUpstreams } from "./asking.ts";

const at = (host: RegistryHost) => ({ host, path: parseRepositoryPath("team/app") });

describe("a registry that is not listed", () => {
  test("is never dialled at loopback, however it is spelled", async () => {
    await using canary = await startCanary();
    await using upstreams = startUpstreams([]);
    const names = [
      "127.0.0.1",
      "127.1",
      "127.0.1",
      "2130706433",
      "0x7f.1",
      "0x7f000001",
      "0177.0.0.1",
      "017700000001",
      "127.0.0.1.",
      "localhost",
      "localhost.",
      "LOCALHOST",
      "0",
      "0.0.0.0",
      "[::1]",
      "[::]",
      "[::ffff:127.0.0.1]",
      "[::ffff:7f00:1]",
      "[0:0:0:0:0:0:0:1]",
      "[64:ff9b::127.0.0.1]",
      "127.127.127.127",
    ];
    let tried = 0;
    for (const name of names) {
      const host = findRegistryHost(`${name}:${canary.port}`);
      if (!host) continue;
      tried++;
      const error = await failureOf(upstreams.getManifest(at(host), reference(), call()), "DENIED");
      expect(error.source).toBe("local");
    }
    expect(tried).toBeGreaterThanOrEqual(16);
    expect(canary.connections).toBe(0);
  });

  test("is no other spelling of a listed one: that is the listed one", async () => {
    await using fake = await startFakeUpstream();
    await using upstreams = startUpstreams([listedAs(fake)]);
    const spellings = ["0x7f.1", "2130706433", "127.1", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]"];
    for (const name of spellings) expect(findRegistryHost(`${name}:${fake.port}`), name).toBe(fake.host);
    const embedded = findRegistryHost(`[::127.0.0.1]:${fake.port}`);
    if (embedded) await failureOf(upstreams.getManifest(at(embedded), reference(), call()));
    expect(fake.connections.accepted).toBe(0);
  });

  test("whose name leads to loopback, private, link-local or metadata addresses is not dialled", async () => {
    await using canary = await startCanary();
    for (const address of [
      "127.0.0.1",
      "::1",
      "10.1.2.3",
      "192.168.0.1",
      "100.64.1.1",
      "169.254.169.254",
      "0.0.0.0",
      "fd00::1",
      "fe80::1",
      "::ffff:127.0.0.1",
      "192.0.2.1",
    ]) {
      const resolve = () => Promise.resolve([{ address, family: address.includes(":") ? 6 : 4 }]);
      await using upstreams = startUpstreams([], { resolve });
      const error = await failureOf(upstreams.getManifest(repositoryAt(`innocent.example:${canary.port}`, "a", "https"), reference(), call()), "DENIED");
      expect(error.message).toContain(`innocent.example:${canary.port}`);
    }
    expect(canary.connections).toBe(0);
  });

  test("may not be asked at all under `deny`", async () => {
    let lookups = 0;
    await using upstreams = startUpstreams([], { unlisted: "deny", resolve: () => ((lookups += 1), Promise.resolve([])) });
    const error = await failureOf(upstreams.getManifest(repositoryAt("registry.example"), reference(), call()), "DENIED");
    expect(error.message).toContain("not one of the registries listed");
    expect(lookups).toBe(0);
    expect(upstreams.status()).toEqual([]);
  });
});

describe("a listed registry", () => {
  test("is dialled wherever its name leads, but not at a metadata address", async () => {
    await using fake = await startFakeUpstream();
    fake.putImage("team/app", "latest");
    const host = `registry.corp:${fake.port}`;
    const listed = { ...listedAs(fake), host: repositoryAt(host).host };
    await using upstreams = startUpstreams([listed], { resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]) });
    await upstreams.getManifest(repositoryAt(host), reference(), call());
    expect(fake.requests).toHaveLength(1);
    await using others = startUpstreams([listed], { resolve: () => Promise.resolve([{ address: "169.254.169.254", family: 4 }]) });
    await failureOf(others.getManifest(repositoryAt(host), reference(), call()), "DENIED");
  });

  test("takes the allowed one of several addresses", async () => {
    await using fake = await startFakeUpstream();
    fake.putImage("team/app", "latest");
    const host = `registry.corp:${fake.port}`;
    const resolve = () =>
      Promise.resolve([
        { address: "169.254.169.254", family: 4 },
        { address: "127.0.0.1", family: 4 },
      ]);
    await using upstreams = startUpstreams([{ ...listedAs(fake), host: repositoryAt(host).host }], { resolve });
    await upstreams.getManifest(repositoryAt(host), reference(), call());
    expect(fake.requests).toHaveLength(1);
  });

  test("on loopback leads to loopback, and not to private addresses, unless those are listed", async () => {
    await using fake = await startFakeUpstream();
    await using canary = await startCanary();
    fake.putImage("team/app", "latest");
    // What answers at the private name is the canary, should anybody dial it.
    const resolve = (name: string) => Promise.resolve([{ address: name === "storage.corp" ? "10.99.99.99" : "127.0.0.1", family: 4 }]);
    fake.when({ kind: "manifest" }, { redirectTo: `http://storage.corp:${canary.port}/x` });
    await using upstreams = startUpstreams([listedAs(fake)], { resolve, deadlines: { connectMs: 50 } });
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("redirectHosts");
    await using allowing = startUpstreams([listedAs(fake, { redirectHosts: [`storage.corp:${canary.port}`] })], { resolve, deadlines: { connectMs: 50 } });
    const tried = await failureOf(allowing.getManifest(repositoryAt(fake.host), reference(), call()));
    expect(tried.message).not.toContain("redirectHosts");
    expect(canary.connections).toBe(0);
  });

  test("leads to no metadata address, by its token realm", async () => {
    await using fake = await startFakeUpstream();
    await using tokens = await startFakeTokenService();
    await using canary = await startCanary();
    fake.putImage("team/app", "latest");
    await using upstreams = startUpstreams([listedAs(fake)]);
    fake.authentication = { kind: "bearer", tokens, realm: `http://169.254.169.254:${canary.port}/token` };
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("169.254.169.254");
    expect(canary.connections).toBe(0);
    expect(fake.requests).toHaveLength(1);
  });
});

describe("what a registry leads to", () => {
  test("may lie in its own kind of network when it is listed, and else only at public or listed addresses", () => {
    const listed = new ListedAddresses();
    listed.addHost("storage.corp");
    listed.addHost("169.254.10.10:9000");
    const own = new URL("https://registry.example");
    const stranger = new AddressPolicy({ listed: () => listed, own, isListed: false });
    const friend = new AddressPolicy({ listed: () => listed, own, isListed: true });
    for (const policy of [stranger, friend]) policy.dialled(own, "10.0.0.1");
    const storage = new URL("https://other.corp");
    expect([stranger.allows(storage, "10.0.0.2"), friend.allows(storage, "10.0.0.2")]).toEqual([false, true]);
    expect([stranger.allows(storage, "127.0.0.1"), friend.allows(storage, "127.0.0.1")]).toEqual([false, false]);
    expect([stranger.allows(storage, "8.8.8.8"), friend.allows(storage, "8.8.8.8")]).toEqual([true, true]);
    expect(stranger.allows(new URL("https://storage.corp"), "10.0.0.2")).toBe(true);
    expect(stranger.allows(new URL("https://storage.corp:8443"), "10.0.0.2")).toBe(false);
    expect(stranger.allows(new URL("https://storage.corp"), "169.254.169.254")).toBe(false);
    expect(friend.allows(new URL("http://169.254.10.10:9000"), "169.254.10.10")).toBe(true);
    expect(friend.allows(new URL("http://link.corp:9000"), "169.254.10.10")).toBe(false);
  });
});
