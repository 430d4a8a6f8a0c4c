import { fromBinary, isFieldSet } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
  type ServiceDescriptorProto,
} from "@bufbuild/protobuf/wkt";

/** A page of the contract, out of its comments. */
export interface ProtoPages {
  /** Markdown. */
  readonly text: string;
  /** Full names of elements that have no comment. */
  readonly undocumented: readonly string[];
}

/** Numbers of fields of descriptors, of which the paths of comments are made (descriptor.proto). */
const PATH = { package: 2, message: 4, enum: 5, service: 6, field: 2, oneof: 8, value: 2, method: 2 } as const;

/** Comments of a file by their places in it. */
interface Comments {
  of(path: readonly number[], name: string): string;
}

/**
 * One page of all files of a package, from a descriptor set with source info: what stands above each element, and for fields,
 * values and calls their numbers and types.
 */
export function protoPages(descriptorSet: Uint8Array, packageName: string): ProtoPages {
  const undocumented: string[] = [];
  const files = fromBinary(FileDescriptorSetSchema, descriptorSet).file.filter((file) => file.package === packageName);
  const sections = files.map((file) => filePage(file, undocumented));
  const contents = files.map(({ name }) => `- [${name}](#${anchor(name)})`).join("\n");
  const note = "Generated from the comments in `proto/` by `npm run docs`.";
  return { text: `# ${packageName}\n\n${note}\n\n${contents}\n\n${sections.join("\n")}`, undocumented };
}

function filePage(file: FileDescriptorProto, undocumented: string[]): string {
  const comments = commentsOf(file, undocumented);
  const parts = [
    `## ${file.name}\n`,
    prose(comments.of([PATH.package], file.name)),
    ...file.service.map((service, at) => servicePart(service, [PATH.service, at], comments)),
    ...file.messageType.map((message, at) => messagePart(message, [PATH.message, at], comments)),
    ...file.enumType.map((each, at) => enumPart(each, [PATH.enum, at], comments)),
  ];
  return parts.join("\n");
}

function commentsOf(file: FileDescriptorProto, undocumented: string[]): Comments {
  const locations = file.sourceCodeInfo?.location ?? [];
  const byPath = new Map(locations.map(({ path, leadingComments }) => [path.join("."), leadingComments]));
  return {
    of(path, name) {
      const comment = byPath.get(path.join(".")) ?? "";
      if (comment.trim() === "") undocumented.push(name);
      // Behind "//" stands one blank.
      return comment
        .split("\n")
        .map((line) => line.replace(/^ /, ""))
        .join("\n")
        .trimEnd();
    },
  };
}

function servicePart(service: ServiceDescriptorProto, path: readonly number[], comments: Comments): string {
  const calls = service.method.map((method, at) => {
    const name = `${service.name}.${method.name}`;
    const request = `${method.clientStreaming ? "stream of " : ""}${link(method.inputType)}`;
    const response = `${method.serverStreaming ? "stream of " : ""}${link(method.outputType)}`;
    const text = prose(comments.of([...path, PATH.method, at], name));
    return `#### ${name}\n\n${request} → ${response}\n\n${text}`;
  });
  return [`### ${service.name}\n`, prose(comments.of(path, service.name)), ...calls].join("\n");
}

function messagePart(message: DescriptorProto, path: readonly number[], comments: Comments): string {
  const told = new Set<number>();
  const rows = message.field.flatMap((field, at) => {
    const text = comments.of([...path, PATH.field, at], `${message.name}.${field.name}`);
    const row = `| ${field.number} | \`${field.name}\` | ${fieldType(field)} | ${cell(text)} |`;
    const oneof = oneofOf(field);
    if (oneof === undefined || told.has(oneof)) return [row];
    told.add(oneof);
    const name = message.oneofDecl[oneof]?.name ?? "";
    const about = comments.of([...path, PATH.oneof, oneof], `${message.name}.${name}`);
    return [`| | \`${name}\` | oneof, of the next | ${cell(about)} |`, row];
  });
  const table = rows.length === 0 ? [] : ["| | field | type | |", "| --- | --- | --- | --- |", ...rows, ""];
  return [`### ${message.name}\n`, prose(comments.of(path, message.name)), ...table].join("\n");
}

/** The oneof that a field is in, by its index. An `optional` field has one that nobody wrote. */
function oneofOf(field: FieldDescriptorProto): number | undefined {
  const isIn = isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex);
  return isIn && !field.proto3Optional ? field.oneofIndex : undefined;
}

function enumPart(each: EnumDescriptorProto, path: readonly number[], comments: Comments): string {
  const rows = each.value.map((value, at) => {
    const text = comments.of([...path, PATH.value, at], value.name);
    return `| ${value.number} | \`${value.name}\` | ${cell(text)} |`;
  });
  const text = prose(comments.of(path, each.name));
  return [`### ${each.name}\n`, text, "| | value | |", "| --- | --- | --- |", ...rows, ""].join("\n");
}

function fieldType(field: FieldDescriptorProto): string {
  const { type, label, typeName, proto3Optional } = field;
  const name = typeName === "" ? (FieldDescriptorProto_Type[type] ?? "").toLowerCase() : link(typeName);
  if (label === FieldDescriptorProto_Label.REPEATED) return `repeated ${name}`;
  return proto3Optional ? `optional ${name}` : name;
}

/** A link to a type on the page. */
function link(typeName: string): string {
  const name = typeName.split(".").at(-1) ?? "";
  return `[${name}](#${anchor(name)})`;
}

/** How GitHub and most others name the anchor of a heading. */
function anchor(heading: string): string {
  return heading.toLowerCase().replace(/[^\w -]/g, "");
}

/** A comment as Markdown: what is indented and no list is a drawing or a table of its own, and stays as it is. */
function prose(comment: string): string {
  const blocks = comment.split(/\n{2,}/).map((block) => {
    const lines = block.split("\n");
    const drawn = lines.every((line) => /^ {2}/.test(line)) && !/^ +(-|\d+\.) /.test(lines[0] ?? "");
    return drawn ? `\`\`\`text\n${block}\n\`\`\`` : vectorsApart(lines).map(escaped).join("\n");
  });
  return `${blocks.join("\n\n")}\n`;
}

/** Indented lines behind a sentence, as of test vectors, in a block of their own. */
function vectorsApart(lines: readonly string[]): string[] {
  if (lines.some((line) => /^ +(-|\d+\.) /.test(line))) return [...lines];
  return lines.flatMap((line, at) => {
    if (!/^ {2}/.test(line)) return [line];
    return /^ {2}/.test(lines[at - 1] ?? "") ? [`    ${line.trim()}`] : ["", `    ${line.trim()}`];
  });
}

function cell(text: string): string {
  return escaped(text.replace(/\s*\n\s*/g, " ")).replaceAll("|", "\\|");
}

function escaped(text: string): string {
  return text.replaceAll("<", "&lt;");
}
