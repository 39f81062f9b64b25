import { expect, test } from "vitest";
import { claimOf, isSignedWith, type WireRequest } from "./signature-v4.ts";

/** "get-vanilla" and "post-x-www-form-urlencoded" of AWS's own test suite for Signature Version 4. */
const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const credential = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
const vanilla: WireRequest = {
  method: "GET",
  url: "/",
  body: "",
  headers: {
    host: "example.amazonaws.com",
    "x-amz-date": "20150830T123600Z",
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31`,
  },
};

function judge(request: WireRequest, key = secret): boolean {
  const claim = claimOf(request);
  return claim !== undefined && isSignedWith(key, request, claim);
}

test("a request of AWS's own test suite is found to be signed, by its key and no other", () => {
  expect(claimOf(vanilla)).toMatchObject({ accessKeyId: "AKIDEXAMPLE", region: "us-east-1", service: "service", atMs: Date.UTC(2015, 7, 30, 12, 36) });
  expect(judge(vanilla)).toBe(true);
  expect(judge(vanilla, `${secret}x`)).toBe(false);
});

test("what was changed after signing is found out", () => {
  const { headers } = vanilla;
  expect(judge({ ...vanilla, body: "x" })).toBe(false);
  expect(judge({ ...vanilla, method: "POST" })).toBe(false);
  expect(judge({ ...vanilla, url: "/?a=b" })).toBe(false);
  expect(judge({ ...vanilla, headers: { ...headers, host: "evil.example" } })).toBe(false);
  expect(judge({ ...vanilla, headers: { ...headers, "x-amz-date": "20150830T123601Z" } })).toBe(false);
});

test("what ought to be signed and is not makes no claim", () => {
  const { headers } = vanilla;
  expect(claimOf({ ...vanilla, headers: { ...headers, "x-amz-security-token": "t" } })).toBeUndefined();
  expect(claimOf({ ...vanilla, headers: { ...headers, "x-amz-date": "20150831T123600Z" } })).toBeUndefined();
  expect(claimOf({ ...vanilla, headers: { ...headers, "x-amz-date": undefined } })).toBeUndefined();
  expect(claimOf({ ...vanilla, headers: { ...headers, authorization: "Basic eDp5" } })).toBeUndefined();
});
