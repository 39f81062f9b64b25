/**
 * The thread that walks through the store: it is given one order at a time, and answers each once. Whoever serves meanwhile is not kept
 * by a disk that is slow, nor by what there is to parse. Started by `HeldImages`.
 */
import { parentPort } from "node:worker_threads";
import type { Digest } from "../oci/digest.ts";
import type { RegistryHost, Repository } from "../oci/repository.ts";
import { stepBack } from "../oci/step-back.ts";
import type { HeldImage, ImageContents } from "./held-image.ts";
import { readContents } from "./image-contents.ts";
import { Layout } from "./layout.ts";
import { walkRepositories } from "./repository-folders.ts";
import { RepositoryImages } from "./repository-images.ts";
import { StoreReader, type UnreadPath } from "./store-reader.ts";
import type { ThreadFailure } from "./store-thread.ts";

export interface WalkOrder {
  readonly kind: "walk";
  /** Its number, by which it is gone on with. */
  readonly walk: number;
  readonly root: string;
  readonly registry: RegistryHost | undefined;
  readonly repository: Repository | undefined;
  readonly isStrict: boolean;
  readonly nowMs: number;
}

export interface ContentsOrder {
  readonly kind: "contents";
  readonly root: string;
  readonly repository: Repository;
  readonly digest: Digest;
  readonly isStrict: boolean;
}

/** Each is answered by one report, but "end", which is answered by none. */
export type HoldingsOrder = WalkOrder | ContentsOrder | { readonly kind: "next"; readonly walk: number } | { readonly kind: "end"; readonly walk: number };

export type HoldingsReport =
  | { readonly kind: "images"; readonly images: readonly HeldImage[]; readonly unread: readonly UnreadPath[]; readonly isEnd: boolean }
  | { readonly kind: "contents"; readonly contents: ImageContents }
  | { readonly kind: "done" };

/** Images in one report: few, so that the first are out at once and none waits long for another order. */
const imagesMax = 64;
const reportAfterMs = 50;

/** What could not be read is told of so often in a walk. */
const unreadMax = 1_000;

const walks = new Map<number, Walk>();

stepBack();

parentPort?.on("message", (order: HoldingsOrder) => {
  if (order.kind === "end") walks.delete(order.walk);
  else parentPort?.postMessage(follow(order));
});

function follow(order: Exclude<HoldingsOrder, { kind: "end" }>): HoldingsReport | ThreadFailure {
  try {
    switch (order.kind) {
      case "walk":
        walks.set(order.walk, startWalk(order));
        return { kind: "done" };
      case "next":
        return next(order.walk);
      case "contents": {
        const { root, repository, digest, isStrict } = order;
        return { kind: "contents", contents: readContents({ layout: new Layout(root), reader: new StoreReader({ isStrict }), repository, digest }) };
      }
      default:
        return order satisfies never;
    }
  } catch (error) {
    const { message, code, syscall } = error as NodeJS.ErrnoException; // Nothing but errors is thrown here.
    return { kind: "failure", message, code, syscall };
  }
}

interface Walk {
  readonly images: Generator<HeldImage>;
  /** What has not been told yet. */
  readonly takeUnread: () => readonly UnreadPath[];
}

function startWalk(order: WalkOrder): Walk {
  const unread: UnreadPath[] = [];
  const known = new Set<string>();
  const onUnread = (one: UnreadPath): void => {
    if (known.has(one.path) || known.size >= unreadMax) return;
    known.add(one.path);
    unread.push(one);
  };
  return { images: walkAll(order, new StoreReader({ isStrict: order.isStrict, onUnread })), takeUnread: () => unread.splice(0) };
}

function* walkAll({ root, registry, repository: only, nowMs }: WalkOrder, reader: StoreReader): Generator<HeldImage> {
  const layout = new Layout(root);
  for (const repository of only ? [only] : walkRepositories(layout, reader, registry))
    yield* new RepositoryImages({ layout, reader, repository, nowMs }).walk();
}

function next(walk: number): HoldingsReport {
  const images: HeldImage[] = [];
  const startMs = performance.now();
  const left = walks.get(walk);
  if (!left) throw new Error("the walk was given up");
  while (images.length < imagesMax && performance.now() - startMs < reportAfterMs) {
    const step = left.images.next();
    if (step.done === true) {
      walks.delete(walk);
      return { kind: "images", images, unread: left.takeUnread(), isEnd: true };
    }
    images.push(step.value);
  }
  return { kind: "images", images, unread: left.takeUnread(), isEnd: false };
}
