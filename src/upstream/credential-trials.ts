/** CredentialTrial: how one credential of the configuration fares at the registry, or the mirror, that it is for. */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { credentialWords, type Credential, type CredentialStatus } from "./credentials.ts";
import { regionProblem } from "./ecr-host.ts";
import type { Login, LoginVerdict } from "./login.ts";
import type { CredentialOptions, UpstreamAuth } from "./upstream-options.ts";
import { startBudget, untilAborted } from "../oci/waiting.ts";

export interface CredentialTrial {
  readonly host: RegistryHost;
  /** The mirror that was asked; undefined: the registry itself. */
  readonly mirror: string | undefined;
  /** The pattern of the repositories that the credential is for; undefined: all that no pattern is for. */
  readonly match: string | undefined;
  readonly kind: CredentialOptions["kind"] | "none";
  /** Where the credential comes from, and who it says we are: `ecr 111122223333 in us-east-1: user AWS`; may be empty. Without secrets. */
  readonly identity: string;
  /** When it ends, in milliseconds since 1970; undefined: nobody knows, or never. */
  readonly expiresAtMs: number | undefined;
  readonly verdict: TrialVerdict;
}

/** "failed": the credential could not be had, or the registry gave no answer. */
export type TrialVerdict = LoginVerdict | { readonly kind: "failed"; readonly reason: string };

export interface TrialSubject {
  readonly host: RegistryHost;
  readonly mirror: string | undefined;
  readonly match: string | undefined;
  readonly auth: UpstreamAuth | undefined;
  /** Where it is tried. Its credential is `auth`, and no other. */
  readonly endpoint: {
    logIn(name: string, signal: AbortSignal): Promise<Login>;
    credentialStatus(): CredentialStatus | undefined;
    close(): Promise<void>;
  };
}

export interface TrialOptions {
  readonly clock: Clock;
  /** How long it may take in all. */
  readonly limitMs: number;
}

/** Tries it, and closes the endpoint. Never rejects. */
export async function tryCredential({ host, mirror, match, auth, endpoint }: TrialSubject, { clock, limitMs }: TrialOptions): Promise<CredentialTrial> {
  const late = (): OciError => new OciError("UPSTREAM_TIMEOUT", `no answer within ${limitMs} ms`);
  using budget = startBudget({ clock, limitMs, signal: new AbortController().signal, late });
  const outcome = async (): Promise<{ readonly credential?: Credential | undefined; readonly verdict: TrialVerdict }> => {
    try {
      const { credential, verdict } = await untilAborted(endpoint.logIn(nameFor(match), budget.signal), budget.signal);
      if (!auth || credential) return { credential, verdict: explained(verdict, host, auth) };
      return { verdict: { kind: "failed", reason: `there is nothing for ${host} in it, so pulls go out as anybody` } };
    } catch (error) {
      // What nobody foresaw may hold anything.
      return { verdict: { kind: "failed", reason: error instanceof OciError ? error.message : "it failed unexpectedly" } };
    }
  };
  const { credential, verdict } = await outcome();
  const { description, expiresAtMs } = endpoint.credentialStatus() ?? {};
  await endpoint.close();
  const identity = [description, credential && credentialWords(credential)].filter((part) => part !== undefined).join(": ");
  return { host, mirror, match, kind: auth?.credential.kind ?? "none", identity, expiresAtMs, verdict: withoutPrefix(verdict, `${description}: `) };
}

/** A name that `match` is for: some credentials depend on it. */
function nameFor(match = "check"): string {
  return match.replaceAll(/\{([^{},]*)[^{}]*\}/g, "$1").replaceAll(/\*+|\?|\[[^\]]*\]/g, "check");
}

/** Providers begin with their own name, which stands before it already. */
function withoutPrefix(verdict: TrialVerdict, prefix: string): TrialVerdict {
  return verdict.kind === "failed" && verdict.reason.startsWith(prefix) ? { ...verdict, reason: verdict.reason.slice(prefix.length) } : verdict;
}

/** Why it was refused, as far as the configuration itself gives a reason. */
function explained(verdict: LoginVerdict, host: RegistryHost, auth: UpstreamAuth | undefined): LoginVerdict {
  const problem = auth?.credential.kind === "ecr" ? regionProblem(host, auth.credential.region) : undefined;
  return problem === undefined || verdict.kind !== "refused" ? verdict : { ...verdict, reason: `${problem}; ${verdict.reason}` };
}
