import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { ChangePage } from "../../gen/tercet/v1/sync.js";
import { encodedPage } from "../protocol/encode-changes.js";

/** Tag of ExchangeResponse.page. */
const PAGE = 18;

/** The ExchangeResponse of a page whose changes are encoded already, as it is on the wire; undefined where they are not. */
export function encodePage(page: ChangePage): Buffer | undefined {
  const parts = encodedPage(page);
  if (parts === undefined) return undefined;
  const [changes, rest] = parts;
  const header = new BinaryWriter()
    .uint32(PAGE)
    .uint32(changes.length + rest.length)
    .finish();
  return Buffer.concat([header, changes, rest]);
}
