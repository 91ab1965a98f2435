// taskhost.ts: what a taskhost kernel in AssemblyScript is written with. A kernel is a raw module (docs/abi.md):
//
//     import { Bytes, place, described } from "./taskhost";
//     export { taskhost_alloc, taskhost_error } from "./taskhost";
//
//     export function taskhost_describe(): u64 {
//       return described("Length of each line.", "lines", "lines");
//     }
//
//     export function taskhost_process(at: usize, length: u32): u64 {
//       return place(new Bytes().decimal(length));
//     }
//
// A kernel that reduces also exports taskhost_combine and taskhost_finish; see `parts`.
// A kernel keeps nothing from item to item: any worker may get any item, in any order, more than once.

// What the host may still read or write: kept from the collector.
let argument = new ArrayBuffer(0);
let result: Bytes = new Bytes();
let reason: Bytes = new Bytes();

/** Bytes that grow. */
export class Bytes {
  private room: ArrayBuffer = new ArrayBuffer(64);
  length: u32 = 0;

  /** Where they lie, until they grow. */
  get at(): usize { return changetype<usize>(this.room); }

  /** Makes room at the end, and says where. */
  private more(length: u32): usize {
    const needed = this.length + length;
    if (needed > <u32>this.room.byteLength) {
      const room = new ArrayBuffer(<i32>max(needed, 2 * this.length));
      memory.copy(changetype<usize>(room), this.at, this.length);
      this.room = room;
    }
    const end = this.at + this.length;
    this.length = needed;
    return end;
  }

  byte(value: u8): Bytes {
    store<u8>(this.more(1), value);
    return this;
  }

  copy(at: usize, length: u32): Bytes {
    memory.copy(this.more(length), at, length);
    return this;
  }

  /** A text with a byte in each character: one that `latin1` made, or plain ASCII. */
  text(text: string): Bytes {
    const at = this.more(text.length);
    for (let i = 0; i < text.length; i++) store<u8>(at + i, <u8>text.charCodeAt(i));
    return this;
  }

  /** Any text, as UTF-8. */
  utf8(text: string): Bytes {
    const encoded = String.UTF8.encode(text);
    return this.copy(changetype<usize>(encoded), encoded.byteLength);
  }

  decimal(number: u64): Bytes { return this.text(number.toString()); }
}

/** Bytes as a text with a byte in each character. Compares and sorts as the bytes do. */
export function latin1(at: usize, length: u32): string {
  const text = changetype<string>(__new(<usize>length << 1, idof<string>()));
  for (let i: u32 = 0; i < length; i++) store<u16>(changetype<usize>(text) + (i << 1), load<u8>(at + i));
  return text;
}

/** What the host takes for a result. */
export function place(bytes: Bytes): u64 {
  result = bytes;
  return placeOf(bytes.at, bytes.length);
}

/** The same, for bytes that stay where they are: the argument, or a part of it. */
export function placeOf(at: usize, length: u32): u64 { return (<u64>at << 32) | length; }

/** The item is at fault. The text goes to the user as it is: say what is wrong and where. */
export function invalidInput(text: string): u64 {
  reason = new Bytes().utf8(text);
  return <u64>-1;
}

/** The kernel could not do it. */
export function failed(text: string): u64 {
  reason = new Bytes().utf8(text);
  return <u64>-2;
}

/** What the kernel says of itself; split, merge and result length are written as for --split and --merge. */
export function described(summary: string, split: string, merge: string, resultLength: string = "unknown"): u64 {
  return place(new Bytes().utf8(`summary=${summary}\nsplit=${split}\nmerge=${merge}\nresult-length=${resultLength}\n`));
}

/** A part of the argument of taskhost_combine. */
export class Part {
  constructor(public at: usize, public length: u32) {}
}

/** The partial results that taskhost_combine is to join, in order. */
export function parts(at: usize): Part[] {
  const count = load<u32>(at);
  const all = new Array<Part>();
  let part = at + 4 + 4 * <usize>count;
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u32>(at + 4 + 4 * i);
    all.push(new Part(part, length));
    part += length;
  }
  return all;
}

export function taskhost_alloc(length: u32): usize {
  if (<u32>argument.byteLength < length) argument = new ArrayBuffer(<i32>length);
  return changetype<usize>(argument);
}

export function taskhost_error(): u64 { return placeOf(reason.at, reason.length); }

// @ts-ignore: decorator
@external("taskhost", "log")
declare function hostLog(level: u32, at: usize, length: u32): void;

/** Levels of messages. */
export enum Level { Debug, Info, Warn, Error }

/** A message for the user. */
export function log(level: Level, text: string): void {
  const bytes = new Bytes().utf8(text);
  hostLog(level, bytes.at, bytes.length);
}

/** What `throw` calls (`--use abort=taskhost/abort`): the last error that is logged becomes part of the item's error. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  log(Level.Error, `${message ? message : "a failed assertion"}, ${file ? file : "?"}:${line}:${column}`);
  unreachable();
}

// @ts-ignore: decorator
@external("taskhost", "config_get")
declare function configGet(name: usize, nameLength: u32, into: usize, room: u32): u32;

/** The value of a setting; null when it is not set. */
export function setting(name: string): string | null {
  const encoded = String.UTF8.encode(name);
  const at = changetype<usize>(encoded);
  const length = configGet(at, encoded.byteLength, 0, 0);
  if (length == u32.MAX_VALUE) return null;
  const value = new ArrayBuffer(<i32>length);
  configGet(at, encoded.byteLength, changetype<usize>(value), length);
  return String.UTF8.decode(value);
}
