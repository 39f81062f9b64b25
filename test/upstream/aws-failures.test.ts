import { beforeEach, afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { ecrProvider } from "../../src/upstream/aws.ts";
import type { IssuedCredential } from "../../src/upstream/credentials.ts";
import { startFakeAws, type AwsKeys, type FakeAws } from "../support/fake-aws.ts";
import { TestClock } from "../support/test-clock.ts";
import { failureOf } from "./asking.ts";
import { connecting, expectSilence, noSuchHost, one, passwordOf, profileOf, registryOf, startAwsPlace, two, variablesOf, type AwsPlace } from "./aws-asking.ts";
import { fetchOnce } from "./token-calls.ts";

let place: AwsPlace;

beforeEach(async () => {
  place = await startAwsPlace();
});

afterEach(async () => {
  await place[Symbol.asyncDispose]();
});

expectSilence();

describe("a profile that is named and of no use", () => {
  beforeEach(() => {
    const { aws } = place;
    // Whoever does not find the profile would find this.
    aws.role = aws.addRole({ account: two, name: "node" });
    place.environment({ AWS_EC2_METADATA_DISABLED: undefined, AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.url });
  });

  test("is an error where it does not exist: nobody else's credentials are used in its place", async () => {
    expect(await place.lineOf(place.ecr({ profile: "team-a" }))).toBe(
      'the profile "team-a" is not in ~/.aws/config or ~/.aws/credentials; add it, or name another in providerOpts',
    );
    await place.write(".aws/config", "[profile Team-A]\nregion = us-east-1\n");
    expect(await place.lineOf(place.ecr({ profile: "team-a" }))).toBe(
      'the profile "team-a" is not in ~/.aws/config or ~/.aws/credentials; there is "Team-A", and case matters',
    );
    expect(place.aws.asked).toEqual([]);
  });

  test("is an error where its source is missing, has no keys, or leads back to it", async () => {
    const arn = place.aws.addRole({ account: one, name: "pull" });
    const base = `[profile cross]\nrole_arn = ${arn}\nsource_profile = `;
    await place.write(".aws/config", `${base}gone\n`);
    expect(await place.lineOf(place.ecr({ profile: "cross" }))).toBe(
      'the profile "gone" in ~/.aws/config and ~/.aws/credentials holds no credentials that can be used',
    );
    await place.write(".aws/config", `${base}other\n[profile other]\nrole_arn = ${arn}\nsource_profile = cross\n`);
    expect(await place.lineOf(place.ecr({ profile: "cross" }))).toBe('the profile "cross" leads back to itself by source_profile');
    await place.write(".aws/config", `${base}base\nmfa_serial = arn:aws:iam::${one}:mfa/me\n${profileOf("profile base", place.aws.addUser(one, "u"))}`);
    expect(await place.lineOf(place.ecr({ profile: "cross" }))).toBe(
      'the profile "cross" wants a second factor (mfa_serial), which a server cannot give; name one without',
    );
    expect(place.aws.asked).toEqual([]);
  });

  test("is none where it only says a region: the instance's role is meant", async () => {
    await place.write(".aws/config", "[profile there]\nregion = ap-south-1\n");
    expect(await place.accountOf(place.ecr({ profile: "there" }, registryOf(two)))).toBe(two);
  });
});

describe("what fails, in one line", () => {
  test("no credentials anywhere: the line names the places", async () => {
    expect(await place.lineOf(place.ecr())).toBe(
      'no AWS credentials found; looked at: AWS_ACCESS_KEY_ID, profile "default" in ~/.aws/config and ~/.aws/credentials, AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, (instance metadata is switched off)',
    );
    place.environment({ AWS_EC2_METADATA_DISABLED: undefined, AWS_EC2_METADATA_SERVICE_ENDPOINT: place.aws.url });
    expect(await place.lineOf(place.ecr())).toMatch(/AWS_ROLE_ARN, instance metadata$/);
    expect(place.aws.asked).toEqual(["imds:PUT api/token", "imds:GET meta-data/iam/security-credentials/"]);
  });

  test("a secret key that is another's", async () => {
    const { aws } = place;
    const [mine, other] = [aws.addUser(one, "a"), aws.addUser(one, "b")];
    place.environment({ ...variablesOf(mine), AWS_SECRET_ACCESS_KEY: other.secretAccessKey });
    expect(await place.lineOf(place.ecr())).toBe("the secret access key does not belong to its access key id (AWS_ACCESS_KEY_ID); set both anew");
    await place.write(".aws/credentials", profileOf("x", { ...mine, secretAccessKey: "wrong" }));
    expect(await place.lineOf(place.ecr({ profile: "x" }))).toBe('the secret access key does not belong to its access key id (profile "x"); set both anew');
    const roleArn = aws.addRole({ account: two, name: "pull" });
    expect(await place.lineOf(place.ecr({ roleArn }))).toBe("the secret access key does not belong to its access key id (AWS_ACCESS_KEY_ID); set both anew");
  });

  test("an access key that AWS does not know, or whose session token is missing", async () => {
    const { aws } = place;
    const unknown = (from: string) =>
      `AWS does not know the access key that was used${from}: it was deleted, belongs to another partition, or its session token is missing or wrong`;
    place.environment({ AWS_ACCESS_KEY_ID: "AKIANOBODY", AWS_SECRET_ACCESS_KEY: "x" });
    expect(await place.lineOf(place.ecr())).toBe(unknown(" (AWS_ACCESS_KEY_ID)"));
    expect(await place.lineOf(place.ecr({ roleArn: aws.addRole({ account: two, name: "r" }) }))).toBe(unknown(" (AWS_ACCESS_KEY_ID)"));
    const keys = aws.beginSession(aws.addRole({ account: one, name: "pull" }));
    place.environment({ ...variablesOf(keys), AWS_SESSION_TOKEN: undefined });
    expect(await place.lineOf(place.ecr())).toBe(unknown(" (AWS_ACCESS_KEY_ID)"));
  });

  test("a permission that is missing: who lacks which", async () => {
    place.environment(variablesOf(place.aws.addUser(one, "weak", { allowed: [] })));
    expect(await place.lineOf(place.ecr())).toBe(
      `AWS refuses ecr:GetAuthorizationToken to arn:aws:iam::${one}:user/weak: allow ecr:GetAuthorizationToken on resource "*" in an IAM policy of that identity`,
    );
  });

  test("files and variables that lead nowhere", async () => {
    place.environment({ AWS_WEB_IDENTITY_TOKEN_FILE: "/nowhere/token", AWS_ROLE_ARN: `arn:aws:iam::${one}:role/pod` });
    expect(await place.lineOf(place.ecr())).toBe("the web identity token /nowhere/token cannot be read (ENOENT)");
    place.environment({ AWS_WEB_IDENTITY_TOKEN_FILE: undefined, AWS_CONTAINER_CREDENTIALS_FULL_URI: `${place.aws.url}/container` });
    expect(await place.lineOf(place.ecr(), "UPSTREAM_UNAVAILABLE")).toBe(
      "the container's credential service gave no credentials; see AWS_CONTAINER_CREDENTIALS_FULL_URI",
    );
  });

  test("no region, none that could be one, and no endpoint", async () => {
    place.environment(variablesOf(place.aws.addUser(one, "puller")));
    expect(await place.lineOf(place.ecr({}, "ecr.corp"))).toBe(
      "no region: the registry's host does not name one; set region in providerOpts, AWS_REGION, or region in the profile",
    );
    expect(await place.lineOf(place.ecr({ region: "evil.example/x" }))).toBe('region "evil.example/x" is not the name of a region');
    expect(await place.lineOf(place.ecr({ endpoint: "vpce-1.corp" }))).toBe(
      "endpoint vpce-1.corp in providerOpts is not the URL of a server; write https://HOST",
    );
    expect(place.aws.asked).toEqual([]);
  });

  test("a region that does not exist has no host", async () => {
    place.environment(variablesOf(place.aws.addUser(one, "puller")));
    const provider = ecrProvider({}, { host: registryOf(one, "us-south-1"), connect: connecting({ resolve: noSuchHost }), clock: systemClock });
    expect(await place.lineOf(provider, "UPSTREAM_UNAVAILABLE")).toBe(
      'no such host: api.ecr.us-south-1.amazonaws.com; is "us-south-1" a region of AWS, and does looking up names work here?',
    );
  });

  test("an outage: refused, ill, overrun, silent", async () => {
    const { aws } = place;
    place.environment(variablesOf(aws.addUser(one, "puller")));
    aws.fail("ecr:GetAuthorizationToken", { code: "ServerException", status: 500, times: 2 });
    expect(await place.lineOf(place.ecr(), "UPSTREAM_UNAVAILABLE")).toBe(`${aws.host} answered 500 (ServerException)`);
    aws.fail("ecr:GetAuthorizationToken", { code: "ThrottlingException", times: 2 });
    expect(await place.lineOf(place.ecr(), "UPSTREAM_THROTTLED")).toBe(`${aws.host} asks us to slow down (ThrottlingException)`);
    aws.fail("ecr:GetAuthorizationToken", { code: "ServerException", status: 503, times: 1 });
    expect(await place.accountOf(place.ecr())).toBe(one);
    expect(aws.asked).toHaveLength(6);
    await aws.refuse();
    expect(await place.lineOf(place.ecr(), "UPSTREAM_UNAVAILABLE")).toBe(`connection refused by ${aws.host}`);
    expect(await place.lineOf(place.ecr({ roleArn: `arn:aws:iam::${one}:role/r` }), "UPSTREAM_UNAVAILABLE")).toBe(`connection refused by ${aws.host}`);
  });

  test.each([
    ["InvalidIdentityToken", /^AWS does not accept the web identity token in .*token: is its issuer an identity provider of that account\?$/],
    ["IDPRejectedClaim", /^the identity provider of the web identity token in .*token rejects it$/],
    ["ExpiredTokenException", /^the AWS session has ended: sts:AssumeRoleWithWebIdentity was answered ExpiredToken;/],
    ["RegionDisabledException", /^AWS STS is switched off in region us-east-1 for this account;/],
  ])("a web identity that STS answers with %s", async (code, line) => {
    place.environment({ AWS_WEB_IDENTITY_TOKEN_FILE: await place.write("token", "some.jwt.token"), AWS_ROLE_ARN: `arn:aws:iam::${one}:role/pod` });
    place.aws.fail("sts:AssumeRoleWithWebIdentity", { code, message: "some.jwt.token is not for us" });
    const said = await place.lineOf(place.ecr());
    expect(said).toMatch(line);
    expect(said).not.toContain("jwt");
  });

  test("settings of AWS's own that exclude each other", async () => {
    place.environment({ ...variablesOf(place.aws.addUser(one, "puller")), AWS_ENDPOINT_URL_ECR: place.aws.url });
    const host = `${one}.dkr.ecr-fips.us-east-1.amazonaws.com`;
    const provider = ecrProvider({}, { host, connect: connecting(), clock: systemClock });
    expect(await place.lineOf(provider)).toMatch(/^the AWS SDK finds its configuration contradictory: .*FIPS and custom endpoint/);
    expect(await place.accountOf(place.ecr({}, host))).toBe(one);
  });

  test("what AWS refuses for a reason that nobody here knows", async () => {
    place.environment(variablesOf(place.aws.addUser(one, "puller")));
    place.aws.fail("ecr:GetAuthorizationToken", { code: "NeverHeardOfException", status: 400 });
    expect(await place.lineOf(place.ecr())).toBe(`${place.aws.host} answered 400 (NeverHeardOfException) to ecr:GetAuthorizationToken`);
  });

  test("silence: each question has its own end, told by whom it was asked", async () => {
    const clock = new TestClock({ startMs: Date.now() });
    await using quiet = await startAwsPlace({ clock });
    quiet.environment(variablesOf(quiet.aws.addUser(one, "puller")));
    quiet.aws.when({}, { silent: "before headers" });
    const failing = failureOf(fetchOnce(quiet.ecr()), "UPSTREAM_TIMEOUT");
    await quiet.aws.waitForRequests(1);
    await clock.advance(4_000);
    expect((await failing).message).toBe(`ecr ${one} in us-east-1: no answer from ${quiet.aws.host} within 4000 ms`);
    quiet.aws.behave();
    quiet.aws.forget();
    quiet.aws.when({}, { silent: "after headers" });
    const half = failureOf(fetchOnce(quiet.ecr()), "UPSTREAM_TIMEOUT");
    await quiet.aws.waitForRequests(1);
    await clock.advance(4_000);
    expect((await half).message).toContain(`no answer from ${quiet.aws.host} within 4000 ms`);
  });

  test("whoever gives up is heard at once, and the question is given up with them", async () => {
    const { aws } = place;
    place.environment(variablesOf(aws.addUser(one, "puller")));
    aws.when({}, { silent: "before headers" });
    const controller = new AbortController();
    const fetching = place.ecr().fetch(controller.signal);
    await aws.waitForRequests(1);
    const reason = new Error("nobody waits");
    controller.abort(reason);
    await expect(fetching).rejects.toBe(reason);
    await aws.waitFor(() => aws.connections.open === 0, "its connection to end");
  });

  test("whoever gives up is heard at once, though the SDK goes on asking a metadata service", async () => {
    const { aws } = place;
    place.environment({ AWS_EC2_METADATA_DISABLED: undefined, AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.url });
    aws.when({}, { silent: "before headers" });
    const controller = new AbortController();
    const fetching = place.ecr().fetch(controller.signal);
    await aws.waitForRequests(1);
    const reason = new Error("nobody waits");
    controller.abort(reason);
    const asksAgain = aws.waitForRequests(2);
    await expect(Promise.race([fetching, asksAgain])).rejects.toBe(reason);
    await asksAgain;
  });
});

describe("answers that make no sense", () => {
  beforeEach(() => place.environment(variablesOf(place.aws.addUser(one, "puller"))));

  test.each([
    ["a page", "<!doctype html><title>Log in to the hotel</title>"],
    ["nothing", ""],
    ["no object", "[]"],
    ["another object", "{}"],
    ["null", '{"authorizationData":null}'],
    ["no data", '{"authorizationData":[]}'],
    ["data that is null", '{"authorizationData":[null]}'],
    ["data that is a number", '{"authorizationData":7}'],
  ])("%s for an answer is an outage", async (_, body) => {
    place.aws.when({}, { body });
    expect(await place.lineOf(place.ecr(), "UPSTREAM_UNAVAILABLE")).toMatch(/gave an answer .*that cannot be used/);
  });

  test.each([
    ["is missing", undefined],
    ["is empty", ""],
    ["is a number", 7],
    ["is an object", { a: 1 }],
    ["holds no colon", Buffer.from("AWS").toString("base64")],
    ["holds no password", Buffer.from("AWS:").toString("base64")],
    ["holds no user", Buffer.from(":x").toString("base64")],
    ["breaks a header", Buffer.from("AWS:a\r\nX: y").toString("base64")],
    ["is endless", Buffer.from(`AWS:${"x".repeat(100_000)}`).toString("base64")],
  ])("a token that %s is an outage", async (_, authorizationToken) => {
    place.aws.answerInstead = { authorizationToken };
    expect(await place.lineOf(place.ecr(), "UPSTREAM_UNAVAILABLE")).toMatch(/gave an answer .*that cannot be used/);
  });

  test("an end that is missing is nobody's word, and one that is over is passed on as it is", async () => {
    place.aws.answerInstead = { expiresAt: undefined };
    expect((await fetchOnce(place.ecr())).expiresAtMs).toBeUndefined();
    place.aws.answerInstead = { expiresAt: 1_420_070_400 };
    expect((await fetchOnce(place.ecr())).expiresAtMs).toBe(Date.UTC(2015, 0, 1));
    for (const expiresAt of ["soon", {}, 1e300]) {
      place.aws.answerInstead = { expiresAt };
      const outcome = await fetchOnce(place.ecr()).catch((error: unknown) => error);
      expect(outcome).toSatisfy((it) => (it instanceof Error ? it.message.includes("cannot be used") : (it as IssuedCredential).expiresAtMs === undefined));
    }
  });

  test("an answer without end is cut off", async () => {
    place.aws.when({}, { body: "x".repeat(10_000), endless: true });
    expect(await place.lineOf(place.ecr(), "UPSTREAM_UNAVAILABLE")).toBe("an answer of more than 262144 bytes");
    expect(place.aws.bytesSent.total).toBeLessThan(8 << 20);
  });

  test("a redirect is not followed: what is signed for AWS goes to nobody else", async () => {
    place.aws.when({ times: 1 }, { redirectTo: `${place.aws.url}/elsewhere` });
    expect(await place.lineOf(place.ecr())).toMatch(/^127.0.0.1:\d+ answered 307/);
    expect(place.aws.requests).toEqual(["POST /"]);
  });
});

describe("a clock that is wrong", () => {
  test("is made up for when AWS says what time it is", async () => {
    const aheadMs = 600_000;
    await using skewed = await startAwsPlace();
    const clock = new TestClock({ startMs: Date.now() + aheadMs });
    await using ahead = await startAhead(clock);
    skewed.environment(variablesOf(ahead.keys));
    ahead.aws.when({}, { headers: { date: new Date(Date.now() + aheadMs).toUTCString() } });
    const provider = ecrProvider({ endpoint: ahead.aws.url }, { host: registryOf(one), connect: connecting(), clock: systemClock });
    expect(ahead.aws.judge(passwordOf(await fetchOnce(provider)), one)).toBe("valid");
    expect(ahead.aws.asked).toHaveLength(2);
  });

  test("is told when it cannot be made up for", async () => {
    await using ahead = await startAhead(new TestClock({ startMs: Date.now() - 600_000 }));
    place.environment(variablesOf(ahead.keys));
    const provider = ecrProvider({ endpoint: ahead.aws.url }, { host: registryOf(one), connect: connecting(), clock: systemClock });
    expect(await place.lineOf(provider)).toBe(`${ahead.aws.host} finds the time of the request wrong: set the clock of this machine`);
  });
});

/** A stand-in where it is another time. */
async function startAhead(clock: TestClock): Promise<AsyncDisposable & { readonly aws: FakeAws; readonly keys: AwsKeys }> {
  const aws = await startFakeAws({ clock });
  return { aws, keys: aws.addUser(one, "puller"), [Symbol.asyncDispose]: () => aws.close() };
}
