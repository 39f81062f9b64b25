/**
 * AccessRecord: what the gate decided about one request: who asked, for what, what became of it, and which rule said so. Vocabulary, so
 * that the gate, the server and the audit log need not know each other. It never holds a secret, a token, or a password.
 */
import type { Reference } from "./reference.ts";
import type { Repository } from "./repository.ts";

export interface AccessRecord {
  readonly requestId: string;
  readonly method: string;
  /** The client's address without its port. */
  readonly client: string;
  /** `read`, `create`, `delete` of a repository; else what was asked for: `ping`, `catalog`, `metrics`, `admin`. */
  readonly action: string;
  readonly repository: Repository | undefined;
  /** What of the repository, where the request names it. */
  readonly reference: Reference | undefined;
  /** Undefined: somebody without a name. */
  readonly user: string | undefined;
  /** How the user was known. */
  readonly by: string | undefined;
  readonly isAllowed: boolean;
  /** Whether anything was shown that might have been a credential: the first request of every client shows nothing. */
  readonly showedCredential: boolean;
  /** What decided, in the words of the configuration. */
  readonly rule: string;
  /** Why a credential did not count, or which condition kept a grant from counting. */
  readonly reason: string | undefined;
}
