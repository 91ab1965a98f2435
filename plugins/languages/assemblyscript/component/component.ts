// component.ts: what a component in AssemblyScript is written with, by the canonical ABI, besides what ../taskhost.ts has:
//
//     import { described, ok } from "./component";
//     export { after, cabi_realloc } from "./component";
//
//     export function describe__describe(): usize { return described("Length of each line.", "lines", "lines"); }
//
//     export function mapper__process(at: usize, length: u32): usize { return ok(new Bytes().decimal(length)); }
//
// Functions are called INTERFACE__FUNCTION; exports.mjs gives them the names of the contract, and the section of the world is
// appended to the module.
import { Bytes } from "../taskhost";

// What the host may still read, kept from the collector until it has.
let held = new Array<ArrayBuffer>();
let texts = new Array<Bytes>();

export function cabi_realloc(old: usize, oldLength: u32, alignment: u32, length: u32): usize {
  if (length == 0) return alignment;
  const room = new ArrayBuffer(<i32>length);
  held.push(room);
  const at = changetype<usize>(room);
  if (oldLength > 0) memory.copy(at, old, oldLength);
  return at;
}

/** What the host calls when it has read a result. */
export function after(result: usize): void {
  held.length = 0;
  texts.length = 0;
}

/** Memory until the end of the call. */
export function room(length: u32): usize { return cabi_realloc(0, 0, 16, length); }

// Where results are returned.
const area = memory.data(64, 8);

function list(into: usize, bytes: Bytes): void {
  texts.push(bytes);
  store<u32>(into, <u32>bytes.at);
  store<u32>(into + 4, bytes.length);
}

/** The result of a function: bytes. */
export function ok(bytes: Bytes): usize {
  texts.push(bytes);
  return okAt(bytes.at, bytes.length);
}

/** The same, for bytes that stay where they are: the argument, or a part of it. */
export function okAt(at: usize, length: u32): usize {
  store<u32>(area, 0);
  store<u32>(area + 4, <u32>at);
  store<u32>(area + 8, length);
  return area;
}

function failure(into: usize, kind: u32, text: string): void {
  store<u32>(into, kind);
  list(into + 4, new Bytes().utf8(text));
}

function error(kind: u32, text: string): usize {
  store<u32>(area, 1);
  failure(area + 4, kind, text);
  return area;
}

/** The item is at fault. The text goes to the user as it is: say what is wrong and where. */
export function invalidInput(text: string): usize { return error(0, text); }

/** The kernel could not do it. */
export function failed(text: string): usize { return error(1, text); }

/** A piece of memory. */
export class Part {
  constructor(public at: usize, public length: u32) {}
}

/** The lists that reducer.combine gets. */
export function parts(at: usize, count: u32): Part[] {
  const all = new Array<Part>();
  for (let i: u32 = 0; i < count; i++) all.push(new Part(load<u32>(at + 8 * i), load<u32>(at + 8 * i + 4)));
  return all;
}

/** The result of a flat mapper. */
export function okMany(results: Part[]): usize {
  const lists = room(8 * results.length + 8);
  for (let i = 0; i < results.length; i++) {
    store<u32>(lists + 8 * i, <u32>results[i].at);
    store<u32>(lists + 8 * i + 4, results[i].length);
  }
  return okAt(lists, results.length);
}

/** The result of a packed mapper: one result, or an error, for each item. */
export class Packed {
  private bytes: Bytes = new Bytes();
  private ends: Bytes = new Bytes();
  private failures: u32[] = [];
  private reasons: string[] = [];
  private count: u32 = 0;

  private end(): void {
    this.count++;
    for (let i = 0; i < 4; i++) this.ends.byte(<u8>(this.bytes.length >> (8 * i)));
  }

  push(result: Bytes): void {
    this.bytes.copy(result.at, result.length);
    this.end();
  }

  invalidInput(text: string): void {
    this.failures.push(this.count);
    this.reasons.push(text);
    this.end();
  }

  done(): usize {
    const failures = room(16 * this.failures.length + 16);
    for (let i = 0; i < this.failures.length; i++) {
      store<u32>(failures + 16 * i, this.failures[i]);
      failure(failures + 16 * i + 4, 0, this.reasons[i]);
    }
    list(area, this.bytes);
    list(area + 8, this.ends);
    store<u32>(area + 12, this.count);
    store<u64>(area + 16, 0);
    store<u32>(area + 24, <u32>failures);
    store<u32>(area + 28, this.failures.length);
    return area;
  }
}

/** What becomes of a picture: strips with this many rows of context above and below, in the format of the input. */
export function strips(halo: u32, width: u32, height: u32, channels: u32, sample: u32): usize {
  const plan: u32[] = [0, 0, halo, width, height, channels, sample];
  for (let i = 0; i < plan.length; i++) store<u32>(area + 4 * i, plan[i]);
  return area;
}

/** A setting that users give as --config name=value. */
export class Setting {
  constructor(public name: string, public fallback: string, public help: string) {}
}

/** What the kernel says of itself; split and merge are written as for --split and --merge. */
export function described(
  summary: string, split: string = "whole", merge: string = "concat", isSameLength: bool = false, settings: Setting[] = [],
): usize {
  list(area, new Bytes().utf8(summary));
  list(area + 8, new Bytes().utf8(split));
  list(area + 16, new Bytes().utf8(merge));
  store<u32>(area + 24, isSameLength ? 1 : 0);
  const all = room(28 * settings.length + 4);
  for (let i = 0; i < settings.length; i++) {
    const one = all + 28 * i;
    list(one, new Bytes().utf8(settings[i].name));
    store<u32>(one + 8, 1);
    list(one + 12, new Bytes().utf8(settings[i].fallback));
    list(one + 20, new Bytes().utf8(settings[i].help));
  }
  store<u32>(area + 32, <u32>all);
  store<u32>(area + 36, settings.length);
  return area;
}

// @ts-ignore: decorator
@external("taskhost:kernel/config@1.0.0", "get")
declare function configGet(name: usize, length: u32, into: usize): void;

/** The value of a setting; null when it is not set. */
export function setting(name: string): string | null {
  const encoded = new Bytes().utf8(name);
  configGet(encoded.at, encoded.length, area);
  return load<u8>(area) ? String.UTF8.decodeUnsafe(load<u32>(area + 4), load<u32>(area + 8)) : null;
}

// @ts-ignore: decorator
@external("taskhost:kernel/log@1.0.0", "log")
declare function hostLog(level: u32, at: usize, length: u32): void;

/** A message for the user: 0 debug, 1 info, 2 warn, 3 error. */
export function log(level: u32, text: string): void {
  const bytes = new Bytes().utf8(text);
  hostLog(level, bytes.at, bytes.length);
}

/** What `throw` calls (`--use abort=component/abort`): the last error that is logged becomes part of the item's error. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  log(3, `${message ? message : "a failed assertion"}, ${file ? file : "?"}:${line}:${column}`);
  unreachable();
}
