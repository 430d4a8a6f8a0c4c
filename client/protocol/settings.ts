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

/** What was kept; undefined where nothing was. */
export function decodeSettings(bytes: Uint8Array): Settings | undefined {
  return bytes.length === 0 ? undefined : Opened.decode(bytes);
}
