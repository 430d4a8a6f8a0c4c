import { DEFAULT_LIMITS } from "../../core/limits.js";
import { Opened } from "../../gen/tercet/v1/sync.js";

/**
 * What a replica keeps of the server's first message, so that it need not hear it again (Open.known_tag). The uid and the
 * lineage, which come with it, are kept by themselves.
 */
export type Settings = Pick<Opened, "limits" | "capabilities" | "skewUs" | "tag">;

/** The bytes that are kept: an Opened of which nothing else is set. */
export function encodeSettings({ limits = DEFAULT_LIMITS, capabilities, skewUs, tag }: Settings): Buffer {
  return Buffer.from(Opened.encode(Opened.create({ limits, capabilities, skewUs, tag })).finish());
}

/** What was decoded last of the same bytes, which a replica hands out until it keeps others: every local write looks. */
const decoded = new WeakMap<Uint8Array, Settings>();

/** What was kept, not to be changed; undefined where nothing was. */
export function decodeSettings(bytes: Uint8Array): Settings | undefined {
  if (bytes.length === 0) return undefined;
  const settings = decoded.get(bytes) ?? Opened.decode(bytes);
  decoded.set(bytes, settings);
  return settings;
}
