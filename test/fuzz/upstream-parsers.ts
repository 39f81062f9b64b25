/** The parsers of what registries, their token services and their CDNs answer, and of the addresses that they name. */
import assert from "node:assert/strict";
import { isIP } from "node:net";
import fc from "fast-check";
import { findDigest } from "../../src/oci/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { canonicalAddress, classifyAddress } from "../../src/upstream/addresses.ts";
import { findBearer, hasBasic, parseChallenges } from "../../src/upstream/challenge.ts";
import { parseContentRange } from "../../src/upstream/content-range.ts";
import { parseRetryAfter } from "../../src/upstream/errors.ts";
import { findNextLink } from "../../src/upstream/link-header.ts";
import { Proxies, proxyAuthorization } from "../../src/upstream/proxies.ts";
import { permittedRealm } from "../../src/upstream/realms.ts";
import { permittedTarget } from "../../src/upstream/redirects.ts";
import { findReferrersPage } from "../../src/upstream/referrers-questions.ts";
import { findTagsPage } from "../../src/upstream/tags-questions.ts";
import { parseIssuedToken } from "../../src/upstream/token-service.ts";
import { TestClock } from "../support/test-clock.ts";
import { fuzzed, type FuzzedParser } from "./fuzzed-parser.ts";
import { json, mostly, texts } from "./inputs.ts";
import { digest, host, tag } from "./names.ts";
import { refusedBy } from "./oci-parsers.ts";

const isUnusable = refusedBy("UPSTREAM_UNAVAILABLE");
const clock = new TestClock({ startMs: Date.UTC(2026, 0, 1, 12) });
const base = new URL("https://registry.example/v2/a/tags/list");
const registry = fc
  .constantFrom("https://registry.example", "https://registry.example:8443", "http://registry.example:5000", "https://[2001:db8::1]", "http://127.0.0.1:5000")
  .map((url) => new URL(url));

