/**
 * KubeletCredentials: a credential provider plugin of the kubelet, asked for an image, answers what opens it, for what else that is good,
 * and how long. An answer is kept for exactly so long, and asked for once however many wait for it.
 */
import { LRUCache } from "lru-cache";
import type { Background } from "../oci/background.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { RegistryHost } from "../oci/repository.ts";
import { forcedEveryMs, retryDelayMs } from "./credential-life.ts";
import { identified, type Credential, type CredentialSource, type CredentialStatus } from "./credentials.ts";
import { findForImage, kubeletQuestion, parseKubeletAnswer, type KubeletAnswer } from "./kubelet-answer.ts";
import { complaint, typed } from "./program-complaint.ts";
import { programEnvironment } from "./program-environment.ts";
import { runProgram, type Program } from "./run-program.ts";
import { Turns } from "./turns.ts";
import { untilAborted } from "../oci/waiting.ts";

/** How long an answer is kept that does not say. */
const durationMsDefault = 600_000;
const answersMax = 1_000;
const runningMax = 4;
const waitingMax = 256;
/** Once so much of an answer's time is over it is asked for anew behind the scenes. */
const renewalFraction = 0.8;

export interface KubeletCredentialsOptions extends Program {
  readonly host: RegistryHost;
  /** An answer is not kept for longer than this, whatever it says. */
  readonly expiryMs?: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly background: Background;
  /** Ours; a part of it is shown to the plugin. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

interface Held {
  readonly answer: KubeletAnswer;
  /** Both in milliseconds since 1970: a machine that slept has outlived its answers. */
  readonly untilMs: number;
  readonly renewAtMs: number;
}

interface Given {
  readonly answer: KubeletAnswer;
  /** The image that was asked for. */
  readonly image: string;
}

interface Failure {
  readonly error: OciError;
  readonly count: number;
  readonly retryAtMs: number;
}

export class KubeletCredentials implements CredentialSource {
  readonly #options: KubeletCredentialsOptions;
  readonly #turns = new Turns({ runningMax, waitingMax });
  readonly #lifetime = new AbortController();
  /** By image, or by the host for what is good for all of its images. */
  readonly #answers = new LRUCache<string, Held>({ max: answersMax });
  readonly #failures = new LRUCache<string, Failure>({ max: answersMax });
  readonly #forcedAtMs = new LRUCache<string, number>({ max: answersMax });
  readonly #flights = new Map<string, Promise<Given>>();
  /** Of the last answer: the next will be alike. */
  #scope: KubeletAnswer["scope"] | undefined;
  #problem: OciError | undefined;

  constructor(options: KubeletCredentialsOptions) {
    this.#options = options;
  }

