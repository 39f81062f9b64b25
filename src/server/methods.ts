/** Methods: what may be done at a path, and what is said where there is none. */
import { OciError } from "../oci/errors.ts";
import { apiVersionHeader, jsonAnswer, type Answer } from "./answer.ts";
import { errorAnswer } from "./errors.ts";
import type { Exchange } from "./exchange.ts";

/** Of a path that nobody knows so much is told. */
const pathShownMax = 512;

/** What an OPTIONS is told. */
export function methodsOf(allowed: string): Answer {
  return { status: 204, headers: ["Allow", allowed, ...apiVersionHeader], body: "" };
}

export function isReading({ method }: Exchange): boolean {
  return method === "GET" || method === "HEAD";
}

/** The refusal of whatever is not reading; undefined for reading. */
export function onlyReading({ method }: Exchange): Answer | undefined {
  if (method === "GET" || method === "HEAD") return undefined;
  return errorAnswer(new OciError("UNSUPPORTED", `${method.slice(0, 16)} is not supported: this registry is read only`));
}

/** There is nothing at this path. */
export function unknownPath({ target }: Exchange): Answer {
  const path = target.split("?", 1)[0] ?? "";
  return jsonAnswer(404, { errors: [{ code: "UNSUPPORTED", message: `there is nothing at ${path.slice(0, pathShownMax)}` }] });
}
