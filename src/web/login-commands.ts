/** How clients are told a key: each waits for it, so that it stands in no list of processes and in no shell's history. */
import type { ClientCommand } from "./commands.ts";
import { serverOf } from "./pull-commands.ts";

/** `origin`: how people reach this server. By http every client but docker has to be told. */
export function loginCommands(user: string, origin: string): readonly ClientCommand[] {
  const plain = origin.startsWith("http://") ? "--tls-verify=false " : "";
  const rest = `--username ${shellWord(user)} --password-stdin ${serverOf(origin)}`;
  return [
    { client: "docker", text: `docker login ${rest}` },
    { client: "podman", text: `podman login ${plain}${rest}` },
    { client: "skopeo", text: `skopeo login ${plain}${rest}` },
  ];
}

/** As a shell reads it: one word, and nothing but a word. */
function shellWord(text: string): string {
  return /^[\w.@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
