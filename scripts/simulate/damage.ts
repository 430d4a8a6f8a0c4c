import type { ChangeInfo, ItemContent } from "../../gen/tercet/v1/item.js";
import type { ExchangeRequest, ExchangeResponse, Push } from "../../gen/tercet/v1/sync.js";

/** What carries a content in a message. */
type Carrier = ChangeInfo | ItemContent | Push;

/** Whether a message has a content that can be damaged. */
export function isDamageable(message: ExchangeRequest | ExchangeResponse): boolean {
  return carriersOf(message).length > 0;
}

/** The message with one of its contents damaged. It was decoded for this delivery alone, so it is changed in place. */
export function damaged<T extends ExchangeRequest | ExchangeResponse>(message: T): T {
  const carrier = carriersOf(message)[0];
  // What a batch has of its pushes beside them would stay undamaged.
  if (message.message?.$case === "push") message.message.value = { ...message.message.value };
  if (carrier?.content?.$case === "text") carrier.content = { $case: "text", value: `${carrier.content.value}!` };
  return message;
}

/** All that carry a text in a message. */
export function carriersOf({ message }: ExchangeRequest | ExchangeResponse): readonly Carrier[] {
  const carriers: readonly Carrier[] =
    message?.$case === "push"
      ? message.value.pushes
      : message?.$case === "page"
        ? message.value.changes
        : message?.$case === "contents"
          ? message.value.items
          : [];
  return carriers.filter(({ content }) => content?.$case === "text");
}
