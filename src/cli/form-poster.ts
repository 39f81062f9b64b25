/** FormPoster: forms sent to one server, over TLS or in the clear, with an end to each wait; and what to do when it cannot be reached. */
import { Agent as PlainAgent, request as plainRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { getCACertificates } from "node:tls";
import { packageVersion } from "../config/package-version.ts";
import { membersIn, plain, type Members } from "./answer-words.ts";
import { isLoopback } from "./registry-address.ts";
import { ServerAway } from "./server-away.ts";

export interface FormPosterOptions {
  /** `https://registry.example.com` */
  readonly origin: string;
  /** PEM; beside the authorities that the system and this program know. */
  readonly authority: string | undefined;
  /** Says which proxy leads there; to this machine none does. */
  readonly environment: NodeJS.ProcessEnv;
  /** From the question to the answer's end. */
  readonly askMs?: number;
}

interface Answered {
  readonly status: number;
  readonly body: Members;
}

const askMsDefault = 15_000;
const answerBytesMax = 64 << 10;

export class FormPoster {
  readonly #options: FormPosterOptions;
  #agent: RequestOptions["agent"];

  constructor(options: FormPosterOptions) {
    this.#options = options;
  }

  /** Fields that are undefined or empty are left out. Throws `ServerAway`, an Error in words of what to do, and the signal's reason. */
  async post(path: string, fields: Readonly<Record<string, string | undefined>>, signal: AbortSignal): Promise<Answered> {
    const { origin, askMs = askMsDefault } = this.#options;
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) if (value !== undefined && value !== "") form.set(name, value);
    try {
      const { location, ...answer } = await send(new URL(path, origin), form.toString(), {
        agent: (this.#agent ??= this.#makeAgent()),
        signal: AbortSignal.any([signal, AbortSignal.timeout(askMs)]),
      });
      if (answer.status >= 300 && answer.status < 400)
        throw new Error(`${origin} sends us on to ${plain(location ?? "nowhere")}: say the address that it has in the end`);
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      throw reachError(error, origin, askMs);
    }
  }

  #makeAgent(): PlainAgent {
    const { origin, authority, environment } = this.#options;
    // As Go's clients have it: whoever meant to speak to this machine has shown a key to nobody else.
    const common = { keepAlive: false, ...(isLoopback(new URL(origin).hostname) ? {} : { proxyEnv: environment }) };
    if (!origin.startsWith("https:")) return new PlainAgent(common);
    return new TlsAgent({ ...common, ca: [...getCACertificates("default"), ...getCACertificates("system"), ...(authority === undefined ? [] : [authority])] });
  }
}

function send(url: URL, form: string, options: RequestOptions): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": String(Buffer.byteLength(form)),
      accept: "application/json",
      "user-agent": `ociregistry/${packageVersion()}`,
    };
    const ask = url.protocol === "https:" ? tlsRequest : plainRequest;
    const asking = ask(url, { ...options, method: "POST", headers }, (answer) => void read(answer).then(resolve, reject)); // Either way it is told.
    asking.on("error", reject);
    asking.end(form);
  });
}

async function read(answer: IncomingMessage): Promise<Sent> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    bytes += piece.byteLength;
    if (bytes > answerBytesMax) throw new Error(`it answers with more than ${answerBytesMax >> 10} KiB`);
    pieces.push(piece);
  }
  const { statusCode = 0, headers } = answer;
  return { status: statusCode, location: headers.location, body: membersIn(Buffer.concat(pieces).toString("utf8")) };
}

interface Sent extends Answered {
  readonly location: string | undefined;
}

/** What to do about it, where that is known. */
function reachError(error: unknown, origin: string, askMs: number): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const code = "code" in error ? error.code : undefined;
  if (typeof code !== "string") return error;
  const cause = { cause: error };
  if (unknownAuthority.has(code))
    return new Error(`${origin} has a certificate of an authority that is not known here: name that by --ca-file PEM (${code})`, cause);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return new Error(`${origin} has a certificate for another name (${code})`, cause);
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return new Error(`${origin} has a certificate that is not good now (${code})`, cause);
  if (code === "EPROTO") return new Error(`${origin} does not speak TLS, or none that is safe; if http is meant, say http:// (${code})`, cause);
  const why = code === "ABORT_ERR" ? `nothing within ${askMs / 1_000} s` : (away[code] ?? plain(error.message));
  return new ServerAway(`${origin} does not answer: ${why}`, cause);
}

const unknownAuthority: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
]);

const away: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ENOTFOUND: "there is no such name",
  EAI_AGAIN: "its name cannot be looked up just now",
  ECONNRESET: "the connection was cut",
  EHOSTUNREACH: "no way leads there",
  ENETUNREACH: "no way leads there",
  ETIMEDOUT: "the connection was not made in time",
};
