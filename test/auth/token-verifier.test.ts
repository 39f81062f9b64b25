import { execFile } from "node:child_process";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { libtrustFingerprint, thumbprint } from "../../src/auth/key-ids.ts";
import { FixedKeys, parseTokenKeys } from "../../src/auth/token-keys.ts";
import { tokenKey } from "../../src/auth/token-key.ts";
import { TokenVerifier, type TokenVerdict } from "../../src/auth/token-verifier.ts";
import { createTestAuthority, type TestAuthority } from "../support/certificates.ts";
import { requirePrograms } from "../support/programs.ts";
import { startFakeIssuer } from "../support/fake-issuer.ts";
import { edwardsKey, ellipticKey, jwkOf, publicPem, rsaKey, signToken, signWithSecret, unsignedToken, type SigningKey } from "../support/signed-tokens.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TestClock } from "../support/test-clock.ts";

interface Leaf extends SigningKey {
  readonly x5c: string;
}

const run = promisify(execFile);
const clock = new TestClock();
const seconds = clock.now() / 1_000;
const signal = new AbortController().signal;
const key = rsaKey();
const stranger = rsaKey();
const good = { iss: "https://issuer.test", aud: "registry", sub: "alice", iat: seconds - 10, exp: seconds + 300 };

function verifier(text = publicPem(key), { issuer = "https://issuer.test", audiences = ["registry"] } = {}): TokenVerifier {
  return new TokenVerifier({ keys: parseTokenKeys(text), issuer, audiences, clock });
}

function judge(token: string, by = verifier()): Promise<TokenVerdict> {
  return by.verify(token, signal);
}

async function expectGood(token: string, by?: TokenVerifier): Promise<void> {
  expect(await judge(token, by)).toMatchObject({ kind: "good", claims: { sub: "alice" } });
}

async function expectBad(token: string, reason: RegExp, by?: TokenVerifier): Promise<void> {
  const verdict = await judge(token, by);
  expect(verdict).toMatchObject({ kind: "bad", reason: expect.stringMatching(reason) });
}

test("a token of a trusted key, for us, in its time, is good; and again when it is remembered", async () => {
  const by = verifier();
  const token = signToken(key, good);
  await expectGood(token, by);
  await expectGood(token, by);
});

test("every algorithm of the list is taken from the key it fits, and from no other", async () => {
  for (const own of [rsaKey(), ellipticKey(), edwardsKey()]) {
    await expectGood(signToken(own, good), verifier(publicPem(own)));
    await expectBad(signToken(own, good), /not trusted|signature/, verifier(publicPem(own.algorithm === "RS256" ? ellipticKey() : key)));
  }
});

describe("a token for somebody else (a confused deputy)", () => {
  const cases: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["another audience", { aud: "other" }, /aud/],
    ["an audience that only begins alike", { aud: "registry.evil" }, /aud/],
    ["a list of audiences without us", { aud: ["other", "third"] }, /aud/],
    ["no audience", { aud: undefined }, /aud/],
    ["another issuer", { iss: "https://issuer.test/" }, /iss/],
    ["no issuer", { iss: undefined }, /iss/],
  ];
  test.each(cases)("%s is refused", async (_, changes, reason) => {
    await expectBad(signToken(key, { ...good, ...changes }), reason);
  });

  test("a list of audiences with us is good", async () => {
    await expectGood(signToken(key, { ...good, aud: ["other", "registry"] }));
  });

  test("any issuer is good where the operator named none, and no audience is", async () => {
    const by = new TokenVerifier({ keys: parseTokenKeys(publicPem(key)), issuer: undefined, audiences: ["registry"], clock });
    await expectGood(signToken(key, { ...good, iss: "anybody" }), by);
    await expectBad(signToken(key, { ...good, aud: undefined }), /aud/, by);
  });
});

