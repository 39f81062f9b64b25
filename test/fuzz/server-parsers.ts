/** The parsers of what clients send: routes, Range, conditions, PROXY headers, X-Forwarded-For. */
import assert from "node:assert/strict";
import { posix } from "node:path";
import { isIP, SocketAddress } from "node:net";
import fc from "fast-check";
import { findRepositoryOfFolder, Layout } from "../../src/cache/layout.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { referenceName } from "../../src/oci/reference.ts";
import { repositoryName } from "../../src/oci/repository.ts";
import { clientAddress, TrustedProxies } from "../../src/server/client-address.ts";
import { namesDigest, rangesApply } from "../../src/server/conditions.ts";
import { parseProxyHeader } from "../../src/server/proxy-protocol.ts";
import { parseRange, rangesMax } from "../../src/server/ranges.ts";
import { RouteFinder } from "../../src/server/route-finder.ts";
import { findRoute, urlLengthMax, type Route } from "../../src/server/routes.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { bytes, texts } from "./inputs.ts";
import { digest, host, names, path, tag, words } from "./names.ts";
import { refusedBy } from "./oci-parsers.ts";

const layout = new Layout("/store");
const finder = new RouteFinder();
const unlisted = fc.constantFrom("public" as const, "deny" as const);
const stranger = "203.0.113.9";
const proxies = new TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "::1", "fe80::/10"]);
const isRefusal = refusedBy("NAME_INVALID", "NAME_UNKNOWN", "TAG_INVALID", "DIGEST_INVALID", "REQUEST_INVALID", "DENIED");

