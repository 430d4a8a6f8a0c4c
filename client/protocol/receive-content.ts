import { contentSize, fromContentField } from "../../core/content.js";
import { checkFingerprint, fingerprintOf, sameFingerprint } from "../../core/fingerprint.js";
import type { Change } from "../../core/page.js";
import type { Contents } from "../../gen/tercet/v1/sync.js";

/** What came of an answer to a Fetch. */
export interface ContentsRead {
  /** Contents and deletions, each proved by its fingerprint. */
  readonly changes: readonly Change[];
  /** Ids whose content is not what its fingerprint says. */
  readonly wrong: readonly string[];
}

/** Checks contents against their fingerprints (R4). */
export function readContents(contents: Contents): ContentsRead {
  const changes: Change[] = [];
  const wrong: string[] = [];
  for (const item of contents.items) {
    const content = fromContentField(item.content);
    const claimed =
      checkFingerprint(item.fingerprint, "fingerprint") === undefined ? item.fingerprint?.value : undefined;
    const fingerprint = content === undefined ? undefined : fingerprintOf(item.id, content);
    if (content === undefined || fingerprint === undefined || !sameFingerprint(claimed, fingerprint)) {
      wrong.push(item.id);
      continue;
    }
    const { id, revision, modifyTimeUs } = item;
    changes.push({ id, revision, modifyTimeUs, group: 0, fingerprint, size: contentSize(content), content });
  }
  for (const { id, revision, modifyTimeUs } of contents.deleted) {
    changes.push({ id, revision, modifyTimeUs, group: 0, fingerprint: undefined, size: 0, content: undefined });
  }
  return { changes, wrong };
}