export const upstreamParsers: readonly FuzzedParser[] = [
  fuzzed({
    name: "challenge",
    inputs: texts(challengeHeader(), { words: ["Bearer ", "Basic ", 'realm="', "=", '="', "==", 'error="', ", ", "dG9rZW4="] }),
    parse: parseChallenges,
    check(challenges) {
      assert.ok(challenges.length <= 64);
      for (const { scheme, parameters } of challenges) {
        assert.equal(scheme, scheme.toLowerCase());
        for (const name of parameters.keys()) assert.equal(name, name.toLowerCase());
      }
      assert.equal(typeof hasBasic(challenges), "boolean");
      assert.ok(findBearer(challenges)?.realm !== "");
    },
  }),
  fuzzed({
    name: "challenge, written and read",
    inputs: fc.array(challenge(), { maxLength: 4 }),
    parse: (challenges) => parseChallenges(challenges.map(written).join(", ")),
    check: (read, challenges) =>
      assert.deepEqual(
        read.map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]),
        challenges,
      ),
  }),
  fuzzed({
    name: "Link",
    inputs: texts(link(), { words: ["<", ">", "; ", "rel", "=", '"next"', "next ", ", <", "/v2"] }),
    parse: (header) => findNextLink(header, base),
    check: (next, header) => assert.ok(next === undefined || (header.includes("<") && next instanceof URL)),
  }),
  fuzzed({
    name: "Link, written and read",
    inputs: fc.tuple(fc.webQueryParameters(), fc.constantFrom("next", '"next"', '"last next"'), fc.constantFrom("", '</first>; rel="first", ')),
    parse: ([query, rel, before]) => findNextLink(`${before}</v2/a/tags/list?${query}>; rel=${rel}`, base)?.href,
    check: (href, [query]) => assert.equal(href, new URL(`/v2/a/tags/list?${query}`, base).href),
  }),
  fuzzed({
    name: "Content-Range",
    inputs: texts(
      fc.tuple(fc.nat(), fc.nat(), fc.nat()).map(([start, end, size]) => `bytes ${start}-${end}/${size}`),
      { words: ["bytes", "*", "/", "-", "9".repeat(17)] },
    ),
    parse: parseContentRange,
    check(parsed) {
      if (!parsed) return;
      const { range, sizeBytes } = parsed;
      if (range) assert.ok(range.startBytes <= range.endBytes && (sizeBytes === undefined || range.endBytes < sizeBytes));
      const again = `bytes ${range ? `${range.startBytes}-${range.endBytes}` : "*"}/${sizeBytes ?? "*"}`;
      assert.deepEqual(parseContentRange(again), parsed);
    },
  }),
  fuzzed({
    name: "Retry-After",
    inputs: texts(
      fc.oneof(
        fc.nat().map(String),
        fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
      ),
      { words: ["Thu, ", " GMT", "2026"] },
    ),
    parse: (value) => parseRetryAfter(value, clock),
    check: (pauseMs) => assert.ok(pauseMs === undefined || (pauseMs >= 0 && pauseMs <= 86_400_000)),
  }),
  fuzzed({
    name: "token realm",
    inputs: fc.tuple(texts(url(), urlWords()), registry, fc.boolean()),
    parse: ([realm, from, withCredential]) => permittedRealm(realm, { registry: from, realmHosts: ["auth.partner.example", "10.0.0.1:8443"], withCredential }),
    isOwnError: isUnusable,
    check(realm, [, from, withCredential]) {
      assertPlainUrl(realm, from);
      if (!withCredential || ["auth.partner.example", "10.0.0.1:8443"].includes(realm.host)) return;
      const isOwn = realm.hostname === from.hostname || (from.hostname === "registry.example" && `.${realm.hostname}`.endsWith(".registry.example"));
      assert.ok(isOwn, `the credential of ${from.host} for ${realm.host}`);
      assert.ok(realm.protocol === "https:" || realm.port === from.port);
    },
  }),
  fuzzed({
    name: "redirect",
    inputs: fc.tuple(texts(url(), urlWords()), registry),
    parse: ([location, from]) => permittedTarget(location, from),
    isOwnError: isUnusable,
    check: (next, [, from]) => assertPlainUrl(next, from),
  }),
  fuzzed({
    name: "address",
    inputs: texts(
      fc.oneof(
        fc.ipV4(),
        fc.ipV4Extended(),
        fc.ipV6(),
        fc.ipV4().map((address) => `::ffff:${address}`),
        fc.ipV4().map((address) => `64:ff9b::${address}`),
      ),
      {
        words: ["::", ":ffff:", "%eth0", "127.0.0.1", "[", "]"],
      },
    ),
    parse: (address) => ({ canonical: canonicalAddress(address), addressClass: classifyAddress(address) }),
    check({ canonical, addressClass }, address) {
      if (canonical === undefined) return assert.equal(addressClass, "forbidden");
      assert.equal(canonicalAddress(canonical), canonical);
      assert.notEqual(isIP(canonical), 0);
      if (isIP(address) !== 0) assert.equal(classifyAddress(canonical), addressClass, "whatever the spelling");
    },
  }),
  fuzzed({
    name: "proxy and its exceptions",
    inputs: fc.tuple(
      texts(url(), urlWords()),
      texts(
        fc.array(fc.oneof(host, fc.constantFrom("10.0.0.0/8", "*", ".example")), { maxLength: 4 }).map((all) => all.join(",")),
        { lengthMax: 500 },
      ),
      url(),
    ),
    parse([proxy, noProxy, target]) {
      const proxies = new Proxies({ httpsProxy: proxy, httpProxy: proxy, noProxy });
      const found = URL.canParse(target) ? proxies.find(new URL(target)) : undefined;
      return { found, authorization: found && proxyAuthorization(found) };
    },
    isOwnError: (error) => error instanceof TypeError,
    check: ({ found }) => assert.ok(found === undefined || /^https?:$/.test(found.protocol)),
  }),
  fuzzed({
    name: "page of tags",
    inputs: json(mostly(fc.record({ name: mostly(fc.constant("a/b")), tags: mostly(fc.array(mostly(tag), { maxLength: 6 })) }, { requiredKeys: [] }))),
    parse: findTagsPage,
    check: (tags) => tags?.forEach((each) => assert.match(each, /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/)),
  }),
  fuzzed({
    name: "page of referrers",
    inputs: fc.tuple(
      json(
        mostly(
          fc.record(
            {
              mediaType: mostly(fc.constant(mediaTypes.ociIndex)),
              manifests: mostly(
                fc.array(mostly(fc.record({ mediaType: mostly(fc.constant(mediaTypes.ociManifest)), digest: mostly(digest), size: mostly(fc.nat()) })), {
                  maxLength: 4,
                }),
              ),
            },
            { requiredKeys: [] },
          ),
        ),
      ),
      fc.constantFrom(undefined, mediaTypes.ociIndex, "text/html"),
    ),
    parse: ([page, contentType]) => findReferrersPage(page, contentType),
    check: (manifests) => manifests?.forEach((each) => assert.equal(findDigest(each.digest), each.digest)),
  }),
  fuzzed({
    name: "answer of a token service",
    inputs: json(
      mostly(
        fc.record(
          {
            token: mostly(fc.base64String({ maxLength: 40 })),
            access_token: mostly(fc.base64String({ maxLength: 40 })),
            expires_in: mostly(fc.oneof(fc.integer(), fc.double())),
            issued_at: mostly(fc.date({ noInvalidDate: true }).map((date) => date.toISOString())),
          },
          { requiredKeys: [] },
        ),
      ),
    ),
    parse: (answer) => parseIssuedToken(answer, base),
    isOwnError: isUnusable,
    check({ token, expiresInSeconds, issuedAtMs }) {
      assert.match(token, /^[\x21-\x7e]+$/, "goes into a header");
      assert.ok(expiresInSeconds === undefined || Number.isFinite(expiresInSeconds));
      assert.ok(issuedAtMs === undefined || Number.isFinite(issuedAtMs));
    },
  }),
];

