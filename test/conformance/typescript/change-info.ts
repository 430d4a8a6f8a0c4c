import { ErrorReason } from "../../../gen/tercet/v1/error.js";
import {
  type ChangeInfo,
  ChangeKind,
  type Fingerprint,
  FingerprintAlgorithm,
  type RangeFingerprint,
} from "../../../gen/tercet/v1/item.js";
import { NOTHING, plus, type RangeSum, same, sumBytes } from "./fingerprint.js";
import { ClientError, type State, type Version, versionOf } from "./replica.js";

/*
 * Step 1: reads the server's change info. `vectors/pages.json` has examples.
 */

/** What a reader makes of changes. */
export interface ChangesRead {
  /** Those that agree with what proves them. */
  readonly good: readonly State[];
  /** Those whose contents don't: they are fetched once more before anything is stored. */
  readonly doubtful: readonly State[];
}

/**
 * Fills in what changes leave out, and proves every inline content: by its own fingerprint, or all that came without one by
 * the fingerprint of the page.
 */
export function readChanges(changes: readonly ChangeInfo[], proof: RangeFingerprint | undefined): ChangesRead {
  const good: State[] = [];
  const covered: State[] = [];
  const doubtful: State[] = [];
  let sum = NOTHING;
  let revision = 0;
  let timeUs = 0;
  for (const info of changes) {
    revision = info.revision === 0 ? revision + 1 : info.revision;
    timeUs = info.modifyTimeUs === 0 ? timeUs : info.modifyTimeUs;
    checkKnown(info);
    const version = toVersion(info.id, info.content);
    const fingerprint = info.fingerprint?.value ?? version?.fingerprint;
    const state = { id: info.id, fingerprint, revision, timeUs, size: version?.bytes.length ?? info.size, version };
    if (version === undefined) good.push(state);
    else if (info.fingerprint === undefined) {
      covered.push(state);
      sum = plus(sum, fingerprint);
    } else (same(version.fingerprint, info.fingerprint.value) ? good : doubtful).push(state);
  }
  return isSum(sum, proof) ? { good: [...good, ...covered], doubtful } : { good, doubtful: [...doubtful, ...covered] };
}

/** A change that this client does not understand can't be taken, and so no checkpoint that covers it. */
function checkKnown({ id, kind, fingerprint, content }: ChangeInfo): void {
  if (kind === ChangeKind.CHANGE_KIND_DELETED) return;
  const told = content !== undefined || fingerprint !== undefined;
  const known =
    fingerprint === undefined || fingerprint.algorithm === FingerprintAlgorithm.FINGERPRINT_ALGORITHM_SHA256;
  if (kind === ChangeKind.CHANGE_KIND_UPSERTED && told && known) return;
  const message = `the server told of ${JSON.stringify(id)} what this client does not know`;
  throw new ClientError(ErrorReason.ERROR_REASON_UNSUPPORTED, message);
}

/** The content of a message; undefined where it has none. */
export function toVersion(id: string, content: ChangeInfo["content"]): Version | undefined {
  if (content === undefined) return undefined;
  return versionOf(id, Buffer.from(content.value as string), content.$case === "text");
}

/** The content for a message. */
export function fromVersion({ bytes, text }: Version): NonNullable<ChangeInfo["content"]> {
  if (text) return { $case: "text", value: Buffer.from(bytes).toString() };
  return { $case: "data", value: Buffer.from(bytes) };
}

/** The message for a fingerprint. */
export function toFingerprint(value: Uint8Array): Fingerprint {
  return { algorithm: FingerprintAlgorithm.FINGERPRINT_ALGORITHM_SHA256, value: Buffer.from(value) };
}

/** Whether a message says the same as a sum. One that is not set says: no items. */
export function isSum(own: RangeSum, told: RangeFingerprint | undefined): boolean {
  if (told === undefined || told.count === 0) return own.count === 0;
  const known = told.algorithm === FingerprintAlgorithm.FINGERPRINT_ALGORITHM_SHA256;
  return known && told.count === own.count && same(told.sum, sumBytes(own));
}
