import {
  type ChangeInfo,
  ChangeKind,
  type Fingerprint,
  FingerprintAlgorithm,
  type RangeFingerprint,
} from "../../../gen/tercet/v1/item.js";
import { NOTHING, plus, type RangeSum, same, sumBytes, sumOf } from "./fingerprint.js";
import { ClientError, type State, stateOf, UNPROVED, type Version, versionOf } from "./replica.js";

/*
 * Step 1: reads the server's change info. `vectors/pages.json` has examples.
 */

const { FINGERPRINT_ALGORITHM_SHA256: SHA256 } = FingerprintAlgorithm;

/**
 * Fills in what changes leave out, and proves every inline content: by its own fingerprint, or all that came without one by
 * the fingerprint of the page. What is not proved comes without its content, and has the fingerprint UNPROVED.
 */
export function readChanges(changes: readonly ChangeInfo[], proof?: RangeFingerprint): State[] {
  let sum = NOTHING;
  let [revision, timeUs] = [0, 0];
  const covered = new Set<string>();
  const states = changes.map((info) => {
    const { id, size } = info;
    checkKnown(info);
    revision = info.revision || revision + 1;
    timeUs = info.modifyTimeUs || timeUs;
    const version = toVersion(id, info.content);
    const fingerprint = info.fingerprint?.value;
    if (version === undefined) return { ...stateOf(id, version, revision, timeUs), fingerprint, size };
    if (fingerprint !== undefined) return proved(stateOf(id, version, revision, timeUs), fingerprint);
    covered.add(id);
    sum = plus(sum, sumOf(version.fingerprint));
    return stateOf(id, version, revision, timeUs);
  });
  if (isSum(sum, proof)) return states;
  return states.map((state) => (covered.has(state.id) ? proved(state, UNPROVED) : state));
}

/** The state, if its content has this fingerprint; else without it, and UNPROVED. */
export function proved(state: State, told: Uint8Array | undefined): State {
  const isRight = state.version !== undefined && same(state.fingerprint, told);
  return isRight ? state : { ...state, fingerprint: UNPROVED, version: undefined };
}

/** A change that this client does not understand can't be taken, and so no checkpoint that covers it. */
function checkKnown({ id, kind, fingerprint, content }: ChangeInfo): void {
  if (kind === ChangeKind.CHANGE_KIND_DELETED) return;
  const isTold = content !== undefined || fingerprint !== undefined;
  const isKnown = fingerprint === undefined || (fingerprint.algorithm === SHA256 && fingerprint.value.length === 32);
  if (kind === ChangeKind.CHANGE_KIND_UPSERTED && isTold && isKnown) return;
  throw new ClientError("UNSUPPORTED", `the server told of ${JSON.stringify(id)} what this client does not know`);
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

/** The message for a fingerprint; unset for no item. */
export function toFingerprint(value: Uint8Array | undefined): Fingerprint | undefined {
  return value && { algorithm: SHA256, value: Buffer.from(value) };
}

/** Whether a message says the same as a sum. One that is not set says: no items. */
export function isSum(own: RangeSum, told: RangeFingerprint | undefined): boolean {
  if (told === undefined || told.count === 0) return own.count === 0;
  return told.algorithm === SHA256 && told.count === own.count && same(told.sum, sumBytes(own));
}
