/**
 * Entra tokens: who we are to Azure, by Microsoft's own library, which is loaded only here and only when a registry wants it: a
 * managed identity, a service principal, a workload identity, or Azure's default chain.
 */
import type { TokenCredential } from "@azure/identity";
import { OciError } from "../oci/errors.ts";
import { readCredentialFile } from "./credential-files.ts";
import { loadPackage } from "./optional-package.ts";
import { plainWords } from "./plain-words.ts";
import type { AzureOptions } from "./upstream-options.ts";
import { untilAborted } from "../oci/waiting.ts";

export type EntraLibrary = Pick<
  typeof import("@azure/identity"),
  "ClientSecretCredential" | "DefaultAzureCredential" | "ManagedIdentityCredential" | "WorkloadIdentityCredential"
>;

export interface EntraAsker {
  readonly options: AzureOptions;
  /** Begins every message. */
  readonly who: string;
  readonly load: () => Promise<EntraLibrary>;
  readonly signal: AbortSignal;
}

/** Every registry takes this audience; that of the resource manager can be forbidden. */
const scope = "https://containerregistry.azure.net/.default";
/** Repeating at leisure is the token manager's affair. */
const retryOptions = { maxRetries: 1, retryDelayInMs: 200 } as const;

/** What the login service answered last. */
interface Heard {
  status: number | undefined;
  code: string | undefined;
}

/** An access token for Azure's registries. Rejects with `DENIED` when somebody has to mend something, with an outage, or with the signal's reason. */
export async function fetchEntraToken({ options, who, load, signal }: EntraAsker): Promise<string> {
  const library = await loadPackage({ name: "@azure/identity", load, neededBy: who });
  const { federatedTokenFile } = options;
  if (federatedTokenFile !== undefined) await readCredentialFile(federatedTokenFile, `${who}: federatedTokenFile`);
  const heard: Heard = { status: undefined, code: undefined };
  try {
    const credential = credentialOf(options, library, { heard, signal });
    const { token } = (await untilAborted(credential.getToken(scope, { abortSignal: signal }), signal)) ?? { token: "" };
    if (token !== "") return token;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw refusalOf(error, heard, { options, who });
  }
  throw new OciError("UPSTREAM_UNAVAILABLE", `${who}: there is no access token in the answer`);
}

/** A new one each time: what is held is the manager's affair, and the library's own memory would outlive a refusal. */
function credentialOf(options: AzureOptions, library: EntraLibrary, { heard, signal }: { heard: Heard; signal: AbortSignal }): TokenCredential {
  const { identity, tenantId = "", clientId = "", clientSecret, federatedTokenFile, authorityHost } = options;
  const common = {
    retryOptions,
    // Whoever names a login service vouches for it: Microsoft's list of them is not asked.
    ...(authorityHost === undefined ? {} : { authorityHost, disableInstanceDiscovery: true }),
    additionalPolicies: [{ position: "perRetry" as const, policy: listener(heard, signal) }],
  };
  const [tenant, client] = [tenantId === "" ? {} : { tenantId }, clientId === "" ? {} : { clientId }];
  switch (identity) {
    case "managed":
      return new library.ManagedIdentityCredential({ retryOptions, ...client });
    case "service-principal":
      return new library.ClientSecretCredential(tenantId, clientId, clientSecret?.reveal() ?? "", common);
    case "workload":
      return new library.WorkloadIdentityCredential({
        ...common,
        ...tenant,
        ...client,
        ...(federatedTokenFile === undefined ? {} : { tokenFilePath: federatedTokenFile }),
      });
    case undefined:
      return new library.DefaultAzureCredential({
        ...common,
        ...tenant,
        ...(clientId === "" ? {} : { managedIdentityClientId: clientId, workloadIdentityClientId: clientId }),
      });
    default:
      return identity satisfies never;
  }
}

type Policy = NonNullable<NonNullable<ConstructorParameters<EntraLibrary["ClientSecretCredential"]>[3]>["additionalPolicies"]>[number]["policy"];

/** The library drops both: the signal on its way out, the status on its way back. */
function listener(heard: Heard, signal: AbortSignal): Policy {
  return {
    name: "ociregistryListener",
    async sendRequest(request, next) {
      request.abortSignal = signal;
      const answer = await next(request);
      heard.status = answer.status;
      heard.code = entraCode(answer.bodyAsText ?? "");
      return answer;
    },
  };
}