function challenge(): fc.Arbitrary<[string, Record<string, string>]> {
  const word = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  return fc.tuple(word, fc.dictionary(word, fc.string({ unit: "grapheme-ascii", maxLength: 20 }), { maxKeys: 4, noNullPrototype: true }));
}

function written([scheme, parameters]: [string, Record<string, string>]): string {
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}="${value.replace(/["\\]/g, "\\$&")}"`);
  return `${scheme} ${pairs.join(", ")}`.trim();
}

function challengeHeader(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
      'Basic realm="x, y", Bearer realm=https://a/b?c=d, Negotiate dG9rZW4=',
      'bearer Realm="a\\"b" , scope = "a b"',
    ),
    fc.array(challenge(), { minLength: 1, maxLength: 3 }).map((challenges) => challenges.map(written).join(", ")),
  );
}

function link(): fc.Arbitrary<string> {
  return fc
    .webQueryParameters()
    .chain((query) =>
      fc.constantFrom(`</v2/a/tags/list?${query}>; rel="next"`, `<?${query}>;rel=next`, `</one>; rel="prev", </two?${query}>; title="a,b"; rel="last next"`),
    );
}

function url(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(
      "https://auth.registry.example/token?x=1",
      "https://registry.example/token",
      "/token",
      "//auth.registry.example/token",
      "https://auth.partner.example/t",
      "https://10.0.0.1:8443/t",
    ),
    fc
      .tuple(fc.constantFrom("https", "http", "HTTPS", "file", "ftp"), fc.constantFrom("", "", "u@", "u:p@", ":p@", "a%zz@"), host, fc.webPath())
      .map(([by, user, at, to]) => `${by}://${user}${at}${to}`),
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
  );
}

function urlWords(): { readonly words: readonly string[] } {
  return { words: ["https://", "http:", "//", "\\\\", "@", ":p@", "registry.example", ".registry.example", "evil", ".", "#", "%zz"] };
}

function assertPlainUrl(to: URL, from: URL): void {
  assert.ok(to.protocol === "https:" || (to.protocol === "http:" && from.protocol === "http:"), `${from.href} -> ${to.href}`);
  assert.equal(to.username + to.password + to.hash, "");
}
