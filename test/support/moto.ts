/**
 * Moto: AWS as others wrote it (a Python program), with signatures and permissions checked by code that is not ours. It dates every
 * token of ECR 2015; who wants one that holds asks through `current`.
 */
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import type { AwsKeys } from "./fake-aws.ts";
import { freePort, startProcess } from "./processes.ts";

export interface Moto extends AsyncDisposable {
  readonly url: string;
  /** The same, but its tokens end at `tokensEndAtMs`. */
  readonly current: string;
  readonly tokensEndAtMs: number;
  readonly keys: AwsKeys;
  /** A role that the keys' owner may assume, and that may have tokens. */
  readonly roleArn: string;
}

/** Without it the role is not given. */
export const externalId = "x-1";
const account = "123456789012";
const pull = { Effect: "Allow", Action: ["ecr:GetAuthorizationToken", "sts:AssumeRole"], Resource: "*" };
const trust = {
  Effect: "Allow",
  Principal: { AWS: `arn:aws:iam::${account}:user/puller` },
  Action: "sts:AssumeRole",
  Condition: { StringEquals: { "sts:ExternalId": externalId } },
};

/** The actions that set it up; from then on it checks who asks. */
function preparations(): readonly Readonly<Record<string, string>>[] {
  const policy = { PolicyName: "pull", PolicyDocument: documentOf(pull) };
  return [
    { Action: "CreateUser", UserName: "puller" },
    { Action: "PutUserPolicy", UserName: "puller", ...policy },
    { Action: "CreateRole", RoleName: "pull", AssumeRolePolicyDocument: documentOf(trust) },
    { Action: "PutRolePolicy", RoleName: "pull", ...policy },
    { Action: "CreateAccessKey", UserName: "puller" },
  ];
}

/** Starts `moto_server` on a free port of 127.0.0.1, with a user and a role. */
export async function startMoto(): Promise<Moto> {
  const port = await freePort();
  const steps = preparations();
  const running = await startProcess({
    command: "moto_server",
    args: ["-H", "127.0.0.1", "-p", String(port)],
    env: { INITIAL_NO_AUTH_ACTION_COUNT: String(steps.length), PYTHONUNBUFFERED: "1" },
    ready: { port },
  });
  const url = `http://127.0.0.1:${port}`;
  let last = "";
  for (const step of steps) last = await ask(url, step);
  const tokensEndAtMs = (Math.floor(Date.now() / 1000) + 12 * 3_600) * 1000;
  const dated = await startDating(port, tokensEndAtMs);
  return {
    url,
    current: dated.url,
    tokensEndAtMs,
    keys: { accessKeyId: between(last, "AccessKeyId"), secretAccessKey: between(last, "SecretAccessKey") },
    roleArn: `arn:aws:iam::${account}:role/pull`,
    async [Symbol.asyncDispose]() {
      await dated[Symbol.asyncDispose]();
      await running.kill("SIGKILL");
    },
  };
}

/** Passes everything on as it came, `Host` included, since that is signed; and puts another date into the answers of ECR. */
async function startDating(port: number, tokensEndAtMs: number): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((incoming, response) => {
    const { method, url, headers } = incoming;
    const onward = httpRequest({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.on("end", () => {
        const body = Buffer.concat(pieces).toString("utf8");
        const { "content-length": _, ...kept } = answer.headers;
        response.writeHead(answer.statusCode ?? 502, kept).end(body.replace(/("expiresAt": *)[0-9.]+/, `$1${tokensEndAtMs / 1000}`));
      });
    });
    onward.on("error", () => response.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // A TCP server that listens has this shape of address.
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Nobody has keys yet: moto looks only for the service in what claims to be a signature. */
async function ask(url: string, action: Readonly<Record<string, string>>): Promise<string> {
  const authorization = "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
  const answer = await fetch(url, { method: "POST", headers: { authorization }, body: new URLSearchParams({ Version: "2010-05-08", ...action }) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`moto answered ${answer.status} to ${action["Action"]}: ${text}`);
  return text;
}

function documentOf(statement: object): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

function between(xml: string, element: string): string {
  return new RegExp(`<${element}>([^<]+)<`).exec(xml)?.[1] ?? "";
}
