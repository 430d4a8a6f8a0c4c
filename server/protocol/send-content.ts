import { type Content, contentBytes, toContentField } from "../../core/content.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { toFingerprint } from "../../core/fingerprint.js";
import { checkId } from "../../core/id.js";
import { toChangeInfo } from "../../core/page.js";
import type { ChangeInfo, ItemContent } from "../../gen/tercet/v1/item.js";
import { Capability, type ContentRefused, type Contents, type ContentWanted } from "../../gen/tercet/v1/sync.js";
import type { ItemsRead, StoredChange } from "../store/item-reads.js";
import { type Conversation, deletedFault } from "./conversation.js";
import type { ChangeFeed } from "./send-change-info.js";
import { sendChunks } from "./send-chunks.js";

/** Most items of one message of contents: with ids as long as can be it stays far under 4 MiB. */
const MAX_READ_ITEMS = 2048;

/** Step 3 towards the client: sends the contents that it asks for, in as many messages as it takes. */
export function sendContents(
  conversation: Conversation,
  wanted: readonly ContentWanted[],
  feed: Pick<ChangeFeed, "witness" | "passed">,
): void {
  const fault = checkWanted(wanted);
  if (fault !== undefined) return conversation.close(fault);
  readOn(conversation, wanted, feed);
}

function readOn(
  conversation: Conversation,
  wanted: readonly ContentWanted[],
  feed: Pick<ChangeFeed, "witness" | "passed">,
): void {
  if (wanted.length === 0) return;
  const { uid, limits, capabilities } = conversation;
  const ids = wanted.slice(0, MAX_READ_ITEMS).map((each) => each.id);
  conversation.ask({ kind: "read-items", query: { uid, ids, maxBytes: limits.messageBytes } }, (result) => {
    if (result.kind !== "read-items") return;
    if (result.read === undefined) return conversation.close(deletedFault(conversation.name));
    const { items, revision, lineage } = result.read;
    const inChunks = capabilities.includes(Capability.CAPABILITY_CHUNKS);
    const large = inChunks ? items.findIndex(isLarge) : -1;
    const done = large < 0 ? items.length : large;
    conversation.unanswered.items -= done;
    conversation.lineage = lineage;
    const item = items[large];
    // Chunks say of no revision that it was told: what is sent before the feed comes to it needs a witness.
    if (done > 0 || (item !== undefined && !feed.passed(item))) {
      const contents = toContents(wanted.slice(0, done), result.read);
      conversation.send({ $case: "contents", value: { ...contents, witness: feed.witness(revision) } });
    }
    if (item === undefined) return readOn(conversation, wanted.slice(done), feed);
    sendChunks(conversation, item, wanted[large] as ContentWanted, {
      sent() {
        conversation.unanswered.items -= 1;
        readOn(conversation, wanted.slice(large + 1), feed);
      },
      changed: () => readOn(conversation, wanted.slice(large), feed),
    });
  });
}

/** An item whose content no message holds: the store does not give it whole. */
function isLarge(item: StoredChange | undefined): boolean {
  return item?.fingerprint !== undefined && item.content === undefined;
}

/** Without chunks, large contents are refused. */
function toContents(wanted: readonly ContentWanted[], read: ItemsRead): Omit<Contents, "witness"> {
  const items: ItemContent[] = [];
  const deleted: ChangeInfo[] = [];
  const refused: ContentRefused[] = [];
  wanted.forEach((want, index) => {
    const item = read.items[index];
    if (item?.content !== undefined) items.push(toPart(item, item.content, want));
    else if (item !== undefined && isLarge(item)) refused.push(tooLarge(item));
    else deleted.push(toChangeInfo(item ?? absent(want.id, read.revision)));
  });
  return { items, deleted, refused };
}

function tooLarge({ id, size }: StoredChange): ContentRefused {
  const message = `the content has ${size} bytes and comes in chunks only, which this client does not take`;
  return { id, reason: ErrorReason.ERROR_REASON_ITEM_TOO_LARGE, message };
}

function checkWanted(wanted: readonly ContentWanted[]): Fault | undefined {
  const ids = new Set<string>();
  for (const [index, want] of wanted.entries()) {
    const field = `fetch.items[${index}]`;
    const fault = checkId(want.id, `${field}.id`) ?? checkOffset(want, `${field}.offset`);
    if (fault !== undefined) return fault;
    if (ids.size === ids.add(want.id).size) {
      const description = `"${want.id}" stands twice in this request`;
      return fieldFault(ErrorReason.ERROR_REASON_DUPLICATE_ID, `${field}.id`, description);
    }
  }
  return undefined;
}

function checkOffset(want: ContentWanted, field: string): Fault | undefined {
  if (want.offset >= 0) return undefined;
  return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, "must not be negative");
}

function toPart(item: StoredChange, content: Content, want: ContentWanted): ItemContent {
  const offset = want.revision === item.revision ? Math.min(want.offset, item.size) : 0;
  const whole = toItemContent(item);
  return offset === 0 ? whole : { ...whole, offset, content: toContentField(contentBytes(content).subarray(offset)) };
}

/** An item as a message, with its content where it was read. */
export function toItemContent(item: StoredChange): ItemContent {
  return {
    id: item.id,
    fingerprint: item.fingerprint === undefined ? undefined : toFingerprint(item.fingerprint),
    revision: item.revision,
    modifyTimeUs: item.modifyTimeUs,
    size: item.size,
    offset: 0,
    content: item.content === undefined ? undefined : toContentField(item.content),
  };
}

/** The state of an item that the server knows nothing of: deleted, as of now. */
function absent(id: string, revision: number): StoredChange {
  return { id, revision, fingerprint: undefined, size: 0, modifyTimeUs: 0, group: 0, content: undefined };
}
