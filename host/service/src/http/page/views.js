// What is shown of things, as elements. Texts become texts, never markup, whoever wrote them.

/** An element: its name with classes behind dots, its attributes, what is in it. */
export function h(name, attributes = {}, ...content) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...content.flat().filter((part) => part !== undefined && part !== null && part !== false));
  return element;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${UNITS[unit]}`;
}

export const number = (count) => (count === null || count === undefined ? "–" : Number(count).toLocaleString("en"));

export function time(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

export function when(moment) {
  if (!moment) return "–";
  const date = new Date(moment);
  const two = (part) => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return h("time", { datetime: date.toISOString() }, `${day} ${clock}`);
}

export const state = (name) => h(`span.state.${/^[a-z]+$/.test(name) ? name : "unknown"}`, {}, name);

export const short = (digest) => h("code", { title: digest }, String(digest).replace("blake3:", "").slice(0, 12));

/** A table: a caption, heads, rows of cells. A head that begins with `#` is one of numbers. */
export function table(caption, heads, rows, empty) {
  if (!rows.length) return h("p.hint", {}, empty);
  const kind = (index) => (heads[index].startsWith("#") ? ".number" : heads[index].startsWith("!") ? ".text" : ".once");
  const head = heads.map((text, index) => h(`th${kind(index)}`, { scope: "col" }, text.replace(/^[#!]/, "")));
  const body = rows.map((cells) => h("tr", {}, cells.map((cell, index) => h(`td${kind(index)}`, {}, cell))));
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

/** Facts beside each other. */
export const tiles = (facts) =>
  h("dl.tiles", {}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

/** How far something is, of how much. */
export function meter(label, part, whole) {
  const known = Number.isFinite(part) && whole > 0;
  return h("progress", known ? { max: whole, value: Math.min(part, whole), "aria-label": label } : { "aria-label": label });
}

/** How far a job is, and how fast. */
export function pace(job) {
  const far = job.progress ?? {};
  const items = job.items ?? far.items ?? null;
  const failed = job.failed_items ?? far.failed_items ?? null;
  const read = job.ended ? job.input_bytes : far.input_bytes ?? null;
  const until = job.ended ?? Date.now();
  const ms = job.started ? Math.max(1, until - job.started) : null;
  return { items, failed, read, ms, rate: ms && read !== null && items !== null ? (read / ms) * 1000 : null };
}

/** Words of a run, with its inputs called as whoever sent them called them. */
export function ours(job, text) {
  return (job.inputs ?? []).reduce((all, input, index) => all.replaceAll(`in-${index}-${input.name}`, input.name), text ?? "");
}

export const isOver = (job) => job.ended !== null && job.ended !== undefined;

/** The name of a result, as a file. */
export function resultName(job) {
  const name = job.inputs?.[0]?.name ?? "input";
  const dot = name.lastIndexOf(".");
  const [stem, own] = dot > 0 ? [name.slice(0, dot), name.slice(dot + 1)] : [name, ""];
  const ending = job.output ?? own;
  return `${stem}.out${ending ? `.${ending}` : ""}`;
}

export const isPicture = (job) => /\.(png|jpe?g)$/i.test(resultName(job)) && (job.output_bytes ?? Infinity) < 8 << 20;
