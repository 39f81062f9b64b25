/**
 * Gate: the one place where a request is let in or not: who asks, by the methods that are configured, then what that one may. It
 * knows no HTTP framework, and answers at once when memory tells it all: what a remembered login may read costs a look.
 */
import type { Reference } from "../oci/reference.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { Repository } from "../oci/repository.ts";
import type { AccessPolicy, Action, RequestFacts } from "./access-policy.ts";
import type { Verdict } from "./authenticator.ts";
import { showsSomething } from "./basic.ts";
import { Challenges, type ChallengeOptions } from "./challenges.ts";
import type { FailDelay } from "./fail-delay.ts";
import { scopePermits } from "./key-scope.ts";
import { identify, nobody, recall, type Identity, type Methods } from "./identification.ts";
import { policyName } from "./policy-names.ts";
import type { Principal } from "./principal.ts";
import { isFromUi } from "./session-authenticator.ts";
import { tokenAllows, tokenAllowsCatalog } from "./token-access.ts";
import type { Visit, Wanted, WantedRepository } from "./visit.ts";

export interface GateOptions extends Methods {
  readonly challenge: ChallengeOptions;
  /** Undefined: whoever has a name may do all. */
  readonly access: GateAccess | undefined;
  readonly failDelay: FailDelay;
  /** What registries are called now. */
  readonly names: () => RegistryNames;
  readonly now: () => number;
}

/** What of `accessControl` a gate goes by. */
export interface GateAccess {
  readonly policy: AccessPolicy;
  /** Whether a decision may be another a moment later: some policy looks at more than names. */
  readonly hasConditions: boolean;
}

export interface Admitted {
  readonly kind: "admitted";
  /** Undefined: somebody without a name. */
  readonly principal: Principal | undefined;
  readonly mayFetch: boolean;
  readonly rule: string;
  /** For the `WWW-Authenticate` of a 200: how to log in for more. */
  readonly challenge: string | undefined;
  /** Takes back a cookie that stands for nobody. */
  readonly setCookie?: string | undefined;
}

export interface Refused {
  readonly kind: "refused";
  /** 503: nobody can tell just now. */
  readonly status: 401 | 403 | 503;
  readonly message: string;
  /** On every 401, but to a page's own requests: a browser would show a dialogue of its own. */
  readonly challenge: string | undefined;
  readonly principal: Principal | undefined;
  readonly rule: string;
  readonly reason: string | undefined;
  /** As of `Admitted`. */
  readonly setCookie?: string | undefined;
}

export type Admission = Admitted | Refused;

/** A key with a scope is for images only, and for those it names. */
const outOfScope = { rule: "the key's scope", reason: "the key is not for this" } as const;

export class Gate {
  readonly #options: GateOptions;
  readonly #challenges: Challenges;
  /** What somebody who is remembered may read: both objects are the same ones for as long as they mean the same. */
  readonly #reads = new WeakMap<Principal, WeakMap<Repository, { readonly admission: Admission; readonly names: RegistryNames }>>();

  constructor(options: GateOptions) {
    this.#options = options;
    this.#challenges = new Challenges(options.challenge, options.names);
  }

  /** Whether there is any way to learn who asks. */
  get asksWho(): boolean {
    return this.#takesHeaders || this.#options.sessions !== undefined || this.#options.certificates !== undefined;
  }