export const serverParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "route",
    inputs: fc.tuple(
      texts(target(), { words: routeWords(), lengthMax: urlLengthMax + 100 }),
      fc.option(texts(host, { words, lengthMax: 300 }), { nil: undefined, freq: 4 }),
      unlisted,
    ),
    parse: ([url, xRegistry, rule]) => findRoute(url, xRegistry, { names, unlisted: rule }),
    isOwnError: isRefusal,
    check(route, [url, xRegistry, rule]) {
      if (!route) return;
      assert.ok(route.ns === undefined || /^[\x20-\x7e]*$/.test(route.ns), "what is echoed goes into a header");
      if (!("repository" in route)) return;
      const again = findRoute(canonicalTarget(route), undefined, { names, unlisted: "public" });
      assert.deepEqual(meaning(again), meaning(route), "the canonical spelling means the same");
      assert.deepEqual(finder.find(url, xRegistry, { names, unlisted: rule }), route, "remembered or not");
      assertInside(route);
    },
  }),
  fuzzed({
    name: "every spelling of a route",
    inputs: fc.tuple(host, path, tag).filter(([, name]) => !names.looksLikeHost(name.split("/")[0] ?? "") && !/(^|\/)v2(\/|$)/.test(name)),
    parse: ([registry, name, reference]) =>
      [
        { url: `/v2/${name}/manifests/${reference}?ns=${registry}` },
        { url: `/v2/${encodeURIComponent(name).replaceAll("%2F", "/")}/manifests/${reference}?ns=${encodeURIComponent(registry)}` },
        { url: `/v2/${name}/manifests/${reference}`, xRegistry: registry },
        { url: `/v2/${registry}/${name}/manifests/${reference}` },
        { url: `/v2/${registry}/${name}/manifests/${reference}?ns=${registry}` },
        { url: `/${registry}/v2/${name}/manifests/${reference}` },
      ].map(({ url, xRegistry }) => outcomeOf(url, xRegistry)),
    check(outcomes, [registry]) {
      // Of a host that is none, forms that can name nothing else say so; others may take it for a part of the name, or for no path of ours.
      const [first] = outcomes;
      if (names.find(registry) === undefined) return outcomes.slice(0, 3).forEach((outcome) => assert.equal(outcome, "NAME_INVALID"));
      if (!names.looksLikeHost(registry)) return assert.deepEqual(new Set(outcomes.slice(0, 3)).size, 1);
      for (const outcome of outcomes) assert.equal(outcome, first);
    },
  }),
  fuzzed({
    name: "Range",
    inputs: texts(range(), { words: ["bytes=", "bytes", "0-", "-1", "0-0,", "9".repeat(30)] }),
    parse: parseRange,
    isOwnError: refusedBy("REQUEST_INVALID"),
    check(specs) {
      if (specs === undefined) return;
      assert.ok(specs.length > 0 && specs.length <= rangesMax);
      const written = specs.map((spec) => ("suffixBytes" in spec ? `-${spec.suffixBytes}` : `${spec.startBytes}-${spec.endBytes ?? ""}`));
      assert.deepEqual(parseRange(`bytes=${written.join(", ")}`), specs);
    },
  }),
  fuzzed({
    name: "If-None-Match and If-Range",
    inputs: fc.tuple(texts(etags(), { words: ['W/"', "*", '", "', "sha256:"] }), digest),
    parse: ([header, wanted]) => ({ isNamed: namesDigest(header, wanted), applies: rangesApply(header, wanted) }),
    check({ isNamed, applies }, [header, wanted]) {
      if (isNamed || applies) assert.ok(header.includes(wanted), "only the digest itself matches");
      assert.ok(namesDigest(`${'"a", '.repeat(20)}"${wanted}"`, wanted));
    },
  }),
  fuzzed({
    name: "PROXY header",
    inputs: bytes(fc.tuple(fc.oneof(version1(), version2()), fc.uint8Array({ maxLength: 8 })).map(([header, rest]) => Buffer.concat([header, rest]))),
    parse: parseProxyHeader,
    isOwnError: (error) => error instanceof Error && /^(not|a malformed) (a )?PROXY header$/.test(error.message),
    check(header, received) {
      if (!header) return;
      const { address, sizeBytes } = header;
      assert.ok(sizeBytes > 0 && sizeBytes <= received.byteLength);
      assert.equal(parseProxyHeader(received.subarray(0, sizeBytes - 1)), undefined, "one byte less is not enough");
      assert.deepEqual(parseProxyHeader(Buffer.concat([received, Buffer.from("GET /")])), header, "what follows does not matter");
      if (address !== undefined) assertCanonicalAddress(address);
    },
  }),
  fuzzed({
    name: "X-Forwarded-For",
    inputs: fc.tuple(
      peer(),
      texts(
        fc.array(hop(), { minLength: 1, maxLength: 5 }).map((hops) => hops.join(", ")),
        { words: ["10.0.0.1,", "::ffff:", "unknown", "_hidden", "%eth0"] },
      ),
    ),
    parse: ([from, header]) => clientAddress(from, header, proxies),
    check(address, [from]) {
      assertCanonicalAddress(address);
      if (from === stranger) assert.equal(address, stranger, "nobody believes a stranger");
    },
  }),
  fuzzed({
    name: "trusted proxies",
    inputs: fc.array(
      texts(
        fc.tuple(hop(), fc.nat(130)).map(([address, bits]) => `${address}/${bits}`),
        { lengthMax: 100 },
      ),
      { maxLength: 3 },
    ),
    parse: (entries) => new TrustedProxies(entries),
    isOwnError: (error) => error instanceof Error && error.message.startsWith("trustedProxies: "),
    check: (trusted, entries) => assert.ok(entries.length > 0 || !trusted.trusts("10.0.0.1")),
  }),
];

