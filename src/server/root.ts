/** What the root of a server says of it. */
import { textAnswer, type Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { redirectAnswer } from "./pages.ts";

/** Who asks for a page by name is a browser; everybody else is told in plain text what this is. */
export function rootAnswer(exchange: Exchange, { hasPages, version }: { readonly hasPages: boolean; readonly version: string }): Answer {
  if (!hasPages) return textAnswer(200, welcome(version, exchange.header("host")));
  if (exchange.accepts("text/html")) return redirectAnswer("/home", ["Vary", "Accept"]);
  const answer = textAnswer(200, `${welcome(version, exchange.header("host"))}/home       what is held, and how things stand, for browsers\n`);
  return { ...answer, headers: [...answer.headers, "Vary", "Accept"] };
}

function welcome(version: string, host: string | undefined): string {
  const here = host !== undefined && /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? host : "localhost:8080";
  return `ociregistry ${version}: a caching pull-through registry in front of every container registry.

  docker pull ${here}/docker.io/library/alpine:latest
  curl http://${here}/v2/docker.io/library/alpine/manifests/latest

/v2/        the registry API (OCI distribution-spec 1.1, pull)
/readyz     whether it can be sent requests, and how its upstreams are
/metrics    numbers for Prometheus
`;
}
