import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { type DescriptorProto, type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** A file of the contract, as it was compiled. */
export interface DescriptorFile {
  readonly name: string;
  readonly dependencies: readonly string[];
  /** The FileDescriptorProto as bytes, untouched. */
  readonly bytes: Uint8Array;
}

/** The files of the contract by name, and by the symbols that they define. */
export interface Descriptors {
  /** The file and all that it depends on, each before what it depends on itself. Undefined where there is no such file. */
  withDependencies(name: string): readonly DescriptorFile[] | undefined;
  /** Name of the file that defines a message, field, oneof, enum, enum value, service or method, by its full name. */
  fileOf(symbol: string): string | undefined;
  /** Whether this is the full name of a message. */
  isMessage(symbol: string): boolean;
}

/** The descriptor set that is generated and published next to the stubs. */
export function loadDescriptors(): Descriptors {
  return createDescriptors(readFileSync(new URL("../../gen/descriptor.binpb", import.meta.url)));
}

/** The descriptors in the bytes of a google.protobuf.FileDescriptorSet. */
export function createDescriptors(set: Uint8Array): Descriptors {
  const files = new Map<string, DescriptorFile>();
  const symbols = new Map<string, string>();
  const messages = new Set<string>();

  for (const bytes of readFiles(set)) {
    const proto = fromBinary(FileDescriptorProtoSchema, bytes);
    files.set(proto.name, { name: proto.name, dependencies: proto.dependency, bytes });
    for (const { name, isMessage } of symbolsOf(proto)) {
      symbols.set(name, proto.name);
      if (isMessage) messages.add(name);
    }
  }

  /** Adds a file behind what it depends on. Files do not depend on each other in a circle. */
  function collect(name: string, found: Map<string, DescriptorFile>): void {
    const file = files.get(name);
    if (file === undefined || found.has(name)) return;
    for (const dependency of file.dependencies) collect(dependency, found);
    found.set(name, file);
  }

  return {
    withDependencies(name) {
      const found = new Map<string, DescriptorFile>();
      collect(name, found);
      return found.size === 0 ? undefined : [...found.values()].reverse();
    },
    fileOf: (symbol) => symbols.get(symbol),
    isMessage: (symbol) => messages.has(symbol),
  };
}

/** FileDescriptorSet has one field: `repeated FileDescriptorProto file = 1`. */
function* readFiles(set: Uint8Array): Generator<Uint8Array> {
  const reader = new BinaryReader(set);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) yield reader.bytes();
    else reader.skip(wireType);
  }
}

interface DefinedSymbol {
  readonly name: string;
  readonly isMessage: boolean;
}

function* symbolsOf(file: FileDescriptorProto): Generator<DefinedSymbol> {
  const prefix = file.package === "" ? "" : `${file.package}.`;
  for (const message of file.messageType) yield* symbolsOfMessage(message, prefix);
  yield* symbolsOfEnums(file.enumType, prefix);
  for (const extension of file.extension) yield other(prefix + extension.name);
  for (const service of file.service) {
    yield other(prefix + service.name);
    for (const method of service.method) yield other(`${prefix}${service.name}.${method.name}`);
  }
}

function* symbolsOfMessage(message: DescriptorProto, prefix: string): Generator<DefinedSymbol> {
  const name = prefix + message.name;
  yield { name, isMessage: true };
  for (const part of [...message.field, ...message.oneofDecl, ...message.extension])
    yield other(`${name}.${part.name}`);
  for (const nested of message.nestedType) yield* symbolsOfMessage(nested, `${name}.`);
  yield* symbolsOfEnums(message.enumType, `${name}.`);
}

/** Values of an enum stand beside it, not in it; some look for them in it. */
function* symbolsOfEnums(enums: DescriptorProto["enumType"], prefix: string): Generator<DefinedSymbol> {
  for (const each of enums) {
    yield other(prefix + each.name);
    for (const value of each.value) {
      yield other(prefix + value.name);
      yield other(`${prefix}${each.name}.${value.name}`);
    }
  }
}

function other(name: string): DefinedSymbol {
  return { name, isMessage: false };
}
