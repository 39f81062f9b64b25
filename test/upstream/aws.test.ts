import { createHash } from "node:crypto";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/oci/clock.ts";
import { ecrProvider, ecrPublicProvider } from "../../src/upstream/aws.ts";
import { basicAuthorization } from "../../src/upstream/credentials.ts";
import { createTestAuthority } from "../support/certificates.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { startFakeUpstream } from "../support/fake-upstream.ts";
import { runProcess } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
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

describe("a token", () => {
  test("is what docker logs in with, shown unasked, and ends when AWS says so", async () => {
    const { aws } = place;
    place.environment(variablesOf(aws.addUser(one, "puller")));
    const provider = place.ecr();
    expect(provider.description).toBe("ecr 111122223333 in us-east-1");
    const before = Date.now();
    const { content, expiresAtMs } = await fetchOnce(provider);
    expect(content).toMatchObject({ kind: "basic", user: "AWS", isShownUnasked: true });
    expect(aws.judge(passwordOf({ content, expiresAtMs }), one)).toBe("valid");
    expect(expiresAtMs).toBeGreaterThanOrEqual(before + aws.tokenLifeMs);
    expect(expiresAtMs).toBeLessThanOrEqual(Date.now() + aws.tokenLifeMs);
    expect(aws.asked).toEqual([`ecr:GetAuthorizationToken ${one} us-east-1`]);
    expect(aws.requests).toEqual(["POST /"]);
    expect(aws.log[0]?.body).toBe("{}");
    // The next one is hours away.
    await aws.waitFor(() => aws.connections.open === 0, "its connection to end", { waitMs: 5_000 });
  });

  test("is asked for in the region of the options, else of the host, else of the environment, else of the profile", async () => {
    const { aws } = place;
    const keys = aws.addUser(one, "puller");
    place.environment(variablesOf(keys));
    await fetchOnce(place.ecr({ region: "us-west-2" }, registryOf(one, "eu-west-1")));
    await fetchOnce(place.ecr({}, registryOf(one, "eu-west-1")));
    place.environment({ AWS_REGION: "eu-north-1" });
    await fetchOnce(place.ecr({}, "ecr.corp"));
    place.environment({ AWS_REGION: undefined, AWS_DEFAULT_REGION: "sa-east-1" });
    await fetchOnce(place.ecr({}, "ecr.corp"));
    place.environment({ AWS_DEFAULT_REGION: undefined });
    await place.write(".aws/config", `[profile there]\nregion = ap-south-1\n${profileOf("profile there", keys).split("\n").slice(1).join("\n")}`);
    await fetchOnce(place.ecr({ profile: "there" }, "ecr.corp"));
    expect(aws.asked.map((line) => line.split(" ")[2])).toEqual(["us-west-2", "eu-west-1", "eu-north-1", "sa-east-1", "ap-south-1"]);
  });

  test("of another account than the host's is used, and the description says whose it is", async () => {
    place.environment(variablesOf(place.aws.addUser(two, "guest")));
    const provider = place.ecr();
    expect(await place.accountOf(provider)).toBe(two);
    expect(provider.description).toBe(`ecr ${one} in us-east-1 (AWS gave the token of account ${two})`);
  });

  test("is asked for anew by each fetch, with whatever the environment and the files say by then", async () => {
    const { aws } = place;
    await place.write(".aws/credentials", profileOf("default", aws.addUser(one, "puller")));
    const provider = place.ecr();
    expect(await place.accountOf(provider)).toBe(one);
    await place.write(".aws/credentials", profileOf("default", aws.addUser(two, "puller")));
    expect(await place.accountOf(provider)).toBe(two);
  });
});