describe("a replayed or overlong token", () => {
  const cases: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["no exp", { exp: undefined }, /exp/],
    ["an exp that is text", { exp: String(seconds + 300) }, /exp/],
    ["exp 61 seconds past", { exp: seconds - 61 }, /exp/],
    ["nbf 61 seconds ahead", { nbf: seconds + 61 }, /nbf/],
    ["iat 61 seconds ahead", { iat: seconds + 61 }, /future/],
    ["a life of a day and a second", { iat: seconds, exp: seconds + 86_401 }, /24 hours/],
    ["ten years, made long ago", { iat: seconds - 10 * 31_536_000, exp: seconds + 60 }, /24 hours/],
    ["ten years, without iat", { iat: undefined, exp: seconds + 10 * 31_536_000 }, /24 hours/],
  ];
  test.each(cases)("%s is refused", async (_, changes, reason) => {
    await expectBad(signToken(key, { ...good, ...changes }), reason);
  });

  test("clocks may be 59 seconds apart, and a life of a day is good", async () => {
    await expectGood(signToken(key, { ...good, exp: seconds - 59 }));
    await expectGood(signToken(key, { ...good, nbf: seconds + 59, iat: seconds + 59 }));
    await expectGood(signToken(key, { ...good, iat: seconds, exp: seconds + 86_400 }));
  });

  test("a remembered token ends with its time all the same", async () => {
    const later = new TestClock({ startMs: clock.now() });
    const by = new TokenVerifier({ keys: parseTokenKeys(publicPem(key)), issuer: undefined, audiences: ["registry"], clock: later });
    const token = signToken(key, good);
    await expectGood(token, by);
    await later.advance(359_000);
    await expectGood(token, by);
    await later.advance(1_000);
    await expectBad(token, /exp/, by);
  });
});

describe("a forged token", () => {
  const pem = publicPem(key);
  const forgeries: readonly (readonly [string, string])[] = [
    ["alg none", unsignedToken(good)],
    ["alg NONE", unsignedToken(good, { alg: "NONE" })],
    ["no alg", unsignedToken(good, {})],
    ["HS256 with the public key's PEM as the secret", signWithSecret(pem, good)],
    ["HS256 with the PEM less its last newline", signWithSecret(pem.trimEnd(), good)],
    ["HS256 with the public key's DER as the secret", signWithSecret(key.publicKey.export({ type: "spki", format: "der" }), good)],
    ["HS256 that names the key", signWithSecret(pem, good, { kid: thumbprint(key.publicKey) })],
    ["another's signature", signToken(stranger, good)],
    ["another's signature under the key's name", signToken(stranger, good, { kid: libtrustFingerprint(key.publicKey) })],
    ["claims changed after signing", changed(signToken(key, good), 1)],
    ["the signature cut off", `${signToken(key, good).split(".").slice(0, 2).join(".")}.`],
    ["the signature with one byte changed", changed(signToken(key, good), 2)],
    ["five parts, as if encrypted", "a.b.c.d.e"],
    ["one part", "abc"],
    ["claims that are a list", signToken(key, [good])],
    ["claims that are no JSON", signToken(key, "{")],
    ["a kid that is a path", signToken(stranger, good, { kid: "../../../../etc/passwd" })],
    ["a kid that is SQL", signToken(stranger, good, { kid: "' OR 1=1 --" })],
    ["a kid of 257 characters", signToken(key, good, { kid: "k".repeat(257) })],
    ["a kid that is an object", signToken(key, good, { kid: { a: 1 } })],
    ["a kid that objects inherit", signToken(stranger, good, { kid: "__proto__" })],
    ["an unknown crit", signToken(key, good, { crit: ["future"], future: true })],
    ["an empty crit", signToken(key, good, { crit: [] })],
    ["a payload that is not encoded (b64)", signToken(key, good, { crit: ["b64"], b64: false })],
    ["a jwk of its own", signToken(stranger, good, { jwk: jwkOf(stranger) })],
    ["a jwk of its own under the key's name", signToken(stranger, good, { jwk: jwkOf(stranger), kid: thumbprint(key.publicKey) })],
    ["a jwk that is none", signToken(key, good, { jwk: { kty: "RSA", n: 1 } })],
    ["a jwk that is a secret", signWithSecret("secret", good, { jwk: { kty: "oct", k: Buffer.from("secret").toString("base64url") } })],
    ["an x5c that is no certificate", signToken(key, good, { x5c: ["AAAA"] })],
    ["an empty x5c", signToken(key, good, { x5c: [] })],
    ["a token of another kind", signToken(key, good, { typ: "logout+jwt" })],
    ["70,000 characters", signToken(key, { ...good, filler: "x".repeat(70_000) })],
  ];

  test.each(forgeries)("%s is refused", async (_, token) => {
    expect(await judge(token)).toMatchObject({ kind: "bad" });
  });

  test("whose header names an address is refused, and nobody is asked there", async () => {
    await using evil = await startFakeIssuer();
    evil.keys = [jwkOf(stranger, { kid: "evil" })];
    for (const header of [{ jku: evil.keySetUrl }, { x5u: evil.keySetUrl }, { jku: "file:///etc/passwd" }]) {
      await expectBad(signToken(stranger, good, { ...header, kid: "evil" }), /signature/);
      await expectGood(signToken(key, good, { ...header, kid: thumbprint(key.publicKey) }));
    }
    expect(evil.requests).toEqual([]);
  });
});