interface Told {
  readonly options: AzureOptions;
  readonly who: string;
}

/** Never with its cause: that may hold the request, secret and tokens included. */
function refusalOf(error: unknown, heard: Heard, { options, who }: Told): OciError {
  const text = error instanceof Error ? error.message : "";
  const code = entraCode(text) ?? heard.code;
  if (code !== undefined) return refusedByEntra(code, text, { options, who });
  const status = heard.status !== undefined && heard.status >= 400 ? heard.status : statusIn(error);
  if (status !== undefined) {
    if (status >= 500 || status === 429 || (options.identity === "managed" && busyMetadata.has(status)))
      return new OciError("UPSTREAM_UNAVAILABLE", `${who}: Azure answered ${status}`, { source: "upstream" });
    const cure =
      options.identity === "managed" ? `is the identity ${options.clientId ?? "of the system"} assigned to this machine?` : "check tenantId and authorityHost";
    return new OciError("DENIED", `${who}: Azure answered ${status} (${words(text, options) ?? "no reason given"}); ${cure}`, { source: "upstream" });
  }
  const name = error instanceof Error ? error.name : "";
  if (name === "AggregateAuthenticationError")
    return new OciError(
      "DENIED",
      `${who}: nothing in Azure's default chain says who we are here; set identity and what belongs to it, or AZURE_* in the environment`,
    );
  if (/network_error|endpoints_resolution_error/.test(text)) return new OciError("UPSTREAM_UNAVAILABLE", `${who}: no usable answer from ${placeOf(options)}`);
  if (name === "CredentialUnavailableError" || isErrno(error))
    return new OciError("DENIED", `${who}: ${words(text, options) ?? "what it needs is missing"}; give tenantId, clientId and what else the identity needs`);
  return new OciError("UPSTREAM_UNAVAILABLE", `${who}: ${words(text, options) ?? "it failed"}`);
}

/** What the instance metadata service says while it is being updated. */
const busyMetadata: ReadonlySet<number> = new Set([404, 410]);

/** Codes of errors that pass: the directory is busy. */
const passing: ReadonlySet<string> = new Set(["AADSTS90006", "AADSTS90033"]);

const cures: Readonly<Record<string, string>> = {
  AADSTS7000215: "clientSecret is wrong (its value is wanted, not its id)",
  AADSTS7000222: "clientSecret has ended; make a new one",
  AADSTS700016: "clientId is unknown in this tenant",
  AADSTS90002: "tenantId is unknown",
  AADSTS700213: "no federated credential of the application fits the token: check its issuer, subject and audience",
  AADSTS70021: "no federated credential of the application fits the token: check its issuer, subject and audience",
  AADSTS700024: "the federated token has ended, or a clock is wrong",
};

function refusedByEntra(code: string, text: string, { options, who }: Told): OciError {
  if (passing.has(code)) return new OciError("UPSTREAM_UNAVAILABLE", `${who}: Azure's login service is busy (${code})`, { source: "upstream" });
  const said = words(/AADSTS[0-9]+: ([\s\S]*?)(?= Trace ID:|$)/.exec(text)?.[1] ?? "", options);
  return new OciError(
    "DENIED",
    `${who}: refused (${said === undefined ? code : `${code}: ${said}`}); ${cures[code] ?? "check tenantId, clientId and its secret"}`,
    {
      source: "upstream",
    },
  );
}

function words(text: string, { clientSecret }: AzureOptions): string | undefined {
  const first = text.replace(/^\w+: (is unavailable\. )?/, "").split(/\n| - Correlation ID| To troubleshoot| See the troubleshooting/, 1)[0];
  return plainWords(first, clientSecret === undefined ? [] : [clientSecret.reveal()]);
}

function placeOf({ identity, authorityHost }: AzureOptions): string {
  return identity === "managed" ? "the instance metadata service; this machine may have none" : (authorityHost ?? "Azure's login service");
}

/** `AADSTS` and a number: how the login service calls its errors. */
function entraCode(text: string): string | undefined {
  return /AADSTS[0-9]{1,9}/.exec(text.slice(0, 65_536))?.[0];
}

function statusIn(error: unknown): number | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "status" in cause && typeof cause.status === "number" ? cause.status : undefined;
}

function isErrno(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && "errno" in error.cause;
}
