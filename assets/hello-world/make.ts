/**
 * Makes the image that lies beside this file: `node assets/hello-world/make.ts`. An OCI image layout with one program of a few
 * instructions for each platform, written by hand so that there is nothing to compile; the same input gives the same bytes.
 */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";

const greeting = `
Hello from ociregistry!

You have just pulled and run an image that came out of the registry's own package:
  1. your client asked for docker.io/library/hello-world:latest;
  2. ociregistry answered with an index, a manifest, a config and one layer;
  3. your runtime unpacked the layer and started the program that prints this.

Nothing was asked of the network. Any other name is pulled through, and kept:
  podman pull localhost:8080/docker.io/library/alpine
  podman pull localhost:8080/quay.io/podman/hello

`;

const platforms = [
  { architecture: "amd64", machine: 62, code: amd64Code },
  { architecture: "arm64", machine: 183, code: arm64Code },
] as const;

const headersBytes = 64 + 56;
const loadAddress = 0x400000n;
const folder = import.meta.dirname;

make();

function make(): void {
  rmSync(join(folder, "blobs"), { recursive: true, force: true });
  mkdirSync(join(folder, "blobs", "sha256"), { recursive: true });
  const manifests = platforms.map((platform) => ({ ...image(platform), platform: { architecture: platform.architecture, os: "linux" } }));
  const index = put("application/vnd.oci.image.index.v1+json", json({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests }));
  const annotations = { "org.opencontainers.image.ref.name": "latest" };
  writeFileSync(join(folder, "index.json"), json({ schemaVersion: 2, manifests: [{ ...index, annotations }] }));
  writeFileSync(join(folder, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function image({ architecture, machine, code }: (typeof platforms)[number]): Descriptor {
  const tar = tarOf("hello", program(machine, code));
  const layer = put("application/vnd.oci.image.layer.v1.tar+gzip", gzipOf(tar));
  const created = "2026-01-01T00:00:00Z";
  const config = put(
    "application/vnd.oci.image.config.v1+json",
    json({
      created,
      architecture,
      os: "linux",
      config: { Cmd: ["/hello"], WorkingDir: "/" },
      rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
      history: [{ created, created_by: "assets/hello-world/make.ts" }],
    }),
  );
  return put(
    "application/vnd.oci.image.manifest.v1+json",
    json({ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config, layers: [layer] }),
  );
}

/** A static ELF executable: headers, code, text, all in one segment. */
function program(machine: number, code: (textAt: number, textBytes: number) => Buffer): Buffer {
  const text = Buffer.from(greeting);
  const codeBytes = code(0, text.length).length;
  const sizeBytes = BigInt(headersBytes + codeBytes + text.length);
  const header = Buffer.alloc(64);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]).copy(header); // 64 bits, little endian, System V
  header.writeUInt16LE(2, 16); // executable
  header.writeUInt16LE(machine, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(loadAddress + BigInt(headersBytes), 24); // entry
  header.writeBigUInt64LE(64n, 32); // program headers
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  const segment = Buffer.alloc(56);
  segment.writeUInt32LE(1, 0); // load
  segment.writeUInt32LE(5, 4); // readable, executable
  segment.writeBigUInt64LE(loadAddress, 16);
  segment.writeBigUInt64LE(loadAddress, 24);
  segment.writeBigUInt64LE(sizeBytes, 32);
  segment.writeBigUInt64LE(sizeBytes, 40);
  segment.writeBigUInt64LE(0x10000n, 48); // pages of 64 KiB at most
  return Buffer.concat([header, segment, code(codeBytes, text.length), text]);
}

/** write(1, text, length); exit(0). The text lies `textAt` bytes after the first instruction. */
function amd64Code(textAt: number, textBytes: number): Buffer {
  const afterLea = 17;
  return Buffer.concat([
    Buffer.from([0xb8, ...u32(1)]), // mov eax, 1
    Buffer.from([0xbf, ...u32(1)]), // mov edi, 1
    Buffer.from([0x48, 0x8d, 0x35, ...u32(textAt === 0 ? 0 : textAt - afterLea)]), // lea rsi, [rip + ...]
    Buffer.from([0xba, ...u32(textBytes)]), // mov edx, length
    Buffer.from([0x0f, 0x05]), // syscall
    Buffer.from([0xb8, ...u32(60)]), // mov eax, 60
    Buffer.from([0x31, 0xff]), // xor edi, edi
    Buffer.from([0x0f, 0x05]), // syscall
  ]);
}

/** As above. */
function arm64Code(textAt: number, textBytes: number): Buffer {
  const distance = textAt === 0 ? 0 : textAt - 4;
  const adr = (0x10000001 | ((distance & 3) << 29) | ((distance >> 2) << 5)) >>> 0;
  return Buffer.from(
    [
      0xd2800020, // mov x0, 1
      adr, // adr x1, text
      (0xd2800002 | (textBytes << 5)) >>> 0, // mov x2, length
      0xd2800808, // mov x8, 64
      0xd4000001, // svc 0
      0xd2800000, // mov x0, 0
      0xd2800ba8, // mov x8, 93
      0xd4000001, // svc 0
    ].flatMap(u32),
  );
}

/** A ustar archive with one executable file. POSIX.1-1988 "ustar Interchange Format". */
function tarOf(name: string, bytes: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000755\0" + "0000000\0" + "0000000\0", 100);
  header.write(`${bytes.length.toString(8).padStart(11, "0")}\0` + "00000000000\0" + "        " + "0", 124);
  header.write("ustar\0" + "00", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512), Buffer.alloc(1024)]);
}

/** Stored, not squeezed: so that no version of zlib changes the bytes. */
function gzipOf(bytes: Buffer): Buffer {
  const zipped = gzipSync(bytes, { level: constants.Z_NO_COMPRESSION });
  zipped[9] = 0xff; // made on any system
  return zipped;
}

function put(mediaType: string, bytes: Buffer): Descriptor {
  const digest = digestOf(bytes);
  writeFileSync(join(folder, "blobs", "sha256", digest.slice("sha256:".length)), bytes);
  return { mediaType, digest, size: bytes.length };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function u32(value: number): number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return [...bytes];
}