describe("which key a token means", () => {
  const two = JSON.stringify({ keys: [jwkOf(key, { kid: "one" }), jwkOf(stranger, { kid: "two" })] });

  test("a key answers to its name in the set, its libtrust fingerprint and its thumbprint", async () => {
    for (const kid of ["one", libtrustFingerprint(key.publicKey), thumbprint(key.publicKey)]) await expectGood(signToken(key, good, { kid }), verifier(two));
    await expectBad(signToken(key, good, { kid: "two" }), /signature/, verifier(two));
  });

  test("no kid, and two keys that it could be: refused", async () => {
    await expectBad(signToken(key, good), /not trusted/, verifier(two));
  });

  test("no kid, and one key for its algorithm: good", async () => {
    const mixed = JSON.stringify({ keys: [jwkOf(key, { kid: "one" }), jwkOf(ellipticKey(), { kid: "two" })] });
    await expectGood(signToken(key, good), verifier(mixed));
  });

  test("an unknown kid is taken for the only key there is, and for none of two", async () => {
    await expectGood(signToken(key, good, { kid: "unheard" }));
    await expectBad(signToken(key, good, { kid: "unheard" }), /not trusted/, verifier(two));
    const mixed = JSON.stringify({ keys: [jwkOf(key, { kid: "one" }), jwkOf(ellipticKey(), { kid: "two" })] });
    await expectBad(signToken(key, good, { kid: "unheard" }), /not trusted/, verifier(mixed));
  });

  test("two keys of one name: neither is meant", async () => {
    const same = JSON.stringify({ keys: [jwkOf(key, { kid: "same" }), jwkOf(stranger, { kid: "same" })] });
    await expectBad(signToken(key, good, { kid: "same" }), /not trusted/, verifier(same));
  });

  test("a key of the set is not used for another algorithm than the set says", async () => {
    const pss = JSON.stringify({ keys: [jwkOf(key, { kid: "one", alg: "PS256" })] });
    await expectBad(signToken(key, good, { kid: "one" }), /not trusted/, verifier(pss));
  });

  test("a trusted key that a token brings along is that key", async () => {
    await expectGood(signToken(key, good, { jwk: jwkOf(key) }), verifier(two));
  });
});