function target(): fc.Arbitrary<string> {
  const reference = fc.oneof(tag, digest);
  const name = fc.oneof(
    { weight: 3, arbitrary: path },
    fc.tuple(host, path).map((parts) => parts.join("/")),
  );
  const asked = fc.oneof(
    fc.tuple(name, reference).map(([of, what]) => `${of}/manifests/${what}`),
    fc.tuple(name, fc.constantFrom("blobs", "referrers"), digest).map((parts) => parts.join("/")),
    name.map((of) => `${of}/tags/list`),
    fc.constantFrom("", "_catalog"),
  );
  const query = fc.oneof(
    { weight: 2, arbitrary: fc.constant("") },
    host.map((ns) => `?ns=${ns}`),
    host.map((ns) => `?n=2&last=a&ns=${encodeURIComponent(ns)}`),
  );
  const prefix = fc.oneof(
    { weight: 4, arbitrary: fc.constant("") },
    host.map((registry) => `/${registry}`),
  );
  return fc.tuple(prefix, asked, query).map(([before, what, after]) => `${before}/v2/${what}${after}`);
}

function routeWords(): readonly string[] {
  return [...words, "/v2/", "/manifests/", "/tags/list", "?ns=", "&ns=", "%2F", "%2e%2e", "%c3%28", "%E2%84%AA", "/../", "/./"];
}

function canonicalTarget(route: Extract<Route, { readonly repository: unknown }>): string {
  const { host: registry, path: name } = route.repository;
  const what =
    route.kind === "manifest"
      ? `manifests/${referenceName(route.reference)}`
      : route.kind === "tags"
        ? "tags/list"
        : route.kind === "upload"
          ? "blobs/uploads/"
          : `${route.kind === "blob" ? "blobs" : "referrers"}/${route.digest}`;
  // A host is written before the name where it can be known for one; before a name that begins with v2 it would be a forgotten override_path.
  const isInPath = names.looksLikeHost(registry) && !name.startsWith("v2/");
  return `/v2/${isInPath ? `${registry}/` : ""}${name}/${what}?ns=${registry}`;
}

function meaning(route: Route | undefined): unknown {
  if (route === undefined || !("repository" in route)) return route?.kind;
  return [route.kind, repositoryName(route.repository), route.kind === "manifest" ? referenceName(route.reference) : "digest" in route ? route.digest : ""];
}

/** Everything that is kept for the route lies in its repository's folder, and that in the store's. */
function assertInside(route: Extract<Route, { readonly repository: unknown }>): void {
  const { repository } = route;
  const folder = layout.repository(repository);
  assert.ok(folder.startsWith("/store/upstreams/"));
  assert.deepEqual(findRepositoryOfFolder(repository.host, folder.slice(layout.host(repository.host).length + 1)), repository);
  const paths = [folder, layout.tags(repository), layout.manifests(repository), layout.links(repository)];
  if (route.kind === "manifest" && route.reference.kind === "tag") paths.push(layout.tag(repository, route.reference.tag));
  const named = "digest" in route ? route.digest : route.kind === "manifest" && route.reference.kind === "digest" ? route.reference.digest : undefined;
  if (named) {
    paths.push(layout.manifest(repository, named), layout.link(repository, named), layout.referrersAnswer(repository, named));
    assert.equal(posix.normalize(layout.blob(named)), layout.blob(parseDigest(named)));
  }
  for (const each of paths) {
    assert.equal(posix.normalize(each), each);
    assert.ok(each === folder || each.startsWith(`${folder}/_`));
  }
}

function outcomeOf(url: string, xRegistry: string | undefined): unknown {
  try {
    return JSON.stringify(meaning(findRoute(url, xRegistry, { names, unlisted: "public" })));
  } catch (error) {
    if (isRefusal(error)) return (error as { readonly code: string }).code;
    throw error;
  }
}

function range(): fc.Arbitrary<string> {
  const position = fc.oneof(fc.nat(), fc.maxSafeNat());
  const spec = fc.oneof(
    fc.tuple(position, position).map(([start, end]) => `${start}-${end}`),
    position.map((start) => `${start}-`),
    position.map((suffix) => `-${suffix}`),
  );
  return fc.array(spec, { minLength: 1, maxLength: rangesMax + 1 }).map((specs) => `bytes=${specs.join(",")}`);
}