describe("where credentials come from", () => {
  test("the environment, with its session token", async () => {
    const role = { account: two, name: "pull" };
    const { aws } = place;
    const arn = aws.addRole(role);
    place.environment(variablesOf(aws.addUser(one, "puller")));
    const session = aws.beginSession(arn);
    place.environment(variablesOf(session));
    aws.forget();
    expect(await place.accountOf(place.ecr())).toBe(two);
    expect(aws.asked).toEqual([`ecr:GetAuthorizationToken ${two} us-east-1`]);
    aws.expireSessions();
    expect(await place.lineOf(place.ecr())).toBe(
      "the AWS session has ended: ecr:GetAuthorizationToken was answered ExpiredToken; log in again, or use credentials that renew themselves (a role, say)",
    );
  });

  test("profiles, whose names are case-sensitive, in either file", async () => {
    const { aws } = place;
    await place.write(".aws/credentials", profileOf("Team", aws.addUser(one, "upper")));
    await place.write(".aws/config", profileOf("profile team", aws.addUser(two, "lower")));
    expect(await place.accountOf(place.ecr({ profile: "Team" }))).toBe(one);
    expect(await place.accountOf(place.ecr({ profile: "team" }))).toBe(two);
    place.environment({ AWS_PROFILE: "Team" });
    expect(await place.accountOf(place.ecr())).toBe(one);
    expect(place.ecr().description).toBe(`ecr ${one} in us-east-1, profile Team`);
  });

  test("files elsewhere", async () => {
    const file = await place.write("elsewhere/keys", profileOf("mine", place.aws.addUser(one, "puller")));
    place.environment({ AWS_SHARED_CREDENTIALS_FILE: file });
    expect(await place.accountOf(place.ecr({ profile: "mine" }))).toBe(one);
  });

  test("a named profile, whatever keys the environment holds", async () => {
    const { aws } = place;
    place.environment(variablesOf(aws.addUser(two, "somebody")));
    await place.write(".aws/credentials", profileOf("mine", aws.addUser(one, "puller")));
    expect(await place.accountOf(place.ecr({ profile: "mine" }))).toBe(one);
    place.environment({ AWS_PROFILE: "mine" });
    expect(await place.accountOf(place.ecr())).toBe(one);
  });

  test("two accounts, two profiles and two regions at once", async () => {
    const { aws } = place;
    await place.write(".aws/credentials", profileOf("a", aws.addUser(one, "puller")) + profileOf("b", aws.addUser(two, "puller")));
    const providers = [
      place.ecr({ profile: "a" }, registryOf(one, "us-east-1")),
      place.ecr({ profile: "b", region: "eu-west-1" }, registryOf(two, "eu-west-1")),
    ];
    const rounds = await Promise.all([...providers, ...providers, ...providers].map((provider) => place.accountOf(provider)));
    expect(rounds).toEqual([one, two, one, two, one, two]);
    expect(new Set(aws.asked)).toEqual(new Set([`ecr:GetAuthorizationToken ${one} us-east-1`, `ecr:GetAuthorizationToken ${two} eu-west-1`]));
    expect(aws.asked).toHaveLength(6);
  });

  test("a role that a profile assumes, with its externalId", async () => {
    const { aws } = place;
    const arn = aws.addRole({ account: two, name: "pull", externalId: "x-1" });
    await place.write(".aws/credentials", profileOf("base", aws.addUser(one, "puller")));
    await place.write(".aws/config", `[profile cross]\nrole_arn = ${arn}\nsource_profile = base\nexternal_id = x-1\n`);
    expect(await place.accountOf(place.ecr({ profile: "cross" }, registryOf(two)))).toBe(two);
    expect(aws.asked).toEqual([`sts:AssumeRole ${one} us-east-1`, `ecr:GetAuthorizationToken ${two} us-east-1`]);
  });

  test("a role of the options, assumed with whatever else there is", async () => {
    const { aws } = place;
    const arn = aws.addRole({ account: two, name: "pull", externalId: "x-1" });
    place.environment(variablesOf(aws.addUser(one, "puller")));
    const provider = place.ecr({ roleArn: arn, externalId: "x-1" }, registryOf(two, "eu-west-1"));
    expect(provider.description).toBe(`ecr ${two} in eu-west-1, role ${arn}`);
    expect(await place.accountOf(provider)).toBe(two);
    expect(aws.asked).toEqual([`sts:AssumeRole ${one} eu-west-1`, `ecr:GetAuthorizationToken ${two} eu-west-1`]);
    expect(await place.lineOf(place.ecr({ roleArn: arn, externalId: "x-2" }, registryOf(two)))).toBe(
      `AWS refuses sts:AssumeRole to arn:aws:iam::${one}:user/puller for ${arn}: the role's trust policy has to name who asks (and externalId, where it wants one), and that identity needs the permission sts:AssumeRole`,
    );
  });

  test("a web identity, whose file is read again at each fetch", async () => {
    const { aws } = place;
    const arn = aws.addRole({ account: one, name: "pod", webIdentityToken: "first.jwt.token" });
    const file = await place.write("token", "first.jwt.token");
    place.environment({ AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: arn });
    expect(await place.accountOf(place.ecr())).toBe(one);
    expect(aws.asked).toEqual([`sts:AssumeRoleWithWebIdentity ${one}`, `ecr:GetAuthorizationToken ${one} us-east-1`]);
    await place.write("token", "second.jwt.token");
    expect(await place.lineOf(place.ecr())).toContain("AWS refuses sts:AssumeRoleWithWebIdentity");
    aws.addRole({ account: one, name: "pod", webIdentityToken: "second.jwt.token" });
    expect(await place.accountOf(place.ecr())).toBe(one);
    await place.write(".aws/config", `[profile pod]\nrole_arn = ${arn}\nweb_identity_token_file = ${file}\n`);
    place.environment({ AWS_WEB_IDENTITY_TOKEN_FILE: undefined, AWS_ROLE_ARN: undefined });
    expect(await place.accountOf(place.ecr({ profile: "pod" }))).toBe(one);
  });

  test("an instance's role, by version 2 of its metadata service", async () => {
    const { aws } = place;
    aws.role = aws.addRole({ account: one, name: "node" });
    place.environment({ AWS_EC2_METADATA_DISABLED: undefined, AWS_EC2_METADATA_SERVICE_ENDPOINT: aws.url });
    expect(await place.accountOf(place.ecr())).toBe(one);
    expect(aws.asked).toEqual([
      "imds:PUT api/token",
      "imds:GET meta-data/iam/security-credentials/",
      "imds:GET meta-data/iam/security-credentials/node",
      `ecr:GetAuthorizationToken ${one} us-east-1`,
    ]);
  });

  test("a container's role, with the token that its service wants", async () => {
    const { aws } = place;
    aws.role = aws.addRole({ account: one, name: "task" });
    aws.containerToken = "let-me-in";
    place.environment({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${aws.url}/container`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: await place.write("t", "let-me-in"),
    });
    expect(await place.accountOf(place.ecr())).toBe(one);
    expect(aws.asked).toEqual(["container:GET", `ecr:GetAuthorizationToken ${one} us-east-1`]);
  });

  test("an SSO session that somebody began", async () => {
    const { aws } = place;
    aws.addRole({ account: two, name: "ReadOnly" });
    aws.ssoToken = "sso-access-token";
    await place.write(
      ".aws/config",
      `[profile people]\nsso_session = corp\nsso_account_id = ${two}\nsso_role_name = ReadOnly\n[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n`,
    );
    const cache = `.aws/sso/cache/${createHash("sha1").update("corp").digest("hex")}.json`;
    const provider = place.ecr({ profile: "people" }, registryOf(two));
    const login = 'the SSO session of the profile "people" has ended or was never begun; run aws sso login --profile people';
    expect(await place.lineOf(provider)).toBe(login);
    await place.write(cache, JSON.stringify({ accessToken: "sso-access-token", expiresAt: new Date(Date.now() - 1000).toISOString() }));
    expect(await place.lineOf(provider)).toBe(login);
    expect(aws.asked).toEqual([]);
    await place.write(cache, JSON.stringify({ accessToken: "sso-access-token", expiresAt: new Date(Date.now() + 3_600_000).toISOString() }));
    expect(await place.accountOf(provider)).toBe(two);
    expect(aws.asked).toEqual([`sso:GetRoleCredentials ${two}`, `ecr:GetAuthorizationToken ${two} us-east-1`]);
    aws.ssoToken = "another";
    expect(await place.lineOf(provider)).toBe('AWS gives no credentials for the SSO session of the profile "people"; run aws sso login --profile people');
  });

  test("a program that a profile names", async () => {
    const { aws } = place;
    const keys = aws.addUser(one, "puller");
    const output = JSON.stringify({ Version: 1, AccessKeyId: keys.accessKeyId, SecretAccessKey: keys.secretAccessKey });
    const program = await place.write("keys.sh", `#!/bin/sh\necho '${output}'\n`);
    await chmod(program, 0o700);
    await place.write(".aws/config", `[profile program]\ncredential_process = ${program}\n`);
    expect(await place.accountOf(place.ecr({ profile: "program" }))).toBe(one);
    await place.write("keys.sh", `#!/bin/sh\necho '${keys.secretAccessKey} of no use' >&2\nexit 3\n`);
    expect(await place.lineOf(place.ecr({ profile: "program" }))).toBe(
      'the credential_process of the profile "program" failed, or printed no credentials; run it by hand',
    );
  });
});

describe("AWS's own hosts", () => {
  test.each([
    ["111122223333.dkr.ecr.us-east-1.amazonaws.com", "api.ecr.us-east-1.amazonaws.com"],
    ["111122223333.dkr.ecr-fips.us-east-1.amazonaws.com", "api.ecr-fips.us-east-1.amazonaws.com"],
    ["111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"],
    ["111122223333.dkr-ecr.eu-west-1.on.aws", "ecr.eu-west-1.api.aws"],
  ])("for %s are asked at %s", async (host, api) => {
    place.environment(variablesOf(place.aws.addUser(one, "puller")));
    const looked: string[] = [];
    const resolve = (hostname: string): Promise<never> => {
      looked.push(hostname);
      return noSuchHost(hostname);
    };
    await failureOf(fetchOnce(ecrProvider({}, { host, connect: connecting({ resolve }), clock: systemClock })));
    expect(new Set(looked)).toEqual(new Set([api]));
  });

  test("are reached by HTTPS_PROXY, over TLS that is checked, unless NO_PROXY names them", async () => {
    await using folder = await temporaryFolder();
    const authority = await createTestAuthority(folder.path);
    const names = ["api.ecr.us-east-1.amazonaws.com", "api.ecr-public.us-east-1.amazonaws.com"];
    await using far = await startAwsPlace({ tls: await authority.issue({ names }) });
    await using proxy = await startConnectProxy(far.aws.port);
    far.environment(variablesOf(far.aws.addUser(one, "puller")));
    const through = (more: { tls?: { ca: string }; noProxy?: string }) =>
      connecting({ proxy: { httpsProxy: proxy.url, noProxy: more.noProxy }, ...(more.tls ? { tls: more.tls } : {}) });
    const trusted = { tls: { ca: authority.certificate } };
    const provider = ecrProvider({}, { host: registryOf(one), connect: through(trusted), clock: systemClock });
    expect(far.aws.judge(passwordOf(await fetchOnce(provider)), one)).toBe("valid");
    await fetchOnce(ecrPublicProvider({}, { host: "public.ecr.aws", connect: through(trusted), clock: systemClock }));
    expect(proxy.targets).toEqual(names.map((name) => `${name}:443`));
    expect(far.aws.asked).toEqual([`ecr:GetAuthorizationToken ${one} us-east-1`, `ecr-public:GetAuthorizationToken ${one} us-east-1`]);
    const distrusting = ecrProvider({}, { host: registryOf(one), connect: through({}), clock: systemClock });
    expect((await failureOf(fetchOnce(distrusting), "UPSTREAM_UNAVAILABLE")).message).toMatch(/certificate of an unknown authority/);
    const direct = ecrProvider({}, { host: registryOf(one), connect: through({ noProxy: ".amazonaws.com" }), clock: systemClock });
    expect((await failureOf(fetchOnce(direct), "UPSTREAM_UNAVAILABLE")).message).toMatch(/no such host: api.ecr/);
  });
});

test("a token opens the registry of its own account and no other's", async () => {
  const { aws } = place;
  await using upstream = await startFakeUpstream();
  upstream.putImage("team/app", "1");
  upstream.authentication = { kind: "ecr", aws, account: one };
  await place.write(".aws/credentials", profileOf("a", aws.addUser(one, "puller")) + profileOf("b", aws.addUser(two, "puller")));
  const statusWith = async (authorization?: string): Promise<number> => {
    const answer = await fetch(`${upstream.url}/v2/team/app/manifests/1`, { headers: authorization === undefined ? {} : { authorization } });
    await answer.body?.cancel();
    return answer.status;
  };
  const tokenOf = async (profile: string): Promise<string> => basicAuthorization("AWS", passwordOf(await fetchOnce(place.ecr({ profile }))));
  expect(await statusWith()).toBe(401);
  expect(await statusWith(await tokenOf("a"))).toBe(200);
  expect(await statusWith(await tokenOf("b"))).toBe(403);
  aws.tokenLifeMs = 0;
  expect(await statusWith(await tokenOf("a"))).toBe(403);
});

test("the SDK is loaded by the first fetch, and not before", async () => {
  const source = (file: string): string => JSON.stringify(join(import.meta.dirname, "..", "..", "src", file));
  const program = `
    import { createRequire } from "node:module";
    import { ecrProvider } from ${source("upstream/aws.ts")};
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((file) => file.includes("@aws-sdk")).length > 0;
    const connect = () => { throw new Error("nobody is asked") };
    const provider = ecrProvider({ endpoint: "http://127.0.0.1:1" }, { host: "ecr.corp", connect, clock: {} });
    const before = loaded();
    await provider.fetch(new AbortController().signal).catch(() => {});
    console.log(JSON.stringify([before, loaded()]));`;
  const { stdout, stderr } = await runProcess(process.execPath, ["--input-type=module", "--eval", program]);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual([false, true]);
});

describe("ECR Public", () => {
  test("gives one token, from us-east-1, wherever else we are", async () => {
    const { aws } = place;
    place.environment({ ...variablesOf(aws.addUser(one, "puller")), AWS_REGION: "eu-west-1" });
    const provider = ecrPublicProvider({ endpoint: aws.url }, { host: "public.ecr.aws", connect: connecting(), clock: systemClock });
    const { content, expiresAtMs } = await fetchOnce(provider);
    expect(content).toMatchObject({ kind: "basic", user: "AWS" });
    expect(expiresAtMs).toBeGreaterThan(Date.now());
    expect(provider.description).toBe("ecr-public");
    expect(aws.asked).toEqual([`ecr-public:GetAuthorizationToken ${one} us-east-1`]);
  });

  test("names both permissions when one is missing", async () => {
    place.environment(variablesOf(place.aws.addUser(one, "weak", { allowed: [] })));
    const provider = ecrPublicProvider({ endpoint: place.aws.url }, { host: "public.ecr.aws", connect: connecting(), clock: systemClock });
    expect(await place.lineOf(provider)).toMatch(/allow ecr-public:GetAuthorizationToken on .*, and sts:GetServiceBearerToken$/);
  });
});