describe.runIf(requirePrograms("openssl"))("a certificate within a token", () => {
  let trusted: TestAuthority;
  let own: Leaf;
  let expired: Leaf;
  let foreign: Leaf;

  beforeAll(async () => {
    const folder = await temporaryFolder();
    const evilFolder = await temporaryFolder();
    trusted = await createTestAuthority(folder.path);
    own = await leafOf(trusted);
    expired = await leafOf(trusted, true);
    foreign = await leafOf(await createTestAuthority(evilFolder.path));
    return async () => {
      await folder[Symbol.asyncDispose]();
      await evilFolder[Symbol.asyncDispose]();
    };
  });

  const now = { now: () => Date.now(), elapsed: () => 0, after: () => () => {} };
  const nowSeconds = Math.floor(Date.now() / 1_000);
  const current = { ...good, iat: nowSeconds, exp: nowSeconds + 300 };

  function verifyWith(text: string, token: string): Promise<TokenVerdict> {
    return new TokenVerifier({ keys: parseTokenKeys(text), issuer: undefined, audiences: ["registry"], clock: now }).verify(token, signal);
  }

  test("is good when a trusted authority issued it", async () => {
    expect(await verifyWith(trusted.certificate, signToken(own, current, { x5c: [own.x5c] }))).toMatchObject({ kind: "good" });
    const withRoot = [own.x5c, derOf(trusted.certificate)];
    expect(await verifyWith(trusted.certificate, signToken(own, current, { x5c: withRoot }))).toMatchObject({ kind: "good" });
  });

  test("is refused from another authority of the same name, when it is over, or when a plain certificate 'issued' it", async () => {
    expect(await verifyWith(trusted.certificate, signToken(foreign, current, { x5c: [foreign.x5c] }))).toMatchObject({ kind: "bad" });
    expect(await verifyWith(trusted.certificate, signToken(foreign, current, { x5c: [foreign.x5c, derOf(trusted.certificate)] }))).toMatchObject({
      kind: "bad",
    });
    expect(await verifyWith(trusted.certificate, signToken(expired, current, { x5c: [expired.x5c] }))).toMatchObject({ kind: "bad" });
    const [plain, below] = await issuedByLeaf();
    expect(await verifyWith(pemOf(plain.x5c), signToken(plain, current, { x5c: [plain.x5c] }))).toMatchObject({ kind: "good" });
    expect(await verifyWith(pemOf(plain.x5c), signToken(below, current, { x5c: [below.x5c] }))).toMatchObject({ kind: "bad" });
    expect(await verifyWith(trusted.certificate, signToken(below, current, { x5c: [below.x5c, plain.x5c] }))).toMatchObject({ kind: "bad" });
  });

  test("is refused when nothing but its signature shows that the trusted authority did not issue it", async () => {
    const forged = await forgedLeaf();
    expect(await verifyWith(trusted.certificate, signToken(forged, current, { x5c: [forged.x5c] }))).toMatchObject({ kind: "bad" });
  });

  test("does not lend its trust to another key", async () => {
    expect(await verifyWith(trusted.certificate, signToken(foreign, current, { x5c: [own.x5c] }))).toMatchObject({ kind: "bad" });
  });

  test("vouches for nothing where only a public key is trusted", async () => {
    expect(await verifyWith(publicPem(key), signToken(own, current, { x5c: [own.x5c] }))).toMatchObject({ kind: "bad" });
  });

  async function leafOf(authority: TestAuthority, isExpired = false): Promise<Leaf> {
    const { key: pem, certificate } = await authority.issue({ isExpired });
    return leaf(pem, certificate);
  }

  /** What the trusted authority issued, and what that, which may not issue anything, issued in turn. */
  async function issuedByLeaf(): Promise<readonly [Leaf, Leaf]> {
    const plain = await trusted.issue();
    const base = `${plain.keyFile}.below`;
    const request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch", "-subj", "/CN=below"];
    await run("openssl", [...request, "-keyout", `${base}.key`, "-out", `${base}.csr`]);
    const issuer = ["-CA", plain.certificateFile, "-CAkey", plain.keyFile, "-set_serial", "7", "-days", "2"];
    await run("openssl", ["x509", "-req", "-in", `${base}.csr`, ...issuer, "-out", `${base}.pem`]);
    const below = leaf(await readFile(`${base}.key`, "utf8"), await readFile(`${base}.pem`, "utf8"));
    return [leaf(plain.key, plain.certificate), below];
  }

  /** A certificate in the name of the trusted authority that names no key of its issuer. */
  async function forgedLeaf(): Promise<Leaf> {
    await using folder = await temporaryFolder();
    const evil = await createTestAuthority(folder.path);
    const base = join(folder.path, "forged");
    const request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch", "-subj", "/CN=forged"];
    await run("openssl", [...request, "-keyout", `${base}.key`, "-out", `${base}.csr`]);
    await writeFile(`${base}.ext`, "subjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n");
    const issuer = ["-CA", evil.certificateFile, "-CAkey", join(folder.path, "authority.key"), "-set_serial", "9", "-days", "2", "-extfile", `${base}.ext`];
    await run("openssl", ["x509", "-req", "-in", `${base}.csr`, ...issuer, "-out", `${base}.pem`]);
    const [key, certificate] = [await readFile(`${base}.key`, "utf8"), await readFile(`${base}.pem`, "utf8")];
    expect(new X509Certificate(certificate).checkIssued(new X509Certificate(trusted.certificate))).toBe(true);
    return leaf(key, certificate);
  }

  function leaf(pem: string, certificate: string): Leaf {
    const privateKey = createPrivateKey(pem);
    return { privateKey, publicKey: createPublicKey(privateKey), algorithm: "ES256", x5c: derOf(certificate) };
  }
});

