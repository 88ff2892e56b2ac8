import {
  type BinaryWriteOptions,
  create,
  type DescField,
  type DescMessage,
  type DescOneof,
  isMessage,
  type Message,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Interruptible } from "./time-slices.ts";

// As many messages are encoded at one go; it takes about a millisecond.
const SLICE_MESSAGES = 2_000;

/** Encodes a message that may be large, into the same bytes as toBinary. */
export function* encoding<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  options?: Partial<BinaryWriteOptions>,
): Interruptible<Uint8Array<ArrayBuffer>> {
  if (weigh(schema, message) < SLICE_MESSAGES) return toBinary(schema, message, options);
  const chunks = yield* encodingInParts(schema, message, options);
  const whole = new Uint8Array(lengthOf(chunks));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

type Properties = Readonly<Record<string, unknown>>;

// Any run of whole fields is an encoding by itself, so what is heavy is encoded in parts, and what is light
// around it, in the order of the fields' numbers.
function* encodingInParts(
  schema: DescMessage,
  message: Message,
  options: Partial<BinaryWriteOptions> | undefined,
): Interruptible<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  const append = (part: Properties): void => {
    chunks.push(toBinary(schema, { ...create(schema), ...part }, options));
  };
  let light: Properties = {};
  for (const field of schema.fields.toSorted((a, b) => a.number - b.number)) {
    const child = childOf(field.oneof ?? field, schema, message);
    if (child?.field !== field || weighAll(child, SLICE_MESSAGES) < SLICE_MESSAGES) {
      light = { ...light, ...valueOf(field, message) };
      continue;
    }
    append(light);
    light = {};
    let batch: Message[] = [];
    let batchWeight = 0;
    for (const value of child.values) {
      const weight = weigh(child.field.message, value);
      batchWeight += weight;
      if (weight < SLICE_MESSAGES) batch.push(value);
      if (batchWeight < SLICE_MESSAGES) continue;
      if (batch.length > 0) append({ [field.localName]: batch });
      batch = [];
      batchWeight = 0;
      yield;
      if (weight < SLICE_MESSAGES) continue;
      const parts = yield* encodingInParts(child.field.message, value, options);
      const header = new BinaryWriter().tag(field.number, WireType.LengthDelimited);
      chunks.push(header.uint32(lengthOf(parts)).finish());
      for (const part of parts) chunks.push(part);
    }
    if (batch.length > 0) append({ [field.localName]: batch });
  }
  append({ ...light, $unknown: message.$unknown });
  return chunks;
}

/** How many messages it is made of; where that is more than enough, not how many more. */
function weigh(schema: DescMessage, message: Message, enough = SLICE_MESSAGES): number {
  let weight = 1;
  for (const member of schema.members) {
    const child = childOf(member, schema, message);
    if (child !== undefined) weight += weighAll(child, enough - weight);
    if (weight >= enough) break;
  }
  return weight;
}

function weighAll({ field, values }: Child, enough: number): number {
  let weight = 0;
  for (const value of values) {
    if (weight >= enough) break;
    weight += weigh(field.message, value, enough - weight);
  }
  return weight;
}

/** A field that is set to one message or to a list of them. */
interface Child {
  readonly field: DescField & { readonly message: DescMessage };
  readonly values: readonly Message[];
}

interface ChosenField {
  readonly case: string | undefined;
  readonly value?: unknown;
}

function childOf(member: DescField | DescOneof, schema: DescMessage, message: Message): Child | undefined {
  const property = propertiesOf(message)[member.localName];
  if (member.kind !== "oneof") return toChild(member, property);
  const chosen = property as ChosenField;
  const field = chosen.case === undefined ? undefined : schema.field[chosen.case];
  return field && toChild(field, chosen.value);
}

function toChild(field: DescField, value: unknown): Child | undefined {
  const { message, fieldKind } = field;
  // A map, a group and what has a form of its own here (a wrapper, a Struct) are encoded as a whole.
  if (message === undefined || fieldKind === "map") return undefined;
  if ("delimitedEncoding" in field && field.delimitedEncoding) return undefined;
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!isMessage(values[0], message)) return undefined;
  return { field, values: values as readonly Message[] };
}

function valueOf(field: DescField, message: Message): Properties {
  const { localName } = field.oneof ?? field;
  // What is not set can show its default from the prototype.
  if (!Object.hasOwn(message, localName)) return {};
  const value = propertiesOf(message)[localName];
  const isOthers = field.oneof !== undefined && (value as ChosenField).case !== field.localName;
  return isOthers ? {} : { [localName]: value };
}

// A descriptor names its message's properties; what they hold is known from it alone.
function propertiesOf(message: Message): Properties {
  return message;
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}
