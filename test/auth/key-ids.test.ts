import { createPublicKey } from "node:crypto";
import { expect, test } from "vitest";
import { keyIds, libtrustFingerprint, thumbprint } from "../../src/auth/key-ids.ts";

const elliptic = createPublicKey({
  format: "jwk",
  key: { kty: "EC", crv: "P-256", x: "m7zUpx3b-zmVE5cymSs64POG9QcyEpJaYCD82-549_Q", y: "dU3biz8sZ_8GPB-odm8Wxz3lNDr1xcAQQPQaOcr1fmc" },
});

test("libtrust's fingerprint of its documented key is the documented one", () => {
  expect(libtrustFingerprint(elliptic)).toBe("PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6");
});

test("the thumbprint of RFC 7638's example is the one in RFC 7638 3.1", () => {
  const n =
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
  expect(thumbprint(createPublicKey({ format: "jwk", key: { kty: "RSA", e: "AQAB", n } }))).toBe("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
});

test("the thumbprint of RFC 8037's Ed25519 key is the one in RFC 8037 A.3", () => {
  const key = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" } });
  expect(thumbprint(key)).toBe("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
});

test("a key answers to its fingerprint, its thumbprint and the name that its key set gives it", () => {
  expect(keyIds(elliptic, "mine")).toEqual(new Set([libtrustFingerprint(elliptic), thumbprint(elliptic), "mine"]));
});
