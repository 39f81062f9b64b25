/** The thread that reads the store for people who look at pages. Whoever pulls meanwhile goes first. Started by `StoredBrowsing`. */
import { parentPort } from "node:worker_threads";
import type { ImageView, ListFound, ManifestView, TagView } from "../oci/browsing.ts";
import type { Reference } from "../oci/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { stepBack } from "../oci/step-back.ts";
import { readImageView } from "./image-view.ts";
import { Layout } from "./layout.ts";
import { RepositoryLists, type ThreadListQuery } from "./repository-lists.ts";
import { surveyRepositories, type SurveyedRepository } from "./repository-survey.ts";
import { StoreReader } from "./store-reader.ts";
import type { ThreadFailure } from "./store-thread.ts";

interface RepositoryOrder {
  readonly root: string;
  readonly repository: Repository;
  readonly nowMs: number;
}

/** Each is answered by one report of the same kind. A survey goes on with each "survey" until it is at its end; a number that is new begins one. */
export type BrowsingOrder =
  | { readonly kind: "survey"; readonly root: string; readonly survey: number }
  | (RepositoryOrder &
      (
        | { readonly kind: "tags"; readonly query: ThreadListQuery }
        | { readonly kind: "manifests"; readonly query: ThreadListQuery }
        | { readonly kind: "image"; readonly reference: Reference }
      ));

export type BrowsingReport =
  | { readonly kind: "survey"; readonly repositories: readonly SurveyedRepository[]; readonly isEnd: boolean }
  | { readonly kind: "tags"; readonly found: ListFound<TagView> | undefined }
  | { readonly kind: "manifests"; readonly found: ListFound<ManifestView> | undefined }
  | { readonly kind: "image"; readonly image: ImageView | undefined };

/** A report comes after so long at the latest: who looks at a page does not wait for a survey. */
const reportAfterMs = 25;

/** There is one at a time. */
let current: { readonly survey: number; readonly repositories: Generator<SurveyedRepository | undefined> } | undefined;

stepBack();

parentPort?.on("message", (order: BrowsingOrder) => parentPort?.postMessage(follow(order)));

function follow(order: BrowsingOrder): BrowsingReport | ThreadFailure {
  const layout = new Layout(order.root);
  const reader = new StoreReader({ isStrict: false });
  try {
    switch (order.kind) {
      case "survey":
        if (current?.survey !== order.survey) current = { survey: order.survey, repositories: surveyRepositories(layout, reader) };
        return goOn(current.repositories);
      case "tags":
        return { kind: "tags", found: new RepositoryLists({ layout, reader, ...order }).tags(order.query) };
      case "manifests":
        return { kind: "manifests", found: new RepositoryLists({ layout, reader, ...order }).manifests(order.query) };
      case "image":
        return { kind: "image", image: readImageView({ layout, reader, ...order }, order.reference) };
      default:
        return order satisfies never;
    }
  } catch (error) {
    const { message, code, syscall } = error as NodeJS.ErrnoException; // Nothing but errors is thrown here.
    return { kind: "failure", message, code, syscall };
  }
}

function goOn(survey: Generator<SurveyedRepository | undefined>): BrowsingReport {
  const repositories: SurveyedRepository[] = [];
  const startMs = performance.now();
  while (performance.now() - startMs < reportAfterMs) {
    const step = survey.next();
    if (step.done === true) {
      current = undefined;
      return { kind: "survey", repositories, isEnd: true };
    }
    if (step.value) repositories.push(step.value);
  }
  return { kind: "survey", repositories, isEnd: false };
}