describe("a file of keys", () => {
  test("may hold several certificates and keys; one key twice is one", async () => {
    const keys = parseTokenKeys(`${publicPem(key)}\n# a comment\n${publicPem(key)}`);
    expect(await keys.find({ algorithm: "RS256", id: undefined })).toMatchObject({ kind: "found" });
  });

  test("may be a key set, or one key of it, without the keys that are for encryption", async () => {
    const set = { keys: [jwkOf(key), jwkOf(stranger, { use: "enc", alg: "RSA-OAEP" }), { kty: "oct", k: "AAAA" }] };
    await expectGood(signToken(key, good), verifier(JSON.stringify(set)));
    await expectGood(signToken(key, good), verifier(JSON.stringify(jwkOf(key))));
  });

  const privatePem = key.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["nothing", "", /no key/],
    ["a private key", privatePem, /private key/],
    ["a key set with a private key", JSON.stringify({ keys: [key.privateKey.export({ format: "jwk" })] }), /private key/],
    ["a shared secret", JSON.stringify({ keys: [{ kty: "oct", k: "AAAA" }] }), /no key/],
    ["an RSA key of 1024 bits", publicPem(rsaKey(1_024)), /1024 bits/],
    ["broken JSON", "{ secret", /neither PEM nor JSON/],
    ["257 keys", JSON.stringify({ keys: Array.from({ length: 257 }, () => jwkOf(key)) }), /257/],
  ];
  test.each(cases)("with %s is refused in words that quote nothing of it", (_, text, reason) => {
    expect(() => parseTokenKeys(text)).toThrow(reason);
    expect(() => parseTokenKeys(text)).not.toThrow(/secret|BEGIN|AAAA/);
  });

  test("a private key object is never one to trust", () => {
    expect(() => new FixedKeys([tokenKey(key.privateKey)], [])).toThrow(/private/);
  });
});

/** The token with one character of a part changed. */
function changed(token: string, part: number): string {
  const parts = token.split(".");
  const text = parts[part] ?? "";
  parts[part] = `${text.slice(0, 10)}${text[10] === "A" ? "B" : "A"}${text.slice(11)}`;
  return parts.join(".");
}

function derOf(pem: string): string {
  return pem.replaceAll(/-----[A-Z ]+-----|\s/g, "");
}

function pemOf(der: string): string {
  return `-----BEGIN CERTIFICATE-----\n${der.match(/.{1,64}/g)?.join("\n")}\n-----END CERTIFICATE-----\n`;
}
