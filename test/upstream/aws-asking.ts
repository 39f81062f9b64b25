/** Asking AWS: the stand-in, a home folder and an environment of a test's own, and providers that know nothing else of this machine. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, expect, vi } from "vitest";
import { Background } from "../../src/oci/background.ts";
import { systemClock, type Clock } from "../../src/oci/clock.ts";
import type { OciErrorCode } from "../../src/oci/errors.ts";
import { silentLog } from "../../src/oci/log.ts";
import { AddressPolicy, ListedAddresses } from "../../src/upstream/address-policy.ts";
import type { Connection } from "../../src/upstream/aws-requests.ts";
import { ecrProvider } from "../../src/upstream/aws.ts";
import type { CredentialProvider, IssuedCredential } from "../../src/upstream/credentials.ts";
import { HttpClient } from "../../src/upstream/http-client.ts";
import { NameLookup } from "../../src/upstream/name-lookup.ts";
import { Proxies } from "../../src/upstream/proxies.ts";
import { defaultDeadlines, type EcrOptions, type ProxyOptions, type Resolve, type UpstreamTls } from "../../src/upstream/upstream-options.ts";
import { startFakeAws, type AwsKeys, type FakeAws } from "../support/fake-aws.ts";
import type { TlsFiles } from "../support/recording-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { failureOf } from "./asking.ts";
import { fetchOnce } from "./token-calls.ts";

export interface AwsPlace extends AsyncDisposable {
  readonly aws: FakeAws;
  /** What `~` is. */
  readonly home: string;
  /** Writes a file below it; resolves to its path. */
  write(name: string, text: string): Promise<string>;
  /** Sets variables; undefined takes one away. */
  environment(variables: Readonly<Record<string, string | undefined>>): void;
  /** For the registry at `host`, asked at the stand-in. */
  ecr(options?: EcrOptions, host?: string): CredentialProvider;
  /** Which of the two accounts' registries the provider's token opens. */
  accountOf(provider: CredentialProvider): Promise<string | undefined>;
  /** The line that a fetch fails with, without its beginning. No secret may ever be in it, nor anything else that hangs on the error. */
  lineOf(provider: CredentialProvider, code?: OciErrorCode): Promise<string>;
}

/** The accounts of all these tests. */
export const [one, two] = ["111122223333", "444455556666"] as const;

export const registryOf = (account: string, region = "us-east-1"): string => `${account}.dkr.ecr.${region}.amazonaws.com`;

/**
 * Starts a stand-in and forgets everything that this machine says of AWS: no variable, no file, no instance metadata. Whatever the SDK
 * finds is what the test put there, and STS and SSO are the stand-in's.
 */
export async function startAwsPlace({ tls, clock }: { tls?: TlsFiles; clock?: Clock } = {}): Promise<AwsPlace> {
  const aws = await startFakeAws({ tls });
  const folder = await temporaryFolder();
  const environment = (variables: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  };
  environment(Object.fromEntries(Object.keys(process.env).flatMap((name) => (name.startsWith("AWS_") ? [[name, undefined]] : []))));
  environment({ HOME: folder.path, AWS_EC2_METADATA_DISABLED: "true", AWS_ENDPOINT_URL_STS: aws.url, AWS_ENDPOINT_URL_SSO: aws.url });
  return {
    aws,
    home: folder.path,
    async write(name, text) {
      const path = join(folder.path, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
      return path;
    },
    environment,
    ecr(options = {}, host = registryOf(one)) {
      return ecrProvider({ endpoint: aws.url, ...options }, { host, connect: connecting({ clock }), clock: clock ?? systemClock });
    },
    async accountOf(provider) {
      const password = passwordOf(await fetchOnce(provider));
      return [one, two].find((account) => aws.judge(password, account) === "valid");
    },
    async lineOf(provider, code = "DENIED") {
      const error = await failureOf(fetchOnce(provider), code);
      expect(error.message).not.toMatch(/[\n\r]|undefined|\[object/);
      expect(error.cause).toBeUndefined();
      for (const secret of aws.secrets) expect(error.message).not.toContain(secret);
      const prefix = `${provider.description}: `;
      expect(error.message.startsWith(prefix)).toBe(true);
      return error.message.slice(prefix.length);
    },
    async [Symbol.asyncDispose]() {
      vi.unstubAllEnvs();
      await aws.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

export interface ConnectingSettings {
  readonly resolve?: Resolve;
  readonly proxy?: ProxyOptions;
  readonly tls?: UpstreamTls;
  readonly clock?: Clock | undefined;
}

/** The project's own connections, to wherever they are asked to lead. No name leaves this machine: without `resolve` there are none. */
export function connecting({ resolve = noSuchHost, proxy, tls, clock = systemClock }: ConnectingSettings = {}): (origin: URL) => Connection {
  return (origin) => {
    const background = new Background(silentLog);
    const listed = new ListedAddresses();
    listed.addUrl(origin);
    return new HttpClient({
      policy: new AddressPolicy({ listed: () => listed, own: origin, isListed: true }),
      names: new NameLookup({ clock, background, lookupMs: defaultDeadlines.lookupMs, resolve }),
      proxies: new Proxies(proxy),
      tls,
      clock,
      background,
      deadlines: defaultDeadlines,
    });
  };
}

/** What is shown to a registry as the password of `AWS`. */
export function passwordOf({ content }: IssuedCredential): string {
  if (content?.kind !== "basic" || content.user !== "AWS") throw new Error(`no password of the user AWS: ${content?.kind ?? "nothing"}`);
  return content.password;
}

/** Fails every test after which the SDK has printed something: its remarks have no place between the lines of a log in JSON. */
export function expectSilence(): void {
  const printed = (["log", "info", "warn", "error", "debug"] as const).map((level) => vi.spyOn(console, level));
  afterEach(() => expect(printed.flatMap(({ mock }) => mock.calls)).toEqual([]));
}

export function noSuchHost(hostname: string): Promise<never> {
  return Promise.reject(Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: "ENOTFOUND" }));
}

/** Keys as the environment holds them. */
export function variablesOf({ accessKeyId, secretAccessKey, sessionToken }: AwsKeys): Record<string, string | undefined> {
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken };
}

/** Keys as the shared files hold them. */
export function profileOf(header: string, { accessKeyId, secretAccessKey }: AwsKeys): string {
  return `[${header}]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
}
