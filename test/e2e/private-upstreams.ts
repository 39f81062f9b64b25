/**
 * Private upstreams: each kind of credential there is, as its owner would configure it: a registry that it opens, another that it was
 * meant to open and does not, and everything else that kind needs, on this machine.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createTestAuthority } from "../support/certificates.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { writeCredentialProgram } from "../support/credential-programs.ts";
import { startFakeAcr, type FakeAcr } from "../support/fake-acr.ts";
import { startFakeAws, type FakeAws } from "../support/fake-aws.ts";
import { startFakeEntra } from "../support/fake-entra.ts";
import { newServiceAccountKey, startFakeGoogle } from "../support/fake-google.ts";
import { startFakeOauth2 } from "../support/fake-oauth2.ts";
import { startFakeTokenService } from "../support/fake-token-service.ts";
import { startFakeUpstream, type FakeUpstream } from "../support/fake-upstream.ts";
import { startOurServer, type OurServer } from "../support/our-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { profileOf } from "../upstream/aws-asking.ts";

/** A process of ours that has one kind of credential configured, and nothing else: nothing of this machine's either. */
export interface PrivateUpstream extends AsyncDisposable {
  readonly server: OurServer;
  /** Its credential is good; it holds `team/app:1`, and shows it to nobody else. */
  readonly good: FakeUpstream;
  /** Its credential is wrong. */
  readonly bad: FakeUpstream;
  /** Everything secret that there was so far. */
  readonly secrets: () => readonly string[];
}

export interface CredentialKind {
  readonly name: string;
  /** What the log says to do about the wrong one. */
  readonly cure: string;
  /** A wrong one is found out before the registry is asked anything. */
  readonly isFoundOutBefore: boolean;
  readonly start: () => Promise<PrivateUpstream>;
}

/** What a kind adds to two registries. */
interface Setting {
  readonly right: object;
  readonly wrong: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly secrets: () => readonly string[];
  /** To be done before anything can be pulled, when the server runs. */
  readonly ready?: (server: OurServer) => Promise<void>;
}

interface Place<Upstream = FakeUpstream> {
  readonly folder: string;
  readonly stack: AsyncDisposableStack;
  readonly good: Upstream;
  readonly bad: Upstream;
}

const secret = "s3cret/of+the~robot?";
const wrongSecret = "wr0ng/of+the~robot?";
const account = "111122223333";
const serviceAccount = "puller@project.iam.gserviceaccount.com";
const refused = "credential refused";
const notFetched = "credential not fetched";