function etags(): fc.Arbitrary<string> {
  const etag = fc.oneof(digest, fc.string({ maxLength: 8 }));
  return fc
    .array(
      fc.oneof(
        etag.map((tagged) => `"${tagged}"`),
        etag.map((tagged) => `W/"${tagged}"`),
        etag,
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((all) => all.join(", "));
}

function version1(): fc.Arbitrary<Buffer> {
  const port = fc.nat(65_535);
  const line = fc.oneof(
    fc.tuple(fc.ipV4(), fc.ipV4(), port, port).map(([from, to, fromPort, toPort]) => `PROXY TCP4 ${from} ${to} ${fromPort} ${toPort}`),
    fc.tuple(ipv6(), ipv6(), port, port).map(([from, to, fromPort, toPort]) => `PROXY TCP6 ${from} ${to} ${fromPort} ${toPort}`),
    fc.constantFrom("PROXY UNKNOWN", "PROXY UNKNOWN ::1 ::1 1 2"),
  );
  return line.map((text) => Buffer.from(`${text}\r\n`, "latin1"));
}

function version2(): fc.Arbitrary<Buffer> {
  const block = fc.oneof(
    fc.tuple(fc.constantFrom(0x11, 0x12), fc.uint8Array({ minLength: 12, maxLength: 40 })),
    fc.tuple(fc.constantFrom(0x21, 0x22), fc.oneof(fc.uint8Array({ minLength: 36, maxLength: 60 }), mappedBlock())),
    fc.tuple(fc.constantFrom(0x00, 0x31), fc.uint8Array({ maxLength: 216 })),
  );
  return fc.tuple(fc.constantFrom(0x20, 0x21, 0x21, 0x21), block).map(([command, [family, content]]) => {
    const fixed = Buffer.from("\r\n\r\n\0\r\nQUIT\n\0\0\0\0", "latin1");
    fixed.writeUInt8(command, 12);
    fixed.writeUInt8(family, 13);
    fixed.writeUInt16BE(content.length, 14);
    return Buffer.concat([fixed, content]);
  });
}

/** IPv4 addresses written as IPv6, as a balancer with both sends them. */
function mappedBlock(): fc.Arbitrary<Uint8Array> {
  const mapped = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((last) => [...new Uint8Array(10), 0xff, 0xff, ...last]);
  return fc.tuple(mapped, mapped).map(([from, to]) => new Uint8Array([...from, ...to, 0, 1, 0, 2]));
}

function ipv6(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.ipV6(),
    fc.ipV4().map((address) => `::ffff:${address}`),
    fc.constantFrom("::1", "2001:DB8::1", "0:0:0:0:0:FFFF:10.0.0.1", "fe80::1%eth0"),
  );
}

function hop(): fc.Arbitrary<string> {
  const address = fc.oneof(fc.ipV4(), fc.constantFrom("10.0.0.1", "10.255.0.7", "2001:db8::7"), ipv6());
  return fc.oneof(
    { weight: 3, arbitrary: address },
    fc.ipV4().map((each) => `${each}:80`),
    ipv6().map((each) => `[${each}]:443`),
  );
}

function peer(): fc.Arbitrary<string> {
  return fc.constantFrom(stranger, "10.0.0.1", "::ffff:10.0.0.2", "::1", "fe80::1%eth0");
}

/** One address has one spelling, and an IPv4 address is never written as IPv6. */
function assertCanonicalAddress(address: string): void {
  const [plain = "", zone] = address.split("%");
  const family = isIP(plain);
  assert.notEqual(family, 0, `${address} is no address`);
  const canonical = new SocketAddress({ address: plain, family: family === 4 ? "ipv4" : "ipv6" }).address;
  assert.equal(plain, canonical.replace(/^::ffff:(?=.*\.)/, ""));
  assert.ok(zone === undefined || zone !== "");
}
