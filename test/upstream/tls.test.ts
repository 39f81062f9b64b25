import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestAuthority, type TestAuthority } from "../support/certificates.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { call, failureOf, listedAs, readAll, reference, repositoryAt, startUpstreams } from "./asking.ts";

let folder: TemporaryFolder;
let authority: TestAuthority;

beforeAll(async () => {
  folder = await temporaryFolder();
  authority = await createTestAuthority(folder.path);
});

afterAll(() => folder[Symbol.asyncDispose]());

async function setUp({ isExpired = false, names, clientAuthority }: { isExpired?: boolean; names?: readonly string[]; clientAuthority?: string } = {}) {
  const issued = await authority.issue({ isExpired, ...(names ? { names } : {}) });
  const fake = await startFakeUpstream({ tls: { ...issued, ...(clientAuthority === undefined ? {} : { clientAuthority }) } });
  const image = fake.putImage("team/app", "latest");
  return Object.assign(fake, { image });
}

describe("TLS", () => {
  test("trusts the configured authority", async () => {
    await using fake = await setUp();
    await using upstreams = startUpstreams([listedAs(fake, { tls: { ca: authority.certificate } })]);
    await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(fake.requests).toHaveLength(1);
  });

  test.each([
    ["an unknown authority", {}, {}, "unknown authority"],
    ["an expired certificate", { isExpired: true }, { withAuthority: true }, "expired"],
    ["a certificate for another name", { names: ["elsewhere.example"] }, { withAuthority: true }, "another name"],
  ] as const)("refuses %s, and says so", async (_, options, { withAuthority = false }: { withAuthority?: boolean }, words) => {
    await using fake = await setUp(options);
    await using upstreams = startUpstreams([listedAs(fake, withAuthority ? { tls: { ca: authority.certificate } } : {})]);
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain(words);
    await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(fake.requests).toEqual([]);
    expect(fake.connections.accepted).toBe(1);
  });

  test("looks at nothing with insecureSkipVerify", async () => {
    await using fake = await setUp({ isExpired: true, names: ["elsewhere.example"] });
    await using upstreams = startUpstreams([listedAs(fake, { tls: { insecureSkipVerify: true } })]);
    await upstreams.getManifest(repositoryAt(fake.host), reference(), call());
    expect(fake.requests).toHaveLength(1);
  });

  test("shows its client certificate to the registry, which makes the answer private", async () => {
    await using fake = await setUp({ clientAuthority: authority.certificate });
    const client = await authority.issue({ commonName: "cache" });
    const tls = { ca: authority.certificate, cert: client.certificate, key: client.key };
    await using without = startUpstreams([listedAs(fake, { tls: { ca: authority.certificate } })]);
    await failureOf(without.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(fake.requests).toEqual([]);
    await using upstreams = startUpstreams([listedAs(fake, { tls, public: true })]);
    expect((await upstreams.getManifest(repositoryAt(fake.host), reference(), call())).isPublic).toBe(false);
  });

  test("shows its client certificate to no CDN", async () => {
    await using fake = await setUp();
    await using demanding = await setUp({ clientAuthority: authority.certificate });
    const client = await authority.issue({ commonName: "cache" });
    const [digest] = [...fake.image.blobs.keys()];
    if (!digest) throw new Error("no blob");
    fake.when({ kind: "blob" }, { redirectTo: `${demanding.url}/v2/team/app/blobs/${digest}` });
    await using upstreams = startUpstreams([listedAs(fake, { tls: { ca: authority.certificate, cert: client.certificate, key: client.key } })]);
    await failureOf(upstreams.getBlob(repositoryAt(fake.host), digest, call()), "UPSTREAM_UNAVAILABLE");
    expect(demanding.requests).toEqual([]);
  });

  test("trusts the configured authority at CDNs and realms too", async () => {
    await using fake = await setUp();
    await using tokens = await startFakeTokenService({ tls: await authority.issue() });
    fake.authentication = { kind: "bearer", tokens };
    fake.when({ kind: "blob" }, { redirectTo: "cdn" });
    const [digest] = [...fake.image.blobs.keys()];
    if (!digest) throw new Error("no blob");
    await using upstreams = startUpstreams([listedAs(fake, { tls: { ca: authority.certificate } })]);
    await using blob = await upstreams.getBlob(repositoryAt(fake.host), digest, call());
    expect((await readAll(blob)).equals(fake.image.blobs.get(digest) ?? Buffer.alloc(0))).toBe(true);
    expect(fake.cdn.authorizationSeen).toBe(false);
  });

  test("with a certificate and another's key is refused before anything is changed", async () => {
    await using fake = await setUp();
    const [one, other] = [await authority.issue(), await authority.issue()];
    const registries = [listedAs(fake, { tls: { cert: one.certificate, key: other.key } })];
    expect(() => startUpstreams(registries)).toThrow("key values mismatch");
  });

  test("is not left by a redirect", async () => {
    await using fake = await setUp();
    await using plain = await startFakeUpstream();
    fake.when({ kind: "manifest" }, { redirectTo: `${plain.url}/v2/team/app/manifests/latest` });
    await using upstreams = startUpstreams([listedAs(fake, { tls: { ca: authority.certificate } })]);
    const error = await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(error.message).toContain("from https to http");
    expect(plain.connections.accepted).toBe(0);
  });

  test("is not left for a token", async () => {
    await using fake = await setUp();
    await using tokens = await startFakeTokenService();
    fake.authentication = { kind: "bearer", tokens };
    await using upstreams = startUpstreams([listedAs(fake, { tls: { ca: authority.certificate } })]);
    await failureOf(upstreams.getManifest(repositoryAt(fake.host), reference(), call()), "UPSTREAM_UNAVAILABLE");
    expect(tokens.connections.accepted).toBe(0);
  });
});