export const credentialKinds: readonly CredentialKind[] = [
  kind("a user and a password", `${refused}: check user and password`, ({ good, bad }) => {
    for (const upstream of [good, bad]) upstream.authentication = basic(secret);
    return { right: { user: "robot", password: secret }, wrong: { user: "robot", password: wrongSecret }, secrets: () => [secret, wrongSecret] };
  }),
  kind("a static token", `${refused}: check the token`, ({ good, bad }) => {
    for (const upstream of [good, bad]) upstream.authentication = basic(secret);
    const [right, wrong] = [secret, wrongSecret].map((password) => Buffer.from(`robot:${password}`).toString("base64"));
    return { right: { token: { static: right } }, wrong: { token: { static: wrong } }, secrets: () => [secret, wrongSecret] };
  }),
  kind("a static bearer token", `${refused}: check the token`, async ({ stack, good, bad }) => {
    const tokens = stack.use(await startFakeTokenService());
    for (const upstream of [good, bad]) upstream.authentication = { kind: "bearer", tokens };
    const token = tokens.issue("robot", ["repository:team/app:pull"]);
    const bearer = (text: string): object => ({ token: { static: text, scheme: "bearer" } });
    return { right: bearer(token), wrong: bearer("wr0ng-bearer-token"), secrets: () => [token, "wr0ng-bearer-token"] };
  }),
  kind("a user and a password at a token service", `${refused}: check user and password`, async ({ stack, good, bad }) => {
    const tokens = stack.use(await startFakeTokenService());
    tokens.users.set("robot", secret);
    for (const upstream of [good, bad]) upstream.authentication = { kind: "bearer", tokens };
    const auth = (password: string): object => ({ user: "robot", password, realmHosts: [tokens.host] });
    return { right: auth(secret), wrong: auth(wrongSecret), secrets: () => [secret, wrongSecret] };
  }),
  kind("docker's configuration", `${refused}: log in again`, async ({ folder, good, bad }) => {
    for (const upstream of [good, bad]) upstream.authentication = basic(secret);
    const entry = (password: string): object => ({ auth: Buffer.from(`robot:${password}`).toString("base64") });
    return dockerConfig(folder, { [good.host]: entry(secret), [bad.host]: entry(wrongSecret) });
  }),
  kind("an identity token in docker's configuration", `${refused}: log in again`, async ({ stack, folder, good, bad }) => {
    const tokens = stack.use(await startFakeTokenService());
    tokens.users.set("<token>", secret);
    for (const upstream of [good, bad]) upstream.authentication = { kind: "bearer", tokens };
    return dockerConfig(folder, { [good.host]: { identitytoken: secret }, [bad.host]: { identitytoken: wrongSecret } }, [tokens.host]);
  }),
  kind("a docker credential helper", `${refused}: check what`, async ({ folder, good, bad }) => {
    for (const upstream of [good, bad]) upstream.authentication = basic(secret);
    const answer = (password: string): string => JSON.stringify({ Username: "robot", Secret: password });
    const script = `if [ "$question" = ${good.host} ]; then echo '${answer(secret)}'; else echo '${answer(wrongSecret)}'; fi`;
    const { path } = await writeCredentialProgram(folder, "docker-credential-robot", script);
    const auth = { token: { provider: "exec", providerOpts: "helper=robot" } };
    const env = { PATH: `${join(path, "..")}:${process.env["PATH"] ?? ""}` };
    return { right: auth, wrong: auth, env, secrets: () => [secret, wrongSecret] };
  }),
  kind("a kubelet plugin", `${refused}: check what`, async ({ folder, good, bad }) => {
    for (const upstream of [good, bad]) upstream.authentication = basic(secret);
    const auth = { [good.host]: { username: "robot", password: secret }, [bad.host]: { username: "robot", password: wrongSecret } };
    const type = { kind: "CredentialProviderResponse", apiVersion: "credentialprovider.kubelet.k8s.io/v1" };
    const answer = JSON.stringify({ ...type, cacheKeyType: "Registry", cacheDuration: "1h", auth });
    const { path } = await writeCredentialProgram(folder, "plugin", `echo '${answer}'`);
    const exec = { token: { provider: "exec", providerOpts: { protocol: "kubelet", command: path } } };
    return { right: exec, wrong: exec, secrets: () => [secret, wrongSecret] };
  }),
  kind("Amazon ECR", `${notFetched}: the secret access key does not belong to its access key id`, async ({ stack, folder, good, bad }) => {
    const aws = stack.use(await startFakeAws());
    for (const upstream of [good, bad]) upstream.authentication = { kind: "ecr", aws, account };
    await writeProfiles(folder, aws);
    const ecr = (profile: string): object => ({ token: { provider: "ecr", providerOpts: { profile, region: "us-east-1", endpoint: aws.url } } });
    return { right: ecr("right"), wrong: ecr("wrong"), secrets: () => [...aws.secrets, wrongSecret] };
  }),
  kind("Amazon ECR Public", `${notFetched}: the secret access key does not belong to its access key id`, async ({ stack, folder, good, bad }) => {
    const aws = stack.use(await startFakeAws());
    const tokens = stack.use(await startFakeTokenService());
    for (const upstream of [good, bad]) upstream.authentication = { kind: "bearer", tokens };
    await writeProfiles(folder, aws);
    const ecr = (profile: string): object => ({
      realmHosts: [tokens.host],
      token: { provider: "ecr-public", providerOpts: { profile, endpoint: aws.url } },
    });
    const ready = async (server: OurServer): Promise<void> => {
      await server.process.waitForOutput(/"msg":"credential fetched"/);
      tokens.users.set("AWS", aws.secrets.at(-1) ?? "");
    };
    return { right: ecr("right"), wrong: ecr("wrong"), secrets: () => [...aws.secrets, wrongSecret], ready };
  }),
  kind("the key of a Google service account", `${notFetched}: was the key deleted`, async ({ stack, folder, good, bad }) => {
    const authority = await createTestAuthority(folder);
    const google = stack.use(await startFakeGoogle({ tls: await authority.issue({ names: ["oauth2.googleapis.com"] }) }));
    const proxy = stack.use(await startConnectProxy(google.port));
    const [known, deleted] = [newServiceAccountKey(serviceAccount), newServiceAccountKey(serviceAccount)];
    google.serviceAccounts.set(serviceAccount, known.publicKey);
    for (const upstream of [good, bad]) upstream.authentication = { kind: "basic", name: "oauth2accesstoken", password: "ya29.fake-1" };
    const gcp = async (name: string, file: object): Promise<object> => ({
      token: { provider: "gcp", providerOpts: { keyFile: await write(folder, name, file) } },
    });
    const lines = [known, deleted].map(({ privateKey }) => privateKey.split("\n")[1] ?? "");
    return {
      right: await gcp("known.json", known.file),
      wrong: await gcp("deleted.json", deleted.file),
      env: { NODE_EXTRA_CA_CERTS: authority.certificateFile, HTTPS_PROXY: proxy.url },
      secrets: () => ["ya29.fake-1", ...lines, ...google.log.map(({ body }) => new URLSearchParams(body).get("assertion") ?? "")],
    };
  }),
  kind("a Google key file as a password", `${refused}: give the service account`, async ({ folder, good, bad }) => {
    const [known, deleted] = [newServiceAccountKey(serviceAccount), newServiceAccountKey(serviceAccount)];
    for (const upstream of [good, bad]) upstream.authentication = { kind: "basic", name: "_json_key", password: JSON.stringify(known.file) };
    const gcp = async (name: string, file: object): Promise<object> => ({
      token: { provider: "gcp", providerOpts: { use: "json-key", keyFile: await write(folder, name, file) } },
    });
    const lines = [known, deleted].map(({ privateKey }) => privateKey.split("\n")[1] ?? "");
    return { right: await gcp("known.json", known.file), wrong: await gcp("deleted.json", deleted.file), secrets: () => lines };
  }),
  kind(
    "an Azure service principal",
    `${notFetched}: clientSecret is wrong`,
    async ({ stack, folder, good, bad }) => {
      const authority = await createTestAuthority(folder);
      const entra = stack.use(await startFakeEntra({ tls: await authority.issue() }));
      entra.onIssue = (token) => good.admits.add(token);
      entra.servicePrincipals.push({ clientId: "app", secret });
      const options = { tenantId: entra.tenant, clientId: "app", authorityHost: entra.url };
      const azure = (clientSecretFromEnv: string): object => ({ token: { provider: "azure", providerOpts: { ...options, clientSecretFromEnv } } });
      const env = { NODE_EXTRA_CA_CERTS: authority.certificateFile, RIGHT: secret, WRONG: wrongSecret };
      const used = (): string[] =>
        [...good.log, ...bad.log].flatMap(({ headers, body }) => [
          ...["access_token", "refresh_token"].map((field) => new URLSearchParams(body).get(field) ?? ""),
          headers.authorization?.replace(/^Bearer /, "") ?? "",
        ]);
      return { right: azure("RIGHT"), wrong: azure("WRONG"), env, secrets: () => [secret, wrongSecret, ...used().filter((text) => text !== "")] };
    },
    startFakeAcr,
  ),
  kind("a client of OAuth 2.0", `${notFetched}: check clientId and clientSecret`, async ({ stack, good, bad }) => {
    const idp = stack.use(await startFakeOauth2());
    idp.clients.set("puller", secret);
    for (const upstream of [good, bad]) upstream.authentication = { kind: "basic", name: "robot", password: "access-1" };
    const oauth2 = (clientSecret: string): object => ({
      token: { provider: "oauth2", providerOpts: { tokenUrl: idp.tokenUrl, clientId: "puller", clientSecret, user: "robot" } },
    });
    return { right: oauth2(secret), wrong: oauth2(wrongSecret), secrets: () => [secret, wrongSecret, "access-1"] };
  }),
];