  /** Decides; a refusal of something that was shown may be kept waiting. Rejects with the signal's reason only. */
  admit(wanted: Wanted, visit: Visit): Admission | Promise<Admission> {
    const identity = recall(this.#options, wanted, visit);
    if (!identity) return this.#ask(wanted, visit);
    const admission = this.#decide(identity, wanted, visit);
    return admission.kind === "admitted" ? admission : this.#refuse(admission, visit);
  }

  /** Whether the one who was let in may know that the repository is there. */
  sees({ principal }: Admitted, repository: Repository, visit: Visit): boolean {
    const { access, names } = this.#options;
    if (!scopePermits(principal?.scope, "read", repository, names().defaultHost)) return false;
    return !access || access.policy.isListed({ principal, repository, facts: () => this.#facts(undefined, visit) });
  }

  /**
   * Whether the one who was let in administrates: adminPolicy names him, its conditions hold, and he does not show a key that was made for less.
   * `wanted` undefined: it is about no repository, which a token that permits images permits nothing of.
   */
  administrates({ principal }: Admitted, wanted: WantedRepository | undefined, visit: Visit): boolean {
    const what = wanted
      ? { repository: policyName(wanted.repository, this.#options.names().defaultHost), action: wanted.action }
      : { repository: "", action: "read" };
    if (principal?.scope || (principal?.access && !wanted)) return false;
    return this.#isActiveAdmin(principal, what, visit);
  }

  /** Why the one who was let in may not read something; undefined: he may. Conditions are asked about this very reference. */
  refusalOf({ principal }: Admitted, what: Pick<WantedRepository, "repository" | "reference">, visit: Visit): Refused | undefined {
    const wanted = { kind: "repository", action: "read", writtenName: what.repository.path, ...what } as const;
    const admission = this.#decideRepository({ principal, access: principal?.access }, wanted, visit);
    return admission.kind === "refused" ? admission : undefined;
  }

  async #ask(wanted: Wanted, visit: Visit): Promise<Admission> {
    const verdict = await identify(this.#options, wanted, visit);
    const admission = this.#tellPage(this.#judge(verdict, wanted, visit), verdict, visit);
    return admission.kind === "admitted" ? admission : await this.#refuse(admission, visit);
  }

  /** What a page is told beside the decision. */
  #tellPage(admission: Admission, verdict: Verdict, visit: Visit): Admission {
    if (!this.#options.sessions) return admission;
    const cookie = verdict.kind === "none" && verdict.setCookie !== undefined ? { setCookie: verdict.setCookie } : {};
    return isFromUi(visit) ? { ...admission, ...cookie, challenge: undefined } : { ...admission, ...cookie };
  }

  #judge(verdict: Verdict, wanted: Wanted, visit: Visit): Admission {
    switch (verdict.kind) {
      case "admitted":
        return this.#decide({ principal: verdict.principal, access: verdict.principal.access }, wanted, visit);
      case "anonymous":
        return this.#decide({ principal: undefined, access: verdict.access }, wanted, visit);
      case "none":
        return this.#decide(nobody, wanted, visit);
      case "refused":
        return {
          kind: "refused",
          status: 401,
          message: "the credentials are wrong, or are no longer valid",
          challenge: this.#challenges.write(wanted, visit, verdict.error),
          principal: undefined,
          rule: "authentication",
          reason: verdict.reason,
        };
      case "unavailable":
        return {
          kind: "refused",
          status: 503,
          message: "the credentials cannot be checked just now: what they are checked by does not answer",
          challenge: undefined,
          principal: undefined,
          rule: "authentication",
          reason: verdict.reason,
        };
      default:
        return verdict satisfies never;
    }
  }

  #decide(identity: Identity, wanted: Wanted, visit: Visit): Admission {
    const { principal } = identity;
    if (wanted.kind !== "repository") return this.#decideGeneral(identity, wanted, visit);
    if (!principal || wanted.action !== "read" || this.#options.access?.hasConditions) return this.#decideRepository(identity, wanted, visit);
    const names = this.#options.names();
    const reads = this.#reads.get(principal) ?? new WeakMap<Repository, { admission: Admission; names: RegistryNames }>();
    const known = reads.get(wanted.repository);
    if (known?.names === names) return known.admission;
    const admission = this.#decideRepository(identity, wanted, visit);
    if (admission.kind === "admitted") {
      this.#reads.set(principal, reads);
      reads.set(wanted.repository, { admission, names });
    }
    return admission;
  }

  #decideRepository({ principal, access }: Identity, wanted: WantedRepository, visit: Visit): Admission {
    const { access: rules, names } = this.#options;
    const { action, repository } = wanted;
    const facts = () => this.#facts(wanted.reference, visit);
    const own = rules?.policy.decide({ principal, action, repository, facts }) ?? {
      isAllowed: principal !== undefined,
      rule: "no accessControl",
      reason: undefined,
    };
    if (!own.isAllowed) return this.#deny({ principal, access }, wanted, visit, own);
    const isLeft = (needed: Action): boolean => scopePermits(principal?.scope, needed, repository, names().defaultHost);
    if (!isLeft(action)) return this.#deny({ principal, access }, wanted, visit, outOfScope);
    if (access && !tokenAllows(access, repository, action, names())) return this.#lacksScope(principal, wanted, visit);
    const mayFetch = !rules || rules.policy.decide({ principal, action: "fetch", repository, facts }).isAllowed;
    return { kind: "admitted", principal, mayFetch: mayFetch && isLeft(rules?.policy.fetchingTakes ?? "read"), rule: own.rule, challenge: undefined };
  }

  #decideGeneral({ principal, access }: Identity, wanted: Exclude<Wanted, WantedRepository>, visit: Visit): Admission {
    const challenge = wanted.kind === "ping" && this.#takesHeaders ? this.#challenges.write(wanted, visit) : undefined;
    const admitted = (rule: string): Admitted => ({ kind: "admitted", principal, mayFetch: true, rule, challenge });
    if (wanted.kind === "account" && !principal) return this.#deny({ principal, access }, wanted, visit, { rule: "authentication", reason: undefined });
    if (principal?.scope && (wanted.kind === "metrics" || wanted.kind === "admin")) return this.#deny({ principal, access }, wanted, visit, outOfScope);
    if (wanted.kind === "metrics") return this.#decideMetrics({ principal, access }, visit, admitted);
    if (wanted.kind === "admin") return this.#decideAdmin({ principal, access }, visit, admitted);
    if ((wanted.kind === "catalog" || wanted.kind === "page") && access && !tokenAllowsCatalog(access)) return this.#lacksScope(principal, wanted, visit);
    if (principal || access) return admitted("authentication");
    if (this.#letsStrangersIn(wanted, visit)) return admitted(this.#hasAnonymous ? "anonymousPolicy" : "no method of authentication");
    return this.#deny({ principal, access }, wanted, visit, { rule: "authentication", reason: undefined });
  }

  #decideMetrics(identity: Identity, visit: Visit, admitted: (rule: string) => Admitted): Admission {
    const { principal } = identity;
    const decision = this.#options.access?.policy.decideMetrics(principal) ?? { isAllowed: principal !== undefined, rule: "no accessControl" };
    return decision.isAllowed ? admitted(decision.rule) : this.#deny(identity, { kind: "metrics" }, visit, { rule: decision.rule, reason: undefined });
  }

  /** A token that says what it permits permits images: it does not administrate, whoever it names. */
  #decideAdmin(identity: Identity, visit: Visit, admitted: (rule: string) => Admitted): Admission {
    const { principal, access } = identity;
    const wanted = { kind: "admin" } as const;
    const action = visit.method === "DELETE" ? "delete" : "read";
    if (!this.#isActiveAdmin(principal, { repository: "", action }, visit))
      return this.#deny(identity, wanted, visit, { rule: "adminPolicy", reason: "accessControl.adminPolicy is for those whom it names" });
    return access ? this.#lacksScope(principal, wanted, visit) : admitted("adminPolicy");
  }

  #isActiveAdmin(principal: Principal | undefined, what: { readonly repository: string; readonly action: string }, visit: Visit): boolean {
    return this.#options.access?.policy.isActiveAdmin({ principal, facts: () => this.#facts(undefined, visit) }, what) === true;
  }

  get #hasAnonymous(): boolean {
    return (this.#options.access?.policy.anonymousReach() ?? "none") !== "none";
  }

  get #takesHeaders(): boolean {
    return this.#options.headerMethods.length > 0;
  }

