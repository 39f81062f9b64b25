/** Every parser of ours that reads what others wrote: `make test` tries each with thousands of inputs, `make prove` all with a million. */
import { bundleParsers } from "./bundle-parsers.ts";
import { cacheParsers } from "./cache-parsers.ts";
import { configParsers } from "./config-parsers.ts";
import { credentialParsers } from "./credential-parsers.ts";
import type { FuzzedParser } from "./fuzzed-parser.ts";
import { ociParsers } from "./oci-parsers.ts";
import { serverParsers } from "./server-parsers.ts";
import { terminalParsers } from "./terminal-parsers.ts";
import { upstreamParsers } from "./upstream-parsers.ts";

export const parsers: readonly FuzzedParser[] = [
  ...ociParsers,
  ...serverParsers,
  ...upstreamParsers,
  ...credentialParsers,
  ...cacheParsers,
  ...configParsers,
  ...bundleParsers,
  ...terminalParsers,
];