function kind(name: string, cure: string, arrange: (place: Place) => Setting | Promise<Setting>): CredentialKind;
function kind(name: string, cure: string, arrange: (place: Place<FakeAcr>) => Promise<Setting>, startUpstream: () => Promise<FakeAcr>): CredentialKind;
function kind(
  name: string,
  cure: string,
  arrange: (place: Place<FakeAcr>) => Setting | Promise<Setting>,
  startUpstream: () => Promise<FakeUpstream> = startFakeUpstream,
): CredentialKind {
  return {
    name,
    cure: cure.slice(cure.indexOf(": ") + 2),
    isFoundOutBefore: cure.startsWith(notFetched),
    async start() {
      const stack = new AsyncDisposableStack();
      const { path: folder } = stack.use(await temporaryFolder());
      const [good, bad] = [stack.use(await startUpstream()), stack.use(await startUpstream())];
      good.putImage("team/app", "1");
      const { right, wrong, env = {}, secrets, ready } = await arrange({ folder, stack, good: good as FakeAcr, bad: bad as FakeAcr }); // As the overloads have it.
      const registries = [
        { name: good.host, scheme: "http", auth: right },
        { name: bad.host, scheme: "http", auth: wrong },
      ];
      const server = stack.use(
        await startOurServer({
          folder,
          config: { logLevel: "debug", registries },
          env: { ...nothingElse(), HOME: folder, AWS_EC2_METADATA_DISABLED: "true", ...env },
        }),
      );
      await ready?.(server);
      return { server, good, bad, secrets, [Symbol.asyncDispose]: () => stack.disposeAsync() };
    },
  };
}

/** What this machine's environment says of clouds, logins and proxies, taken away. */
function nothingElse(): Readonly<Record<string, undefined>> {
  const names = Object.keys(process.env).filter((name) => /^(AWS|AZURE|GOOGLE|GCE|CLOUDSDK|MSI|IDENTITY|DOCKER|REGISTRY|XDG)_|_proxy$/i.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

function basic(password: string): FakeUpstream["authentication"] {
  return { kind: "basic", name: "robot", password };
}

async function dockerConfig(folder: string, auths: object, realmHosts: readonly string[] = []): Promise<Setting> {
  const auth = { realmHosts, token: { provider: "docker-config", providerOpts: { path: await write(folder, "docker.json", { auths }) } } };
  return { right: auth, wrong: auth, secrets: () => [secret, wrongSecret] };
}

async function writeProfiles(folder: string, aws: FakeAws): Promise<void> {
  const keys = aws.addUser(account, "puller");
  await mkdir(join(folder, ".aws"));
  await writeFile(join(folder, ".aws", "credentials"), profileOf("right", keys) + profileOf("wrong", { ...keys, secretAccessKey: wrongSecret }));
}

async function write(folder: string, name: string, content: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(content), { mode: 0o600 });
  return path;
}
