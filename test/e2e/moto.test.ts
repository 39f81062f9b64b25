import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { systemClock } from "../../src/oci/clock.ts";
import { silentLog } from "../../src/oci/log.ts";
import { ecrProvider } from "../../src/upstream/aws.ts";
import type { CredentialProvider } from "../../src/upstream/credentials.ts";
import { TokenManager } from "../../src/upstream/token-manager.ts";
import type { EcrOptions } from "../../src/upstream/upstream-options.ts";
import { externalId, startMoto, type Moto } from "../support/moto.ts";
import { requirePrograms } from "../support/programs.ts";
import { failureOf } from "../upstream/asking.ts";
import { connecting, variablesOf } from "../upstream/aws-asking.ts";
import { fetchOnce } from "../upstream/token-calls.ts";

describe.runIf(requirePrograms("moto_server"))("AWS as moto has it, which checks signatures by botocore", () => {
  let moto: Moto;

  beforeAll(async () => {
    moto = await startMoto();
    for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) vi.stubEnv(name, undefined);
    for (const [name, value] of Object.entries(variablesOf(moto.keys))) vi.stubEnv(name, value);
    vi.stubEnv("HOME", "/nowhere");
    vi.stubEnv("AWS_ENDPOINT_URL_STS", moto.url);
  });

  afterAll(async () => {
    vi.unstubAllEnvs();
    await moto[Symbol.asyncDispose]();
  });

  function ecr(options: EcrOptions = {}): CredentialProvider {
    const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    return ecrProvider({ endpoint: moto.current, ...options }, { host, connect: connecting(), clock: systemClock });
  }

  test("gives a token for what we sign", async () => {
    expect(await fetchOnce(ecr())).toEqual({
      content: { kind: "basic", user: "AWS", password: "123456789012-auth-token", isShownUnasked: true },
      expiresAtMs: moto.tokensEndAtMs,
    });
  });

  test("lets us assume a role, and takes what the session signs", async () => {
    const { roleArn } = moto;
    expect((await fetchOnce(ecr({ roleArn, externalId }))).content).toMatchObject({ password: "123456789012-auth-token" });
    expect((await failureOf(fetchOnce(ecr({ roleArn, externalId: "x-2" })), "DENIED")).message).toBe(
      `ecr 123456789012 in eu-west-1, role ${roleArn}: AWS refuses sts:AssumeRole to arn:aws:iam::123456789012:user/puller for ${roleArn}: the role's trust policy has to name who asks (and externalId, where it wants one), and that identity needs the permission sts:AssumeRole`,
    );
  });

  test("refuses what another secret signed", async () => {
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "another");
    try {
      const { message } = await failureOf(fetchOnce(ecr()), "DENIED");
      expect(message).toMatch(/^ecr 123456789012 in eu-west-1: 127\.0\.0\.1:\d+ answered 403 /);
    } finally {
      vi.stubEnv("AWS_SECRET_ACCESS_KEY", moto.keys.secretAccessKey);
    }
  });

  test("dates its tokens 2015, and such a token is not used", async () => {
    const provider = ecr({ endpoint: moto.url });
    expect((await fetchOnce(provider)).expiresAtMs).toBe(Date.UTC(2015, 0, 1));
    const background = new Background(silentLog);
    const manager = new TokenManager({ provider, clock: systemClock, log: silentLog, background });
    const failure = await failureOf(manager.current("team/app", new AbortController().signal), "UPSTREAM_UNAVAILABLE");
    expect(failure.message).toMatch(/^ecr 123456789012 in eu-west-1: what came ended at 2015-01-01T00:00:00.000Z/);
    manager.close();
    await background.settled();
  });
});
