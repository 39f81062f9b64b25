/** The commands around a server that runs: serve, health, config, version. */
import type { Command } from "commander";
import { addFlags, flagsOf, serveFlags } from "./flag-table.ts";
import type { CommandDefinitions } from "./command-definitions.ts";

/** `serve`, `health`, `config check`, `config schema`, `version`. */
export function addServingCommands(program: Command, commands: CommandDefinitions): void {
  const serve = commands.define(program, {
    name: "serve",
    description: "Serve images, fetching from upstreams what is not held.",
    examples: serveExamples,
    action: async (command) => {
      const { serve: runServe } = await import("./serve.ts");
      return runServe({ flags: flagsOf(command), io: commands.io });
    },
  });
  addFlags(serve, serveFlags);

  const health = commands.define(program, {
    name: "health",
    description: "Ask a running server whether it is alive.",
    examples: healthExamples,
    action: async (command) => {
      const { health: runHealth } = await import("./health.ts");
      return runHealth({ flags: flagsOf(command), io: commands.io, url: command.opts<{ url?: string }>().url });
    },
  });
  health.option("--url <URL>", "ask this, not what the configuration says");

  const config = commands.group(program, "config", "Check a configuration; print what one may say.");
  const check = commands.define(config, {
    name: "check",
    description: "Say what is wrong with a configuration.",
    examples: checkExamples,
    action: async (command) => {
      const { configCheck } = await import("./config-check.ts");
      return configCheck({ flags: flagsOf(command), io: commands.io, ...command.opts<{ online?: boolean; json?: boolean }>() });
    },
  });
  check.option("--online", "try every registry with its credential").option("--json", "print JSON");
  commands.define(config, {
    name: "schema",
    description: "Print the JSON Schema, for editors.",
    examples: schemaExamples,
    action: async () => {
      const { configSchema } = await import("./config-schema.ts");
      return configSchema({ io: commands.io });
    },
  });

  commands.define(program, {
    name: "version",
    description: "Print the version.",
    examples: ["ociregistry version"],
    action: async () => {
      const { version } = await import("./version.ts");
      return version({ io: commands.io });
    },
  });
}

const serveExamples = [
  "ociregistry serve --image-path ./cache --hello-world",
  "ociregistry --config-file config.yaml serve --port=5000 --log-level debug",
  "OCIREGISTRY_TAG_TTL=5m ociregistry serve --image-path ./cache",
  "ociregistry serve --image-path ./cache --air-gapped",
];
const healthExamples = ["ociregistry health --config-file config.yaml", "ociregistry health --url http://127.0.0.1:8080/readyz"];
const checkExamples = ["ociregistry config check --config-file config.yaml", "ociregistry config check --online --config-file config.yaml"];
const schemaExamples = ["ociregistry config schema > ociregistry.schema.json"];
