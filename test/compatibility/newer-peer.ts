import { readFileSync } from "node:fs";
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  type Message,
  toBinary,
  type UnknownField,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const descriptors = readFileSync(new URL("../../gen/descriptor.binpb", import.meta.url));
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));

/** Numbers that no message of v1 has; the first has a tag of two bytes, as those next to the fields of today will. */
const NUMBERS = [120, 15_000, 15_001, 15_002, 536_870_911] as const;

/** One field of each wire type, as fields of a later version may be: numbers, a time, bytes that are no text, a group. */
function unknownFields(): UnknownField[] {
  const [varint, fixed64, bytes, group, fixed32] = NUMBERS;
  const inGroup = new BinaryWriter().tag(1, WireType.Varint).int32(7).tag(group, WireType.EndGroup).finish();
  return [
    { no: varint, wireType: WireType.Varint, data: new BinaryWriter().uint64("18446744073709551615").finish() },
    { no: fixed64, wireType: WireType.Bit64, data: new Uint8Array(8).fill(0xff) },
    { no: bytes, wireType: WireType.LengthDelimited, data: Uint8Array.of(3, 0xff, 0x00, 0xc3) },
    { no: group, wireType: WireType.StartGroup, data: inGroup },
    { no: fixed32, wireType: WireType.Bit32, data: new Uint8Array(4) },
  ];
}

function messageType(name: string): DescMessage {
  const found = registry.getMessage(name.includes(".") ? name : `tercet.v1.${name}`);
  if (found === undefined) throw new Error(`there is no message ${name}`);
  return found;
}

/** A message of the contract as a peer of a later version might send it: with unknown fields in every message of it. */
export function withUnknownFields(type: string, bytes: Uint8Array): Uint8Array {
  const schema = messageType(type);
  const message = fromBinary(schema, bytes);
  enrich(reflect(schema, message));
  // And one before all others.
  const first = new BinaryWriter().tag(NUMBERS[0], WireType.Varint).int32(1).finish();
  return Buffer.concat([first, toBinary(schema, message)]);
}

function enrich(reflected: ReflectMessage): void {
  for (const field of reflected.fields) {
    if (!reflected.isSet(field)) continue;
    if (field.fieldKind === "message") enrich(reflected.get(field));
    if (field.fieldKind === "list" && field.listKind === "message") {
      for (const each of reflected.get(field)) enrich(each as ReflectMessage);
    }
  }
  const message: Message = reflected.message;
  message.$unknown = unknownFields();
}

/** Message types of a method's request and response; `path` is "/package.Service/Method". */
export function requestType(path: string): string {
  const [service = "", name] = path.split("/").slice(1);
  const method = registry.getService(service)?.methods.find((each) => each.name === name);
  if (method === undefined) throw new Error(`there is no method ${path}`);
  return method.input.typeName;
}
