/** Amazon ECR from the configuration's text to what AWS and the registries hear: our own process, with nothing of this machine's AWS. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startFakeAws, type FakeAws } from "../support/fake-aws.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { secretsLeftBy } from "../support/secret-traces.ts";
import { temporaryFolder, type TemporaryFolder } from "../support/temporary-folder.ts";
import { one, profileOf, two } from "../upstream/aws-asking.ts";

let folder: TemporaryFolder;
let aws: FakeAws;
let first: FakeUpstream;
let second: FakeUpstream;

beforeEach(async () => {
  [folder, aws, first, second] = await Promise.all([temporaryFolder(), startFakeAws(), startFakeUpstream(), startFakeUpstream()]);
  for (const [upstream, account] of [
    [first, one],
    [second, two],
  ] as const) {
    upstream.authentication = { kind: "ecr", aws, account };
    for (const repository of ["team/app", "team/tool"]) upstream.putImage(repository, "1");
  }
});

afterEach(async () => {
  await Promise.all([aws.close(), first.close(), second.close()]);
  await folder[Symbol.asyncDispose]();
});

/** Our server, whose `~` is the folder; every registry at AWS's stand-in. */
async function serve(tokens: readonly { readonly upstream: FakeUpstream; readonly token: Readonly<Record<string, unknown>> }[]): Promise<OurServer> {
  const variables = Object.fromEntries(Object.keys(process.env).flatMap((name) => (name.startsWith("AWS_") ? [[name, undefined]] : [])));
  return startOurServer({
    folder: folder.path,
    config: { logLevel: "debug", registries: tokens.map(({ upstream, token }) => ({ name: upstream.host, scheme: "http", auth: { token } })) },
    env: { ...variables, HOME: folder.path, AWS_EC2_METADATA_DISABLED: "true" },
  });
}

async function writeProfiles(text: string): Promise<void> {
  await mkdir(join(folder.path, ".aws"), { recursive: true });
  await writeFile(join(folder.path, ".aws", "credentials"), text);
}

async function pull({ url }: OurServer, { host }: FakeUpstream, repository = "team/app"): Promise<{ status: number; body: string; challenge: string | null }> {
  const response = await fetch(`${url}/v2/${host}/${repository}/manifests/1`, { headers: { connection: "close" } });
  return { status: response.status, body: await response.text(), challenge: response.headers.get("www-authenticate") };
}

describe("Amazon ECR", () => {
  test("two accounts, regions and profiles at once: each registry hears its own token only, and no secret is left anywhere", async () => {
    await writeProfiles(profileOf("default", aws.addUser(one, "puller")) + profileOf("Team-B", aws.addUser(two, "puller")));
    await using server = await serve([
      { upstream: first, token: { provider: "ecr", providerOpts: `profile=default,region=us-south-1,endpoint=${aws.url}`, expiry: "6h" } },
      { upstream: second, token: { provider: "ecr", providerOpts: { profile: "Team-B", region: "eu-west-1", endpoint: aws.url } } },
    ]);
    const answers = await Promise.all([first, second, first, second].map((upstream) => pull(server, upstream)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(aws.asked.toSorted()).toEqual([`ecr:GetAuthorizationToken ${one} us-south-1`, `ecr:GetAuthorizationToken ${two} eu-west-1`]);
    for (const [upstream, account] of [
      [first, one],
      [second, two],
    ] as const) {
      const heard = new Set(upstream.log.map(({ headers }) => headers.authorization));
      expect(heard.size).toBe(1);
      const [, password = ""] = /^Basic (.+)$/.exec([...heard][0] ?? "") ?? [];
      expect(Buffer.from(password, "base64").toString()).toContain(`AWS:password-of-${account}-`);
    }
    expect(server.process.output).toContain('"msg":"credential fetched"');
    expect(aws.secrets).toHaveLength(4);
    expect(await secretsLeftBy(server, aws.secrets)).toEqual([]);
  });

  test("two hundred pulls at the start wait for one token", async () => {
    await writeProfiles(profileOf("default", aws.addUser(one, "puller")));
    const { promise: patience, resolve: answer } = Promise.withResolvers<void>();
    aws.when({}, { hold: patience });
    await using server = await serve([{ upstream: first, token: { provider: "ecr", providerOpts: { region: "us-east-1", endpoint: aws.url } } }]);
    const pulls = Array.from({ length: 200 }, () => pull(server, first));
    await aws.waitForRequests(1);
    answer();
    expect(new Set((await Promise.all(pulls)).map(({ status }) => status))).toEqual(new Set([200]));
    expect(aws.asked).toEqual([`ecr:GetAuthorizationToken ${one} us-east-1`]);
    expect(first.log.every(({ headers }) => headers.authorization?.startsWith("Basic "))).toBe(true);
  });

  test("a token that ends before its time is exchanged for another by the pull that finds out", async () => {
    await writeProfiles(profileOf("default", aws.addUser(one, "puller")));
    await using server = await serve([{ upstream: first, token: { provider: "ecr", providerOpts: { region: "us-east-1", endpoint: aws.url } } }]);
    expect((await pull(server, first)).status).toBe(200);
    aws.revokeTokens();
    expect((await pull(server, first, "team/tool")).status).toBe(200);
    expect(aws.asked).toHaveLength(2);
  });

  test("a wrong credential is refused in words, without the registry's challenge; what is held is served all the same", async () => {
    const keys = aws.addUser(one, "puller");
    await writeProfiles(profileOf("default", keys));
    const token = { provider: "ecr", providerOpts: { region: "us-east-1", endpoint: aws.url } };
    {
      await using server = await serve([{ upstream: first, token }]);
      expect((await pull(server, first)).status).toBe(200);
    }
    await writeProfiles(profileOf("default", { ...keys, secretAccessKey: "wrong" }));
    await using server = await serve([{ upstream: first, token }]);
    const line = String.raw`ecr in us-east-1: the secret access key does not belong to its access key id (profile \"default\"); set both anew`;
    await server.process.waitForOutput(/"msg":"credential not fetched"/);
    first.forget();
    const refused = await pull(server, first, "team/tool");
    expect(refused).toMatchObject({ status: 403, challenge: null });
    expect(JSON.parse(refused.body)).toMatchObject({ errors: [{ code: "DENIED" }] });
    expect(server.process.output).toContain(line);
    expect((await pull(server, first)).status).toBe(200);
    expect(first.requests).toEqual([]);
  });
});
