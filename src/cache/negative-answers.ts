/**
 * NegativeAnswers: what an upstream said is not there, or not for us, remembered for seconds so that a storm of the same question
 * asks it once. Never an outage, never our own "no", never anything that is held.
 */
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import { isUnknown, OciError, type OciErrorCode } from "../oci/errors.ts";
import type { Call } from "../oci/registry.ts";

const entriesMax = 10_000;
const tagLifeMs = 5_000;
const digestLifeMs = 30_000;
const denialLifeMs = 10_000;

/** What was said. Not the error: by its stack it holds on to whatever its calls had at hand, a download's buffers among it. */
interface NegativeAnswer {
  readonly code: OciErrorCode;
  readonly message: string;
  readonly untilMs: number;
}

export class NegativeAnswers {
  readonly #clock: Clock;
  readonly #answers = new LRUCache<string, NegativeAnswer>({ max: entriesMax });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What `ask` resolves to, unless the upstream said no to the same question a moment ago; its no is remembered. Throws either. */
  async remember<T>(key: string, { byDigest, call }: { readonly byDigest: boolean; readonly call: Pick<Call, "noCache"> }, ask: () => Promise<T>): Promise<T> {
    this.check(key, call);
    try {
      return await ask();
    } catch (error) {
      if (error instanceof OciError) this.note(key, error, { byDigest });
      throw error;
    }
  }

  /** Throws what the upstream said of `key` a moment ago, if it said no, and the caller does not ask for what it says now. */
  check(key: string, { noCache }: Pick<Call, "noCache">): void {
    if (noCache === true) return;
    const answer = this.#answers.get(key);
    if (answer && this.#clock.elapsed() < answer.untilMs) throw new OciError(answer.code, answer.message, { source: "upstream" });
  }

  /** Remembers `error` if it is an upstream's no. */
  note(key: string, error: OciError, { byDigest }: { byDigest: boolean }): void {
    const { code, message, source } = error;
    if (source !== "upstream") return;
    const lifeMs = code === "DENIED" ? denialLifeMs : isUnknown(error) ? (byDigest ? digestLifeMs : tagLifeMs) : 0;
    if (lifeMs > 0) this.#answers.set(key, { code, message, untilMs: this.#clock.elapsed() + lifeMs });
  }

  forget(key: string): void {
    this.#answers.delete(key);
  }

  /** A credential changed: what was refused may be allowed now. */
  forgetDenials(): void {
    for (const [key, { code }] of this.#answers.entries()) if (code === "DENIED") this.#answers.delete(key);
  }
}
