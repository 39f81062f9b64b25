/**
 * FuzzedParser: one parser, the inputs that it is tried with, and what it promises for all of them: it throws nothing but its own
 * error, no input takes it long, and what comes out is what it says. Fast-check makes the inputs and shrinks those that break a promise.
 */
import fc from "fast-check";

export interface FuzzedParser {
  readonly name: string;
  /** Tries it with `inputs` inputs, or fewer when it is slow by nature; the same seed gives the same inputs. */
  readonly fuzz: (options: { readonly inputs: number; readonly seed: number }) => FuzzResult;
}

export interface FuzzResult {
  readonly inputs: number;
  /** Inputs that it took; the others it refused by its own error. */
  readonly taken: number;
  /** The time of the slowest input; of one that took more than a millisecond, the least of four. */
  readonly slowestMs: number;
  /** The promise that was broken, and by which input. */
  readonly failure: string | undefined;
}

export interface ParserOptions<Input, Output> {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Input>;
  readonly parse: (input: Input) => Output;
  /** Whether an error is the parser's own. Absent: it never throws. */
  readonly isOwnError?: (error: unknown) => boolean;
  /** Throws when what came out is not what the parser promises. Not timed. */
  readonly check?: (output: Output, input: Input) => void;
  /** Inputs that it gets for each of the others'. */
  readonly share?: number;
  /** More is too slow, whatever the input. */
  readonly limitMs?: number;
}

/** A few milliseconds: what a machine with other things to do may need for an input of the largest size. */
const limitMsDefault = 5;
/** A machine that does something else just then is slow with any input: one that seems slow is tried again, and only our own time counts. */
const triesAgain = 3;
const suspectMs = 1;
const shownMax = 500;

/** Puts a parser together with its inputs and promises. */
export function fuzzed<Input, Output>(options: ParserOptions<Input, Output>): FuzzedParser {
  const { name, inputs: arbitrary, parse, isOwnError = () => false, check, share = 1, limitMs = limitMsDefault } = options;
  function fuzz({ inputs, seed }: { inputs: number; seed: number }): FuzzResult {
    let slowestMs = 0;
    let taken = 0;
    const property = fc.property(arbitrary, (input) => {
      const outcome = attempt(input, parse);
      const ms = outcome.ms <= suspectMs ? outcome.ms : leastMs(outcome.ms, input, parse);
      slowestMs = Math.max(slowestMs, ms);
      if (ms > limitMs) throw new Error(`takes ${ms.toFixed(1)} ms: at most ${limitMs}`);
      if (outcome.kind === "taken") {
        taken++;
        check?.(outcome.output, input);
      } else if (!isOwnError(outcome.error)) {
        throw new Error(`throws what is not its own error: ${String(outcome.error).slice(0, shownMax)}`, { cause: outcome.error });
      }
    });
    const numRuns = Math.max(1, Math.round(inputs * share));
    const details = fc.check(property, { numRuns, seed, includeErrorInReport: true });
    const failure = details.failed ? `${name}: ${fc.defaultReportMessage(details) ?? "failed"}` : undefined;
    return { inputs: details.numRuns, taken, slowestMs, failure };
  }
  return { name, fuzz };
}

type Outcome<Output> = ({ readonly kind: "taken"; readonly output: Output } | { readonly kind: "refused"; readonly error: unknown }) & { readonly ms: number };

function attempt<Input, Output>(input: Input, parse: (input: Input) => Output): Outcome<Output> {
  const startMs = performance.now();
  try {
    const output = parse(input);
    return { kind: "taken", output, ms: performance.now() - startMs };
  } catch (error) {
    return { kind: "refused", error, ms: performance.now() - startMs };
  }
}

function leastMs<Input, Output>(firstMs: number, input: Input, parse: (input: Input) => Output): number {
  let least = firstMs;
  for (let tries = 0; tries < triesAgain; tries++) {
    const before = process.threadCpuUsage();
    attempt(input, parse);
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / 1_000);
  }
  return least;
}
