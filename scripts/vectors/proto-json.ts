import { readFileSync } from "node:fs";
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expanded, type Json } from "./json-text.js";

/*
 * Protobuf JSON by another implementation of protobuf than the product's own, from the descriptors: so that the vectors
 * say what the contract says, and not what the generated code makes of it.
 */

const descriptors = readFileSync(new URL("../../gen/descriptor.binpb", import.meta.url));
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));

/** A message type of the contract by its full name, or by its name in tercet.v1. */
function typeOf(name: string): DescMessage {
  const full = name.includes(".") ? name : `tercet.v1.${name}`;
  const found = registry.getMessage(full);
  if (found === undefined) throw new Error(`there is no message ${full}`);
  return found;
}

/** An encoded message as protobuf JSON. */
export function protoToJson(name: string, bytes: Uint8Array): Json {
  const type = typeOf(name);
  return toJson(type, fromBinary(type, bytes)) as Json;
}

/** Protobuf JSON as an encoded message. Every `$repeat` is written out; unknown fields are an error. */
export function protoFromJson(name: string, json: Json): Uint8Array {
  const type = typeOf(name);
  return toBinary(type, fromJson(type, expanded(json) as JsonValue));
}

/** Message types of a method's request and response; `path` is "/package.Service/Method". */
export function methodOf(path: string): { readonly request: string; readonly response: string } {
  const [service = "", name] = path.split("/").slice(1);
  const method = registry.getService(service)?.methods.find((each) => each.name === name);
  if (method === undefined) throw new Error(`there is no method ${path}`);
  return { request: method.input.typeName, response: method.output.typeName };
}
