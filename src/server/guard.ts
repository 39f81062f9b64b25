/** Guard: the gate in front of every handler. Who is let in goes on; who is not gets the one kind of answer that clients understand. */
import type { Admission, Admitted, Gate, Refused } from "../auth/gate.ts";
import type { Wanted } from "../auth/visit.ts";
import type { AccessRecord } from "../oci/access-record.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import type { Answer } from "./answer.ts";
import { jsonAnswer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangeVisit } from "./exchange-visit.ts";
import type { Sees } from "./lists.ts";

export interface GuardOptions {
  /** Who is let in; the same object until a reload makes another. Undefined: everybody is. */
  readonly gate?: () => Gate | undefined;
  readonly audit?: Audit;
}

/** Told what gates decide. */
interface Audit {
  refused(record: AccessRecord): void;
  /** Most requests are let in: a record is made only if it is wanted. */
  admitted(record: () => AccessRecord): void;
}

type Served = Answer | Promise<Answer | Response>;

const unavailableRetryAfter = "5";

export class Guard {
  readonly #options: GuardOptions;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** False: everybody is let in, and nobody is looked at. */
  get isClosed(): boolean {
    return this.#options.gate?.() !== undefined;
  }

  /** Whether there is any way to learn who asks. */
  get asksWho(): boolean {
    return this.#options.gate?.()?.asksWho === true;
  }

  /** Answers a request that no gate need look at: 403, with `message`. */
  refuse(wanted: Wanted, exchange: Exchange, { rule, message }: { readonly rule: string; readonly message: string }): Answer {
    const refused: Refused = { kind: "refused", status: 403, message, challenge: undefined, principal: undefined, rule, reason: undefined };
    this.#options.audit?.refused(recordOf(refused, wanted, exchange, exchange.visit()));
    return refusalAnswer(refused);
  }

  /** Lets the request through to `serve`, at once when the gate decides at once, or answers it: as clients understand it, or as `refuse` does. */
  pass<Result extends Served>(
    wanted: Wanted,
    exchange: Exchange,
    serve: (exchange: Exchange, admitted: Admitted | undefined) => Result,
    refuse: (refused: Refused) => Answer | Promise<Answer> = refusalAnswer,
  ): Result | Served {
    const gate = this.#options.gate?.();
    if (!gate) return serve(exchange, undefined);
    const visit = exchange.guarded();
    const admission = gate.admit(wanted, visit);
    if (admission instanceof Promise) return admission.then((decided) => this.#go(decided, wanted, exchange, visit, { serve, refuse }));
    return this.#go(admission, wanted, exchange, visit, { serve, refuse });
  }

  /** What the one who was let in may know of; undefined: of everything. */
  sees(exchange: Exchange, admitted: Admitted | undefined): Sees | undefined {
    const gate = this.#options.gate?.();
    if (!gate || !admitted) return undefined;
    const visit = exchange.visit();
    return (repository) => gate.sees(admitted, repository, visit);
  }

  /** Whether the one who was let in administrates: by name, and by all that he shows. */
  isAdministrator(exchange: Exchange, admitted: Admitted | undefined): boolean {
    return admitted !== undefined && this.#options.gate?.()?.administrates(admitted, undefined, exchange.visit()) === true;
  }

  /** Why the one who was let in may not look at what is held of a repository; undefined: he may. */
  readingRefusal(exchange: Exchange, admitted: Admitted | undefined, repository: Repository, reference: Reference | undefined): string | undefined {
    const gate = this.#options.gate?.();
    if (!gate || !admitted) return undefined;
    const visit = exchange.visit();
    const refused = gate.refusalOf(admitted, { repository, reference }, visit);
    if (!refused) return undefined;
    this.#options.audit?.refused(
      recordOf(refused, { kind: "repository", action: "read", repository, reference, writtenName: repository.path }, exchange, visit),
    );
    return refused.message;
  }

  #go<Result extends Served>(
    admission: Admission,
    wanted: Wanted,
    exchange: Exchange,
    visit: ExchangeVisit,
    { serve, refuse }: { readonly serve: (exchange: Exchange, admitted: Admitted) => Result; readonly refuse: (refused: Refused) => Answer | Promise<Answer> },
  ): Result | Served {
    const { audit } = this.#options;
    if (admission.kind === "refused") {
      audit?.refused(recordOf(admission, wanted, exchange, visit));
      return refuse(admission);
    }
    audit?.admitted(() => recordOf(admission, wanted, exchange, visit));
    exchange.admitted(admission);
    if (wanted.kind === "repository" && exchange.asksNoCache && this.#options.gate?.()?.administrates(admission, wanted, visit) === true)
      exchange.administrated();
    return serve(exchange, admission);
  }
}

/** Every refusal has a body that clients can read; every 401, of a HEAD too, says how one logs in. */
function refusalAnswer(refused: Refused): Answer {
  const { status, message } = refused;
  const code = status === 401 ? "UNAUTHORIZED" : status === 403 ? "DENIED" : "UNAVAILABLE";
  return jsonAnswer(status, { errors: [{ code, message }] }, { headers: refusalHeaders(refused) });
}

/** What goes with a refusal beside its words. */
export function refusalHeaders({ status, challenge, setCookie }: Pick<Refused, "status" | "challenge" | "setCookie">): readonly string[] {
  return [
    ...(challenge === undefined ? [] : ["WWW-Authenticate", challenge]),
    ...(setCookie === undefined ? [] : ["Set-Cookie", setCookie]),
    ...(status === 503 ? ["Retry-After", unavailableRetryAfter] : []),
  ];
}

function recordOf(admission: Admission, wanted: Wanted, { requestId, method, client }: Exchange, visit: ExchangeVisit): AccessRecord {
  const { principal, rule } = admission;
  return {
    requestId,
    method,
    client,
    action: wanted.kind === "repository" ? wanted.action : wanted.kind,
    repository: wanted.kind === "repository" ? wanted.repository : undefined,
    reference: wanted.kind === "repository" ? wanted.reference : undefined,
    user: principal?.name,
    by: principal?.method,
    isAllowed: admission.kind === "admitted",
    showedCredential: visit.authorization.length > 0 || visit.certificate !== undefined,
    rule,
    reason: admission.kind === "refused" ? admission.reason : undefined,
  };
}
