/** How an image is pulled through this server, for each client that people use. */
import type { Reference } from "../oci/reference.ts";
import { referenceName } from "../oci/reference.ts";
import { repositoryName, type Repository } from "../oci/repository.ts";
import type { ClientCommand } from "./commands.ts";

export interface PulledThing {
  readonly repository: Repository;
  readonly reference: Reference;
}

/** `origin`: how people reach this server, `https://registry.example.com`. By http every client but docker has to be told. */
export function pullCommands({ repository, reference }: PulledThing, origin: string): readonly ClientCommand[] {
  const isPlain = origin.startsWith("http://");
  const name = `${serverOf(origin)}/${repositoryName(repository)}${reference.kind === "tag" ? ":" : "@"}${referenceName(reference)}`;
  return [
    { client: "docker", text: `docker pull ${name}` },
    { client: "podman", text: `podman pull ${isPlain ? "--tls-verify=false " : ""}${name}` },
    { client: "containerd", text: `ctr images pull ${isPlain ? "--plain-http " : ""}${name}` },
    { client: "crane", text: `crane pull ${isPlain ? "--insecure " : ""}${name} image.tar` },
    { client: "Kubernetes", text: `image: ${name}` },
  ];
}

/** `registry.example.com:8080`, as it stands in an image's name. */
export function serverOf(origin: string): string {
  return URL.parse(origin)?.host ?? "localhost";
}
