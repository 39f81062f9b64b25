/** The commands about who may come in: auth, login, logout, apikey. */
import type { Command } from "commander";
import type { ApiKeyCreateOptions } from "./apikey-create.ts";
import type { AuthCheckOptions } from "./auth-check.ts";
import { collect, type CommandDefinitions } from "./command-definitions.ts";
import { addSwitch, flagsOf } from "./flag-table.ts";
import type { LoginCommandOptions, LoginPlaceOptions } from "./login.ts";

type AuthCheckFlags = Omit<AuthCheckOptions, "flags" | "io">;
type LoginFlags = Omit<LoginCommandOptions, "io" | "server" | "clock">;
type LogoutFlags = Omit<LoginPlaceOptions, "io" | "server" | "clock">;
type KeyCreateFlags = Omit<ApiKeyCreateOptions, "flags" | "io">;

/** `auth check`, `auth hash`, `auth revoke`, `login`, `logout`, `apikey create`, `apikey list`, `apikey revoke`. */
export function addAccessCommands(program: Command, commands: CommandDefinitions): void {
  const auth = commands.group(program, "auth", "Who may do what.");
  const authCheck = commands.define(auth, {
    name: "check",
    description: "Say what somebody may do, and which rule says so.",
    examples: authCheckExamples,
    action: async (command) => {
      const { authCheck: runCheck } = await import("./auth-check.ts");
      return runCheck({ flags: flagsOf(command), io: commands.io, ...command.opts<AuthCheckFlags>() });
    },
  });
  authCheck
    .requiredOption("--repository <NAME>", "which, as policies name it or with its registry")
    .option("--action <ACTION>", "to do what", "read")
    .option("--user <NAME>", "who; nobody in particular unless given")
    .option("--groups <GROUPS>", "groups of the user's own method, with commas; may be repeated", collect)
    .option("--reference <TAG>", "for conditions: the tag or digest that is asked for")
    .option("--client <ADDRESS>", "for conditions: where the request comes from")
    .option("--json", "print JSON");

  const authHash = commands.define(auth, {
    name: "hash",
    description: "Make a line of a password file, by bcrypt, from a password that is typed or comes by stdin.",
    examples: authHashExamples,
    action: async (command) => {
      const { authHash: runHash } = await import("./auth-hash.ts");
      return runHash({ io: commands.io, ...command.opts<{ user?: string }>() });
    },
  });
  authHash.option("--user <NAME>", "whose line; only the hash unless given");

  const authRevoke = commands.define(auth, {
    name: "revoke",
    description: "End what clients keep instead of passwords: our refresh tokens, and the sessions of browsers.",
    examples: authRevokeExamples,
    action: async (command) => {
      const { authRevoke: runRevoke } = await import("./auth-revoke.ts");
      return runRevoke({ flags: flagsOf(command), io: commands.io, ...command.opts<{ user?: string; all?: boolean }>() });
    },
  });
  authRevoke.option("--user <NAME>", "whose").option("--all", "everybody's");

  for (const does of ["login", "logout"] as const) {
    const what =
      does === "login"
        ? "Let docker, podman and their like in at a registry, with a browser's help: get an API key, and write it where they look."
        : "Take out what docker, podman and their like show to a registry, and end the key that it is.";
    const command = commands.define(program, {
      name: does,
      description: what,
      examples: does === "login" ? loginExamples : logoutExamples,
      action: async (defined) => {
        const server = defined.args[0];
        if (does === "logout") {
          const { logout } = await import("./logout.ts");
          return logout({ io: commands.io, server, ...defined.opts<LogoutFlags>() });
        }
        const { login } = await import("./login.ts");
        return login({ io: commands.io, server, ...defined.opts<LoginFlags>() });
      },
    });
    command.argument("[url]", "the registry: https://HOST[:PORT], or HOST[:PORT]");
    if (does === "login") {
      command
        .option("--user <NAME>", "who has to approve it; anybody's approval counts unless given")
        .option("--label <TEXT>", "what the key is called (default: login on, and the name of this machine)")
        .option("--expires <DURATION>", "how long the key is good: 12h, 90d (default 90d)");
      addSwitch(command, "--read-only", "a key that pulls, and does nothing else that you may do");
    }
    command
      .option("--auth-file <FILE>", "keep it there: docker's config.json, or podman's auth.json (default: both, where those look)")
      .option("--no-docker", "leave docker's file")
      .option("--no-podman", "leave podman's file")
      .option("--ca-file <PEM>", "trust this authority too");
    addSwitch(command, "--plain-http", "speak http to other machines than this one: everybody on the way gets the key");
  }

  const keys = commands.group(program, "apikey", "Keys that stand in for passwords: people's, and those of machines.");
  const keyCreate = commands.define(keys, {
    name: "create",
    description: "Make a key; it is printed this once.",
    examples: keyCreateExamples,
    action: async (command) => {
      const { apiKeyCreate } = await import("./apikey-create.ts");
      return apiKeyCreate({ flags: flagsOf(command), io: commands.io, ...command.opts<KeyCreateFlags>() });
    },
  });
  keyCreate
    .requiredOption("--user <NAME>", "in whose name it acts; of a machine, any that nobody has")
    .requiredOption("--label <TEXT>", "what it is for")
    .option("--expires <DURATION>", "how long it is good: 90d; until it is revoked unless given")
    .option("--repository <PATTERNS>", "only these repositories, as policies name them, with commas; may be repeated", collect)
    .option("--action <ACTIONS>", "only these actions, with commas; may be repeated", collect)
    .option("--json", "print JSON");
  const keyList = commands.define(keys, {
    name: "list",
    description: "Say what keys there are.",
    examples: keyListExamples,
    action: async (command) => {
      const { apiKeyList } = await import("./apikey-list.ts");
      return apiKeyList({ flags: flagsOf(command), io: commands.io, ...command.opts<{ user?: string; json?: boolean }>() });
    },
  });
  keyList.option("--user <NAME>", "whose; everybody's unless given").option("--json", "print JSON, a line for each key");
  const keyRevoke = commands.define(keys, {
    name: "revoke",
    description: "End a key; servers refuse it within two seconds.",
    examples: keyRevokeExamples,
    action: async (command) => {
      const { apiKeyRevoke } = await import("./apikey-revoke.ts");
      return apiKeyRevoke({ flags: flagsOf(command), io: commands.io, id: command.args[0], ...command.opts<{ user?: string }>() });
    },
  });
  keyRevoke.argument("[id]", "which, as the list says").option("--user <NAME>", "in place of an id: all of this user's");
}

