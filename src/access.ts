/** Access: what a configuration's `accessControl` means, ready to be asked; for the server and for people who ask beforehand. */
import { AccessPolicy, type AccessRules, type Decision } from "./auth/access-policy.ts";
import type { AccessFinding } from "./auth/access-finding.ts";
import { findAction, readAccessRules } from "./auth/access-rules.ts";
import { policyName } from "./auth/policy-names.ts";
import type { Config } from "./config/config.ts";
import { ConfigError } from "./config/config-error.ts";
import { resolveUnlisted } from "./config/unlisted-registries.ts";
import { OciError } from "./oci/errors.ts";
import { RegistryNames } from "./oci/registry-names.ts";
import { parseRepositoryPath, repositoryName, repositoryOf, type RegistryHost, type Repository } from "./oci/repository.ts";

export interface Access {
  readonly rules: AccessRules;
  readonly policy: AccessPolicy;
  /** Whether a decision may be another a moment later: some policy looks at more than names. */
  readonly hasConditions: boolean;
  readonly notices: readonly string[];
}

/** A line for people: with a file and its line, where they are known. */
export type DescribeFinding = (finding: AccessFinding) => string;

/** Undefined without an `accessControl`: whoever has a name may do all. Throws `ConfigError` with everything that is wrong with it. */
export async function readAccess(
  { accessControl }: Pick<Config, "accessControl">,
  names: RegistryNames,
  describe: DescribeFinding = ({ message }) => message,
): Promise<Access | undefined> {
  if (!accessControl) return undefined;
  const reading = await readAccessRules(accessControl, names);
  if (reading.kind === "refused") throw new ConfigError(reading.problems.map(describe));
  const { rules, notices } = reading;
  return { rules, policy: new AccessPolicy(rules, names.defaultHost), hasConditions: hasConditions(rules), notices: notices.map(describe) };
}

function hasConditions({ repositories, adminPolicy }: AccessRules): boolean {
  const policies = [...repositories.flatMap((entry) => entry.policies), ...(adminPolicy ? [adminPolicy] : [])];
  return policies.some(({ conditions }) => conditions.length > 0);
}

/** What people ask before anybody is refused. */
export interface AccessInquiry {
  /** Undefined: somebody without a name. */
  readonly user: string | undefined;
  /** Those that the user's own method knows of; the configuration's are added. */
  readonly groups: readonly string[];
  readonly action: string;
  /** As in a URL, without `ns` and headers. */
  readonly repository: string;
  readonly reference: string | undefined;
  readonly client: string | undefined;
}

export interface AccessAnswer extends Decision {
  /** With the configuration's. */
  readonly groups: readonly string[];
  /** `host/path` */
  readonly repository: string;
  /** As policies call it. */
  readonly policyName: string;
  readonly notices: readonly string[];
}

interface InquiryOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly nowMs: number;
  readonly describe?: DescribeFinding;
}

/** What the server would decide, by the configuration alone. Throws `ConfigError`: a misuse when the question makes no sense. */
export async function inquire(config: Config, inquiry: AccessInquiry, { environment, nowMs, describe }: InquiryOptions): Promise<AccessAnswer> {
  const names = new RegistryNames({ defaultNs: config.defaultNs, registries: config.registries });
  const { user, groups, reference, client = "" } = inquiry;
  const action = findAction(inquiry.action);
  if (!action) throw new ConfigError([`"${inquiry.action}" is not an action`], { isMisuse: true });
  const repository = repositoryNamed(inquiry.repository, names, resolveUnlisted(config, environment).policy);
  if (user === "") throw new ConfigError(["the user has an empty name: leave it out to ask for people without one"], { isMisuse: true });
  const access = await readAccess(config, names, describe);
  const principal = user === undefined ? undefined : ({ name: user, groups, method: "htpasswd" } as const);
  const about = { repository: repositoryName(repository), policyName: policyName(repository, names.defaultHost), notices: access?.notices ?? [] };
  if (!access) return { ...decideWithoutRules(config, user), ...about, groups };
  const decision = access.policy.decide({
    principal,
    action,
    repository,
    facts: () => ({
      timeMs: nowMs,
      method: "GET",
      userAgent: "",
      reference: reference === undefined ? undefined : { kind: reference.includes(":") ? "digest" : "tag", name: reference },
      client,
      forwardedFor: [],
      tlsVersion: undefined,
    }),
  });
  return { ...decision, ...about, groups: [...access.policy.groupsOf(principal)] };
}

function decideWithoutRules({ auth }: Config, user: string | undefined): Decision {
  const isAllowed = user !== undefined || auth === undefined;
  return { isAllowed, rule: auth ? "no accessControl" : "no method of authentication", reason: undefined, failedCondition: undefined };
}

/** The first component is a registry wherever the server takes it for one. */
function repositoryNamed(written: string, names: RegistryNames, unlisted: "public" | "deny"): Repository {
  const [first = "", ...others] = written.split("/");
  const isHost = others.length > 0 && (unlisted === "deny" ? names.names(first) : names.looksLikeHost(first));
  try {
    const host = isHost ? parseHost(first, names) : names.defaultHost;
    return repositoryOf(host, parseRepositoryPath(isHost ? others.join("/") : written));
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)], { isMisuse: true, cause: error });
  }
}

function parseHost(word: string, names: RegistryNames): RegistryHost {
  const host = names.find(word);
  if (!host) throw new OciError("NAME_INVALID", `"${word}" is not a registry's host[:port]`);
  return host;
}