  /** Undefined when the plugin has nothing for the repository. Rejects as its last run did, or with the signal's reason. */
  async current(name: string, signal: AbortSignal): Promise<Credential | undefined> {
    const image = this.#image(name);
    const held = this.#find(image);
    if (held) return credentialOf(held, image);
    const given = await untilAborted(this.#underWay(this.#key(image), image), signal);
    if (isFor(given, image)) return credentialOf(given.answer, image);
    // Nobody knew that its answers are for one image each: this one's is another.
    return credentialOf((await untilAborted(this.#underWay(image, image), signal)).answer, image);
  }

  async renew(credential: Credential, name: string, signal: AbortSignal): Promise<boolean> {
    const image = this.#image(name);
    const isAnother = (answer: KubeletAnswer | undefined): boolean => {
      const other = answer && credentialOf(answer, image);
      return other !== undefined && other.id !== credential.id;
    };
    if (isAnother(this.#find(image))) return true;
    const key = this.#key(image);
    const elapsedMs = this.#options.clock.elapsed();
    const mayForce = elapsedMs - (this.#forcedAtMs.get(key) ?? -Infinity) >= forcedEveryMs;
    const underWay = this.#flights.get(key);
    if (!underWay && !mayForce) return false;
    if (mayForce) this.#forcedAtMs.set(key, elapsedMs);
    // Its failure has been told; who asked hears that there is nothing newer.
    const flight = (underWay ?? this.#start(key, image)).catch(() => undefined);
    const given = await untilAborted(flight, signal);
    return given !== undefined && isFor(given, image) && isAnother(given.answer);
  }

  /** Undefined until somebody has asked for anything. */
  status(): CredentialStatus | undefined {
    const description = `${this.#options.command} for ${this.#options.host}`;
    if (this.#problem) return { description, state: "failing", reason: this.#problem.message };
    if (this.#answers.size > 0) return { description, state: "held" };
    return this.#flights.size > 0 ? { description, state: "fetching" } : undefined;
  }

  close(): void {
    this.#lifetime.abort(new OciError("OVERLOADED", `${this.#options.command}: it is not asked any more`, { retryAfterMs: 1_000 }));
  }

  #image(name: string): string {
    return `${this.#options.host}/${name}`;
  }

  /** Where the answer for `image` will be; until the first one has come nobody knows, and all wait for that. */
  #key(image: string): string {
    return this.#scope === "image" ? image : this.#options.host;
  }

  #find(image: string): KubeletAnswer | undefined {
    for (const key of [image, this.#options.host]) {
      const held = this.#answers.get(key);
      const nowMs = this.#options.clock.now();
      if (held && nowMs < held.untilMs) {
        if (nowMs >= held.renewAtMs && !this.#flights.has(key) && !this.#recentFailure(key)) void this.#start(key, image).catch(() => {}); // It has been told.
        return held.answer;
      }
      this.#answers.delete(key);
    }
    return undefined;
  }

  #recentFailure(key: string): OciError | undefined {
    const failure = this.#failures.get(key);
    return failure && this.#options.clock.elapsed() < failure.retryAtMs ? failure.error : undefined;
  }

  #underWay(key: string, image: string): Promise<Given> {
    const recent = this.#recentFailure(key);
    return this.#flights.get(key) ?? (recent ? Promise.reject(recent) : this.#start(key, image));
  }

  #start(key: string, image: string): Promise<Given> {
    const flight = this.#ask(key, image).finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    this.#options.background.run(
      "asking a credential plugin",
      flight.catch(() => {}),
    );
    return flight;
  }

  async #ask(key: string, image: string): Promise<Given> {
    const { log, command } = this.#options;
    try {
      const answer = await this.#turns.take(() => this.#run(image));
      this.#keep(answer, image);
      this.#scope = answer.scope;
      this.#problem = undefined;
      this.#failures.delete(key);
      log.debug({ plugin: command, image, scope: answer.scope, durationMs: answer.durationMs, credentials: answer.credentials.length }, "credential fetched");
      return { answer, image };
    } catch (caught) {
      const error = caught instanceof OciError ? caught : new OciError("UPSTREAM_UNAVAILABLE", `${command}: it failed unexpectedly`, { cause: caught });
      if (!this.#lifetime.signal.aborted) this.#failed(key, error);
      throw error;
    }
  }

  async #run(image: string): Promise<KubeletAnswer> {
    const { command, args, clock, environment = process.env } = this.#options;
    const what = `${command} for ${image}`;
    const run = { input: kubeletQuestion(image), environment: programEnvironment(environment), what, clock };
    const outcome = await runProgram({ command, args }, run, this.#lifetime.signal);
    if (outcome.exitCode !== 0) throw complaint(outcome, what, `echo '${kubeletQuestion(image).trim()}' | ${typed({ command, args })}`);
    return parseKubeletAnswer(outcome.stdout, what);
  }

  #keep(answer: KubeletAnswer, image: string): void {
    const { clock, host, expiryMs = Infinity } = this.#options;
    const durationMs = Math.min(answer.durationMs ?? durationMsDefault, expiryMs);
    if (durationMs <= 0) return;
    const nowMs = clock.now();
    this.#answers.set(answer.scope === "image" ? image : host, { answer, untilMs: nowMs + durationMs, renewAtMs: nowMs + durationMs * renewalFraction });
  }

  #failed(key: string, error: OciError): void {
    const { clock, log, command } = this.#options;
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const delayMs = retryDelayMs(count - 1, () => 0); // Tried when somebody asks, not by a timer: no two of us are in step.
    this.#failures.set(key, { error, count, retryAtMs: clock.elapsed() + delayMs });
    this.#problem = error;
    log.warn({ plugin: command, problem: error.message, retryInMs: Math.round(delayMs) }, "credential not fetched");
  }
}

function isFor({ answer, image }: Given, other: string): boolean {
  return answer.scope !== "image" || image === other;
}

function credentialOf(answer: KubeletAnswer, image: string): Credential | undefined {
  const content = findForImage(answer, image);
  return content && identified(content);
}