const authCheckExamples = [
  "ociregistry auth check --config-file config.yaml --repository library/alpine --user alice --groups dev",
  "ociregistry auth check --config-file config.yaml --repository quay.io/team/app --action fetch --json",
];
const authHashExamples = ["ociregistry auth hash --user alice >> htpasswd", "pass show registry/alice | ociregistry auth hash --user alice"];
const authRevokeExamples = ["ociregistry auth revoke --user alice --config-file config.yaml", "ociregistry auth revoke --all --config-file config.yaml"];
const loginExamples = [
  "ociregistry login https://registry.example.com",
  "ociregistry login registry.example.com --label 'build farm' --expires 365d --read-only",
  "ociregistry login registry.example.com --user alice@example.com",
  "ociregistry login registry.example.com --ca-file company.pem --no-docker",
  "ociregistry login http://127.0.0.1:8080 --auth-file ./auth.json",
];
const logoutExamples = ["ociregistry logout https://registry.example.com", "ociregistry logout registry.example.com --auth-file ./auth.json"];
const keyCreateExamples = [
  "ociregistry apikey create --user ci --label 'build farm' --expires 90d --repository 'team/**' --action read --config-file config.yaml",
  "ociregistry apikey create --user alice --label laptop --config-file config.yaml | docker login -u alice --password-stdin registry.example.com",
];
const keyListExamples = ["ociregistry apikey list --config-file config.yaml", "ociregistry apikey list --user ci --json --config-file config.yaml | jq -r .id"];
const keyRevokeExamples = [
  "ociregistry apikey revoke 1f0c2a6e-52b3-9d9c-4f7e-0d6a51b1c7aa --config-file config.yaml",
  "ociregistry apikey revoke --user ci --config-file config.yaml",
];
