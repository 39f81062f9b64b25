/**
 * Google: access tokens for Artifact Registry and gcr.io, by Google's own library, which is loaded only here and only when a registry
 * wants it. From a key file, or from Google's default chain: GOOGLE_APPLICATION_CREDENTIALS, gcloud's own file, the metadata server.
 */
import type { AuthClient } from "google-auth-library";
import { OciError } from "../oci/errors.ts";
import type { CredentialProvider } from "./credentials.ts";
import { readGcpKey } from "./gcp-key-file.ts";
import { loadPackage } from "./optional-package.ts";
import { plainWords } from "./plain-words.ts";
import type { GcpOptions } from "./upstream-options.ts";
import { untilAborted } from "../oci/waiting.ts";

type Library = typeof import("google-auth-library");

const scope = "https://www.googleapis.com/auth/cloud-platform.read-only";

/** Access tokens, as the password of the user that Google gives them. `load` brings the library. */
export function gcpProvider(
  { keyFile }: Pick<GcpOptions, "keyFile">,
  { load = () => import("google-auth-library") }: { readonly load?: () => Promise<Library> } = {},
): CredentialProvider {
  const who = keyFile === undefined ? "gcp, Google's default credentials" : `gcp, key file ${keyFile}`;
  return {
    description: who,
    async fetch(signal) {
      const library = await loadPackage({ name: "google-auth-library", load, neededBy: who });
      // A new client each time: what is held is the manager's affair, and a file that was exchanged counts at once.
      const client = await (keyFile === undefined ? defaultClient(library, signal, who) : keyFileClient(library, signal, { keyFile, who }));
      const token = await accessToken(client, { who, isMachine: client instanceof library.Compute, signal });
      return { content: { kind: "basic", user: "oauth2accesstoken", password: token }, expiresAtMs: client.credentials.expiry_date ?? undefined };
    },
  };
}

/** Repeating at leisure is the token manager's affair. */
function transport(signal: AbortSignal): { transporterOptions: { signal: AbortSignal; retryConfig: { retry: number; noResponseRetries: number } } } {
  return { transporterOptions: { signal, retryConfig: { retry: 1, noResponseRetries: 1 } } };
}

async function defaultClient({ GoogleAuth }: Library, signal: AbortSignal, who: string): Promise<AuthClient> {
  // With a project's name it looks for none: by gcloud, by the metadata server.
  const auth = new GoogleAuth({ scopes: scope, projectId: "none", clientOptions: transport(signal) });
  // Its own look for a metadata server is a ping that it remembers for good, and warns of on stderr: asking for the token says as much.
  auth._checkIsGCE = () => Promise.resolve(true);
  try {
    return await auth.getClient();
  } catch {
    // What it says may quote the file.
    throw new OciError("DENIED", `${who}: the file that GOOGLE_APPLICATION_CREDENTIALS names (or gcloud's own) cannot be used; mend it, or name a keyFile`);
  }
}

async function keyFileClient(library: Library, signal: AbortSignal, { keyFile, who }: { keyFile: string; who: string }): Promise<AuthClient> {
  const key = await readGcpKey(keyFile);
  const options = transport(signal);
  if (key.kind === "service-account") return new library.JWT({ ...options, email: key.email, key: key.privateKey, keyId: key.keyId, scopes: [scope] });
  const { AwsClient, IdentityPoolClient, PluggableAuthClient } = library;
  const Client = { aws: AwsClient, executable: PluggableAuthClient, "identity-pool": IdentityPoolClient }[key.from];
  try {
    return Object.assign(new Client({ ...key.config, ...options }), { scopes: [scope] });
  } catch (error) {
    throw new OciError("DENIED", `${who}: ${messageOf(error)}`);
  }
}

interface Asker {
  readonly who: string;
  /** The machine's own identity is asked for, from the metadata server. */
  readonly isMachine: boolean;
  readonly signal: AbortSignal;
}

async function accessToken(client: AuthClient, asker: Asker): Promise<string> {
  try {
    const { token } = await untilAborted(client.getAccessToken(), asker.signal);
    if (typeof token === "string" && /^[\x21-\x7e]+$/.test(token)) return token;
  } catch (error) {
    throw failureOf(error, asker);
  }
  throw new OciError("UPSTREAM_UNAVAILABLE", `${asker.who}: ${noToken}`, { source: "upstream" });
}

const noToken = "there is no access token in the answer";
const outsideGoogle = "outside Google Cloud give keyFile, or set GOOGLE_APPLICATION_CREDENTIALS";

/** Never with its cause: that holds the whole request, key and tokens included. */
function failureOf(error: unknown, { who, isMachine, signal }: Asker): unknown {
  const elsewhere = isMachine ? `; ${outsideGoogle}` : "";
  if (signal.aborted) return isMachine && isTimeout(signal.reason) ? new OciError("UPSTREAM_TIMEOUT", `${who}: no answer in time${elsewhere}`) : signal.reason;
  const said = messageOf(error);
  const status = numberIn(error, "status");
  if (status !== undefined && (status >= 500 || status === 429))
    return new OciError("UPSTREAM_UNAVAILABLE", `${who}: answered ${status}`, { source: "upstream" });
  if (status !== undefined && status >= 400) {
    const cure = isMachine ? `give this machine or pod a service account with the scope cloud-platform.read-only${elsewhere}` : keyCure;
    return new OciError("DENIED", `${who}: refused with ${status} (${said}); ${cure}`, { source: "upstream" });
  }
  if (error instanceof TypeError || status !== undefined)
    return new OciError("UPSTREAM_UNAVAILABLE", `${who}: an answer that makes no sense`, { source: "upstream" });
  if (isKeyProblem(error)) return new OciError("DENIED", `${who}: its private_key is damaged; make a new key for the service account`);
  if (/does not exist, or it is not a file|not permitted/.test(said)) return new OciError("DENIED", `${who}: ${said}`);
  return new OciError("UPSTREAM_UNAVAILABLE", `${who}: no usable answer (${said})${elsewhere}`, { source: "upstream" });
}

const keyCure = "was the key deleted, its account disabled, or is this machine's clock wrong?";

/** The part of the library's message that is about the matter. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : "";
  if (text === "Could not refresh access token.") return noToken;
  return plainWords(text.replace(/^[\s\S]*Could not refresh access token: /, "").replace(/^request to \S+ failed, reason: /, "")) ?? "no reason given";
}

function numberIn(error: unknown, field: string): number | undefined {
  const value: unknown = typeof error === "object" && error !== null ? Reflect.get(error, field) : undefined;
  return typeof value === "number" ? value : undefined;
}

/** Before anything was sent: the key signs nothing. */
function isKeyProblem(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && /^ERR_(OSSL|CRYPTO)/.test(error.code);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof OciError && reason.code === "UPSTREAM_TIMEOUT";
}
