import { expect, test } from "vitest";
import { findEcrHost, regionProblem } from "../../src/upstream/ecr-host.ts";

test.each([
  ["111122223333.dkr.ecr.us-east-1.amazonaws.com", { account: "111122223333", region: "us-east-1", isFips: false, isDualStack: false }],
  ["111122223333.dkr.ecr.us-east-1.amazonaws.com:443", { account: "111122223333", region: "us-east-1", isFips: false, isDualStack: false }],
  ["111122223333.DKR.ecr.US-east-1.amazonaws.com", { account: "111122223333", region: "us-east-1", isFips: false, isDualStack: false }],
  ["012345678901.dkr.ecr-fips.us-gov-west-1.amazonaws.com", { account: "012345678901", region: "us-gov-west-1", isFips: true, isDualStack: false }],
  ["111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn", { account: "111122223333", region: "cn-north-1", isFips: false, isDualStack: false }],
  ["111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu", { account: "111122223333", region: "eusc-de-east-1", isFips: false, isDualStack: false }],
  ["111122223333.dkr-ecr.eu-west-1.on.aws", { account: "111122223333", region: "eu-west-1", isFips: false, isDualStack: true }],
  ["111122223333.dkr-ecr-fips.us-west-2.on.aws", { account: "111122223333", region: "us-west-2", isFips: true, isDualStack: true }],
  ["111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", { account: "111122223333", region: "cn-north-1", isFips: false, isDualStack: true }],
])("%s tells its account and its region", (host, told) => {
  expect(findEcrHost(host)).toEqual(told);
});

test.each([
  "public.ecr.aws",
  "docker.io",
  "127.0.0.1:5000",
  "11112222333.dkr.ecr.us-east-1.amazonaws.com",
  "111122223333.dkr.ecr.us-east-1.amazonaws.com.evil.example",
  "evil.example.111122223333.dkr.ecr.us-east-1.amazonaws.com",
  "111122223333.dkr.ecr.us-east-1.amazonaws.org",
  "111122223333.dkr.ecr..amazonaws.com",
  "111122223333.dkr.ecr.-us.amazonaws.com",
  "",
])("%j is none of Amazon's", (host) => {
  expect(findEcrHost(host)).toBeUndefined();
});

test("a region that differs from the host's is told in words, and nothing else is", () => {
  const host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
  expect(regionProblem(host, "us-east-1")).toBe("region us-east-1 in providerOpts, but the host says eu-west-1");
  expect(regionProblem(host, "eu-west-1")).toBeUndefined();
  expect(regionProblem(host, undefined)).toBeUndefined();
  expect(regionProblem("127.0.0.1:5000", "us-east-1")).toBeUndefined();
});
