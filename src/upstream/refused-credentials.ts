/**
 * RefusedCredentials: tells the operator of a credential that a registry does not take. Clients hear 403 and cannot mend it; so the log
 * says who refused what, and where to look. Once in a while for each credential: registries refuse what does not exist as well.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import { credentialWords, type Credential } from "./credentials.ts";
import { regionProblem } from "./ecr-host.ts";
import type { CredentialOptions } from "./upstream-options.ts";

export interface RefusedCredentialsOptions {
  /** The registry, or the mirror, as `host[:port]`. */
  readonly host: string;
  /** By repository, where its credential comes from. */
  readonly optionsOf: (name: string) => CredentialOptions | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

const tellEveryMs = 600_000;
/** Credentials remembered; beyond these, one is told of again. */
const credentialsMax = 64;

export class RefusedCredentials {
  readonly #options: RefusedCredentialsOptions;
  /** By a credential's id, when it was told of: milliseconds of `elapsed()`. */
  readonly #toldAtMs = new LRUCache<string, number>({ max: credentialsMax });

  constructor(options: RefusedCredentialsOptions) {
    this.#options = options;
  }

  /** It was refused for the repository called `name`; `said` is by whom and how, without secrets: `quay.io answered 401`. */
  tell(credential: Credential, name: string, said: string): void {
    const { host, optionsOf, clock, log } = this.#options;
    const options = optionsOf(name);
    const nowMs = clock.elapsed();
    if (!options || nowMs - (this.#toldAtMs.get(credential.id) ?? -Infinity) < tellEveryMs) return;
    this.#toldAtMs.set(credential.id, nowMs);
    const problem = `${said}: ${cureOf(options, host)}; or there is no such repository, which many registries do not tell apart`;
    log.warn({ upstream: host, repository: name, credential: `${options.kind}: ${credentialWords(credential)}`, problem }, "credential refused");
  }
}

/** What to look at first. */
function cureOf(options: CredentialOptions, host: string): string {
  switch (options.kind) {
    case "password":
      return "check user and password in its auth, and what that user may read";
    case "static":
      return "check the token (static, staticFile or staticFromEnv in its auth.token), and what its owner may read";
    case "docker-config":
      return "log in again with docker or podman, and check what that user may read";
    case "exec":
      return `check what ${options.command} gives by running it yourself, and what its user may read`;
    case "ecr": {
      const problem = regionProblem(host, options.region);
      return `${problem === undefined ? "" : `${problem}; `}allow ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to who asks, in the repository's policy too if it is another account's`;
    }
    case "ecr-public":
      return "check its providerOpts; what is public there needs no credential";
    case "gcp":
      return "give the service account roles/artifactregistry.reader on the repository";
    case "azure":
      return "give the identity AcrPull on the registry";
    case "oauth2":
      return "check scope and audience in its providerOpts, and what the client may read";
    default:
      return options satisfies never;
  }
}