  /** zot's rule: some repository is open to them, but classic docker must be told to log in where having a name opens more. */
  #letsStrangersIn({ kind }: Wanted, { userAgent = "" }: Visit): boolean {
    const { access, challenge } = this.#options;
    if (!this.asksWho) return true;
    if (challenge.kind === "bearer" || !access || !this.#hasAnonymous) return false;
    const isDocker = userAgent.startsWith("docker/") || userAgent.includes("Docker-Client");
    return !(kind === "ping" && isDocker && access.policy.anonymousReach() === "some" && this.#takesHeaders);
  }

  #deny(
    { principal, access }: Identity,
    wanted: Wanted,
    visit: Visit,
    { rule, reason }: { readonly rule: string; readonly reason: string | undefined },
  ): Refused {
    const what =
      wanted.kind === "repository"
        ? `${wanted.action} ${policyName(wanted.repository, this.#options.names().defaultHost)}`
        : wanted.kind === "admin"
          ? "administrate"
          : "see this";
    if (principal) {
      const why = reason === undefined ? "" : `: ${reason}`;
      return { kind: "refused", status: 403, message: `${principal.name} may not ${what}${why}`, challenge: undefined, principal, rule, reason };
    }
    const challenge = this.#challenges.write(wanted, visit, access && "insufficient_scope");
    return { kind: "refused", status: 401, message: `authentication is required to ${what}`, challenge, principal, rule, reason };
  }

  #lacksScope(principal: Principal | undefined, wanted: Wanted, visit: Visit): Refused {
    return {
      kind: "refused",
      status: 401,
      message: "the token does not permit this",
      challenge: this.#challenges.write(wanted, visit, "insufficient_scope"),
      principal,
      rule: "the token's access",
      reason: undefined,
    };
  }

  /** The refusal, perhaps a while later. */
  #refuse(refusal: Refused, visit: Visit): Refused | Promise<Refused> {
    if (!showsSomething(visit.authorization)) return refusal;
    return this.#options.failDelay.wait(visit.authorization, visit.signal).then(() => refusal);
  }

  #facts(reference: Reference | undefined, visit: Visit): RequestFacts {
    return {
      timeMs: this.#options.now(),
      method: visit.method,
      userAgent: visit.userAgent ?? "",
      reference: reference && (reference.kind === "tag" ? { kind: "tag", name: reference.tag } : { kind: "digest", name: reference.digest }),
      client: visit.client,
      forwardedFor: visit.forwardedFor,
      tlsVersion: visit.tlsVersion,
    };
  }
}
