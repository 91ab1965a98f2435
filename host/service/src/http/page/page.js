// The page: who looks, what they look at, and asking the server for it. What things look like is in views.js.

import { bytes, h, isOver, isPicture, meter, number, ours, pace, resultName, short, state, table, tiles, time, when } from "./views.js";
import { tokens } from "./tokens.js";

const main = document.getElementById("main");
const said = document.getElementById("said");
let session = { is: "nobody" };
let timer = 0;
let shown = 0;

/** Something went wrong, in words that can be shown. */
class Problem extends Error {
  constructor(status, problem, wait) {
    super(problem.detail ?? `the server answers ${status}`);
    this.status = status;
    this.wait = wait;
  }
}

/** Asks the server. */
async function ask(method, path, body, type) {
  const headers = { "x-taskhost-page": session.proof ?? "page" };
  if (type) headers["content-type"] = type;
  const answer = await fetch(path, { method, headers, body, cache: "no-store" });
  const text = await answer.text();
  const isJson = (answer.headers.get("content-type") ?? "").includes("json") && !/\/(failures|log)$/.test(path);
  let content = text;
  if (isJson && text) {
    try {
      content = JSON.parse(text);
    } catch {
      content = {};
    }
  }
  if (answer.ok) return content;
  if (answer.status === 401 && !path.startsWith("/page/session")) await look();
  throw new Problem(answer.status, isJson ? content : {}, Number(answer.headers.get("retry-after") ?? 0));
}

const get = (path) => ask("GET", path);
const send = (method, path, value) => ask(method, path, JSON.stringify(value), "application/json");

function say(text) {
  said.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (said.textContent = ""), 4000);
}

/** Puts a part of the page in place, unless something else is looked at by now. What has not changed is left alone, so that
 *  nobody loses what they have selected, and what has the focus keeps it. */
function put(turn, ...content) {
  if (turn !== shown) return;
  const held = document.createElement("div");
  held.append(...content.filter(Boolean));
  if (held.innerHTML === main.innerHTML) return;
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const name = focused && (focused.id ? `#${CSS.escape(focused.id)}` : `a[href="${CSS.escape(focused.getAttribute("href") ?? "")}"]`);
  main.replaceChildren(...held.childNodes);
  if (name) main.querySelector(name)?.focus();
}

/** Looks again after a while, and later when the server asks for that. */
function again(turn, work, ms) {
  clearTimeout(timer);
  if (turn !== shown) return;
  timer = setTimeout(async () => {
    try {
      // Nobody sees a page that is hidden.
      if (!document.hidden) await work();
      again(turn, work, ms);
    } catch (error) {
      if (turn !== shown) return;
      say(error.message);
      again(turn, work, Math.max(ms * 3, (error.wait ?? 0) * 1000));
    }
  }, ms);
}

// ---- Who looks ----

async function look() {
  session = await get("/page/session");
  route();
}

async function enter(shownToken) {
  session = await send("POST", "/page/session", shownToken);
}

function entry(turn) {
  const error = h("p.error", { role: "alert" });
  const token = h("input", { type: "password", id: "token", autocomplete: "off", required: true, spellcheck: "false" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await enter({ token: token.value });
      location.hash = "#jobs";
      route();
    } catch (problem) {
      error.textContent = problem.status === 401 ? "This token is not accepted." : problem.message;
    }
  };
  put(turn, h("form.card.narrow", { onsubmit: submit }, h("h1", {}, "Sign in"),
    h("label", { for: "token" }, "Token ", h("small", {}, "as your operator has given it to you, th_…"), token),
    h("button", { type: "submit", id: "enter" }, "Sign in"), error));
  token.focus();
}

/** What the token that was shown is good for. */
const scopes = () => (session.scopes ?? "").split(" ").filter(Boolean);

const maySeeTokens = () => scopes().includes("tokens:admin");

function frame(part) {
  const own = ["jobs", "run", "kernels", "usage", maySeeTokens() && "tokens"].filter(Boolean);
  const parts = { tenant: own, operator: ["tenants"], nobody: [] }[session.is] ?? [];
  const link = (name) =>
    h("a", { href: `#${name}`, "aria-current": name === part ? "page" : null }, name[0].toUpperCase() + name.slice(1));
  document.getElementById("nav").replaceChildren(...parts.map(link));
  const leave = async () => {
    await ask("DELETE", "/page/session").catch(() => {});
    session = { is: "nobody" };
    location.hash = "";
    route();
  };
  const who = session.is === "nobody" ? [] : [session.name, h("button.plain", { type: "button", id: "leave", onclick: leave }, "Sign out")];
  document.getElementById("who").replaceChildren(...who);
  document.title = `${part || "sign in"} · taskhost`;
}

// ---- Jobs ----

function progressOf(job) {
  const { items, failed, read, rate } = pace(job);
  if (isOver(job)) return `${number(items)}${failed ? `, ${number(failed)} failed` : ""}`;
  if (job.state === "queued") return `waits for its turn${job.priority ? `, priority ${job.priority}` : ""}`;
  const text = `${number(items ?? 0)} items${failed ? `, ${number(failed)} failed` : ""}${rate ? ` · ${bytes(rate)}/s` : ""}`;
  return [meter(`progress of ${job.id}`, read ?? undefined, job.input_bytes), h("small.hint", {}, text)];
}

function jobRow(job) {
  const { ms } = pace(job);
  const name = job.inputs?.length > 1 ? `${job.inputs[0].name} and ${job.inputs.length - 1} more` : job.inputs?.[0]?.name ?? "";
  return [h("a", { href: `#job/${job.id}` }, name || job.id), state(job.state), progressOf(job), time(ms ?? NaN),
    bytes(job.output_bytes), when(job.created)];
}

async function jobs(turn) {
  const work = async () => {
    const { jobs: all } = await get("/v1/jobs?limit=50");
    const count = (name) => all.filter((job) => job.state === name).length;
    const heads = ["!Input", "State", "!Items", "#Time", "#Result", "Created"];
    put(turn, h("div.row", {}, h("h1", {}, "Jobs"), h("a.button", { href: "#run" }, "Run a kernel")),
      tiles([["Running", number(count("running"))], ["Waiting", number(count("queued"))],
        ["Done", number(count("succeeded"))], ["With failures", number(count("partial") + count("failed"))]]),
      h("section.card", {}, table("The latest jobs, newest first", heads, all.map(jobRow), "There is no job yet.")));
  };
  await work();
  again(turn, work, 1000);
}

function failureRows(text) {
  return text.split("\n").filter(Boolean).slice(0, 200).map((line) => {
    let item = {};
    try {
      item = JSON.parse(line);
    } catch {
      item = { message: line };
    }
    const place = item.row !== undefined ? `row ${item.row}` : item.item !== null && item.item !== undefined ? `item ${item.item}` : "–";
    return [item.source ?? "–", place, item.offset ?? "–", item.verdict ?? "–", item.message ?? ""];
  });
}

async function job(turn, id) {
  let failures = "";
  let log = "";
  const cancel = async () => {
    await ask("POST", `/v1/jobs/${id}/cancel`).catch((problem) => say(problem.message));
    await job(turn, id);
  };
  const retry = async () => {
    try {
      const next = await ask("POST", `/v1/jobs/${id}/retry`);
      say("The items that failed are run again.");
      location.hash = `#job/${next.id}`;
    } catch (problem) {
      say(problem.message);
    }
  };
  const work = async () => {
    const it = await get(`/v1/jobs/${id}`);
    // A comfort: where it cannot be had, the rest is shown.
    const waits = it.waits ? await get(`/v1/jobs/${id}/explain`).catch(() => null) : null;
    if (!log || !isOver(it)) log = await get(`/v1/jobs/${id}/log`).catch(() => "");
    const { items, failed, ms, rate, read } = pace(it);
    if (isOver(it) && it.failures && !failures) failures = await get(`/v1/jobs/${id}/failures`);
    const result = it.result ? `/v1/jobs/${id}/result` : null;
    put(turn,
      h("div.row", {}, h("h1", {}, it.inputs?.[0]?.name ?? "Job"), state(it.state),
        result && h("a.button", { href: result, download: resultName(it), id: "download" }, "Download the result"),
        it.report && it.parameters?.report === "html" && h("a.button.plain", { href: it.report.href, target: "_blank", rel: "noopener", id: "report" }, "Report"),
        isOver(it) && it.failures && h("button.plain", { type: "button", id: "retry", onclick: retry }, "Run the failed items again"),
        !isOver(it) && h("button.danger", { type: "button", id: "cancel", onclick: cancel }, "Cancel")),
      !isOver(it) && h("section.card", {}, meter("progress", read ?? undefined, it.input_bytes)),
      tiles([["Items", number(items)], ["Failed", number(failed)], ["Time", time(ms ?? NaN)],
        ["Throughput", rate ? `${bytes(rate)}/s` : "–"], ["CPU time", time(it.cpu_ms ?? NaN)],
        ["In", bytes(it.input_bytes)], ["Out", bytes(it.output_bytes)], ["Exit code", it.exit_code ?? "–"]]),
      waits?.detail && h("p.card", {}, `It waits: ${waits.detail}.`),
      failures && h("section.card", { id: "failures" }, h("h2", {}, "Failed items"),
        table("What failed, where, and why", ["!Input", "Place", "#Byte", "Verdict", "!Message"], failureRows(ours(it, failures)), "None."),
        h("p", {}, h("a", { href: `/v1/jobs/${id}/failures`, download: `${id}.failures.jsonl` }, "All of them, as lines of JSON"))),
      (log || it.message) && h("section.card", { id: "log" }, h("h2", {}, "What the kernel and the run said"),
        h("pre", { tabindex: 0 }, ours(it, String(log || it.message).slice(-65536)))),
      result && isPicture(it) && h("section.card", {}, h("h2", {}, "Result"),
        h("img.preview", { src: result, alt: `The result of ${it.inputs[0].name}` })),
      h("section.card", {}, h("h2", {}, "Particulars"),
        table("How it was run", ["What", "!Value"], particulars(it), "")));
    return isOver(it);
  };
  if (!(await work())) {
    again(turn, async () => {
      if (await work()) clearTimeout(timer);
    }, 1000);
  }
}

function particulars(it) {
  const settings = Object.entries(it.parameters ?? {}).filter(([, value]) => value !== false && value !== null);
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  return [["Job", h("code", {}, it.id)], ["Kernel", h("code", {}, it.kernel)],
    ["Inputs", (it.inputs ?? []).slice(0, 20).map((input) => input.name).join(", ")],
    ["Created", when(it.created)], ["Began", when(it.started)], ["Ended", when(it.ended)], ["Attempts", number(it.attempts)],
    it.priority ? ["Priority", number(it.priority)] : null, it.ready_by ? ["To be ready by", when(it.ready_by)] : null,
    ...settings.map(([name, value]) => [name, text(value)]),
    ...Object.entries(it.labels ?? {}).map(([name, value]) => [`label ${name}`, value])].filter(Boolean);
}

// ---- Running a kernel ----

/** A name as the server takes it. */
const fitting = (name) => name.replace(/[^A-Za-z0-9._+ -]/g, "_").replace(/^[.\- ]+/, "_").slice(-100) || "input";

async function run(turn) {
  const [{ kernels: all }, { aliases }] = await Promise.all([get("/v1/kernels"), get("/v1/aliases")]);
  const named = new Set(aliases.map((alias) => alias.digest));
  const options = [...aliases.map((alias) => [alias.name, alias.name]),
    ...all.filter((kernel) => !named.has(kernel.digest)).map((kernel) => [kernel.digest, kernel.digest.slice(7, 19)])];
  const field = (label, hint, input) => h("label", {}, `${label} `, h("small", {}, hint), input);
  const choice = h("select", { id: "kernel" }, options.map(([value, text]) => h("option", { value }, text)));
  const kernelFile = h("input", { type: "file", id: "kernel-file", accept: ".wasm,.wat,application/wasm" });
  const input = h("input", { type: "file", id: "input-file", required: true, multiple: true });
  const output = h("input", { id: "output", placeholder: "png", pattern: "[A-Za-z0-9]{1,16}", maxlength: 16 });
  const settings = h("textarea", { id: "settings", rows: 2, spellcheck: "false", placeholder: "name=value" });
  const split = h("input", { id: "split", placeholder: "lines" });
  const skip = h("select", { id: "on-error" },
    h("option", { value: "" }, "no result at all"), h("option", { value: "skip" }, "a result without them"));
  const error = h("p.error", { role: "alert" });
  const start = h("button", { type: "submit", id: "start" }, "Run");
  const submit = async (event) => {
    event.preventDefault();
    start.disabled = true;
    error.textContent = "";
    try {
      const id = await begin({ choice, kernelFile, input, output, settings, split, skip });
      location.hash = `#job/${id}`;
    } catch (problem) {
      error.textContent = problem.message;
      start.disabled = false;
    }
  };
  put(turn, h("form.card", { onsubmit: submit }, h("h1", {}, "Run a kernel on a file"),
    h("div.fields", {},
      options.length > 0 && field("Kernel", "that is there", choice),
      field(options.length ? "or a new one" : "Kernel", "a .wasm file; it is looked at and compiled first", kernelFile),
      field("Input", "one file or several, in the order of their names", input),
      field("When items fail, there is", "", skip),
      field("Format of the result", "as a name ends; empty: that of the input", output),
      field("What an item is", "empty: as the kernel says", split),
      field("Settings of the kernel", "one in each line", settings)),
    start, error));
}

async function upload(file) {
  say(`${file.name} is uploaded and looked at …`);
  const { digest } = await ask("POST", "/v1/kernels", file, "application/wasm");
  const name = file.name.replace(/\.[^.]*$/, "").toLowerCase().replace(/[^a-z0-9._-]/g, "-").replace(/^[^a-z0-9]+/, "").slice(0, 64);
  // A name is a comfort: where it cannot be had, the digest does.
  if (name) await send("PUT", `/v1/aliases/${name}`, { digest }).catch(() => {});
  return digest;
}

async function begin({ choice, kernelFile, input, output, settings, split, skip }) {
  const kernel = kernelFile.files[0] ? await upload(kernelFile.files[0]) : choice.value;
  if (!kernel) throw new Error("choose a kernel, or upload one");
  const files = [...input.files].sort((one, other) => (one.name < other.name ? -1 : 1));
  const inputs = [];
  for (const file of files) {
    say(`${file.name} is uploaded …`);
    const { digest } = await ask("POST", "/v1/blobs", file, "application/octet-stream");
    inputs.push({ blob: digest, name: fitting(file.name) });
  }
  const config = {};
  for (const line of settings.value.split("\n").filter((text) => text.trim())) {
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`write a setting as name=value, not ${line}`);
    config[line.slice(0, at).trim()] = line.slice(at + 1);
  }
  const parameters = { config, report: "html" };
  if (split.value) parameters.split = split.value;
  if (skip.value) parameters.on_error = skip.value;
  const wanted = { kernel, input: inputs, parameters };
  if (output.value) wanted.output = output.value;
  const { id } = await send("POST", "/v1/jobs", wanted);
  say("The job is accepted.");
  return id;
}

// ---- Kernels and usage ----

async function kernels(turn) {
  const work = async () => {
    const [{ kernels: all }, { aliases }] = await Promise.all([get("/v1/kernels"), get("/v1/aliases")]);
    const names = (digest) => aliases.filter((alias) => alias.digest === digest).map((alias) => alias.name).join(", ");
    const rows = all.map((kernel) => [names(kernel.digest) || "–", short(kernel.digest), kernel.info?.kind ?? "–",
      (kernel.info?.exports ?? []).map((name) => String(name).replace(/^taskhost:kernel\/([a-z-]+)@.*$/, "$1")).join(", "), bytes(kernel.bytes), when(kernel.created)]);
    put(turn, h("h1", {}, "Kernels"),
      h("section.card", {}, table("Kernels that are stored for you", ["!Name", "Digest", "Kind", "!Offers", "#Size", "Stored"], rows,
        "There is none yet. Upload one where you run it.")));
  };
  await work();
  again(turn, work, 10_000);
}

async function usage(turn) {
  const work = async () => {
    const it = await get("/v1/usage?days=30&group_by=kernel");
    const kernels = (it.kernels ?? []).slice(0, 20).map((used) => [used.kernel ? short(used.kernel) : "all others", time(used.cpu_ms), number(used.jobs),
      number(used.items), number(used.calls)]);
    const quotas = it.quotas ?? {};
    const bar = (label, part, whole, show) =>
      h("div", {}, h("dt", {}, label), h("dd", {}, `${show(part)} `, h("small.hint", {}, `of ${show(whole)}`)), meter(label, part, whole));
    const limits = Object.entries(quotas).map(([name, value]) =>
      [name.replaceAll("_", " "), /bytes|memory/.test(name) ? bytes(value) : number(value)]);
    const warnings = (it.warnings ?? []).map((warning) => `${warning.quota.replaceAll("_", " ")}: ${Math.floor((100 * warning.used) / Math.max(1, warning.limit))} % is used`);
    put(turn, h("h1", {}, "Usage"),
      warnings.length > 0 && h("p.card.error", { id: "warnings", role: "status" }, `Nearly used up – ${warnings.join("; ")}.`),
      h("dl.tiles", {},
        bar("CPU time today", (it.today?.cpu_ms ?? 0) / 1000, quotas.cpu_seconds_per_day, (seconds) => time(seconds * 1000)),
        bar("Stored", it.stored_bytes, quotas.stored_bytes, bytes),
        bar("Jobs that wait or run", it.open_jobs, quotas.queued_jobs, number)),
      tiles([["Jobs today", number(it.today?.jobs)], ["Items today", number(it.today?.items)], ["Calls today", number(it.today?.calls)],
        ["Weight", number(it.weight)]]),
      h("section.card", {}, table("What was used in 30 days, by kernel", ["!Kernel", "#CPU time", "#Jobs", "#Items", "#Calls"], kernels, "Nothing yet.")),
      h("section.card", {}, table("What you may have", ["!Quota", "#Limit"], limits, "")));
  };
  await work();
  again(turn, work, 3000);
}

// ---- What the operator sees ----

async function tenants(turn) {
  const work = async () => {
    const it = await get("/page/operator");
    const rows = it.tenants.map((tenant) => [tenant.name, state(!tenant.enabled ? "disabled" : tenant.paused ? (tenant.paused.parks ? "parked" : "paused") : "enabled"), number(tenant.weight),
      number(tenant.open.running), number(tenant.open.queued),
      tenant.open.oldest ? time(it.now - tenant.open.oldest) : "–",
      `${time(tenant.today.cpu_ms)} of ${time(tenant.quotas.cpu_seconds_per_day * 1000)}`,
      `${bytes(tenant.stored_bytes)} of ${bytes(tenant.quotas.stored_bytes)}`]);
    const heads = ["!Tenant", "State", "#Weight", "#Running", "#Waiting", "#Oldest", "#CPU today", "#Stored"];
    put(turn, h("h1", {}, "The service"),
      tiles([["Store", it.is_writable ? "writes" : "does not write"], ["Cores", number(it.cores)], ["Running", number(it.running)],
        ["Waiting for a process", number(it.waiting)], ["Walls", it.sandbox], ["Jobs", it.paused ? (it.paused.parks ? "parked" : "paused") : "started"], ["Up", time(it.now - it.began)], ["Version", it.version]]),
      h("section.card", {}, table("Tenants", heads, rows, "There is no tenant yet: taskhost tenant create NAME")));
  };
  await work();
  again(turn, work, 1000);
}

// ---- Where one is ----

async function route() {
  const turn = (shown += 1);
  clearTimeout(timer);
  const link = /^#operator=([A-Za-z0-9]+)$/.exec(location.hash);
  if (link) {
    // The code is good once; nobody who looks over a shoulder finds it in the address.
    history.replaceState(null, "", "/");
    await enter({ code: link[1] }).catch((problem) => say(problem.message));
  }
  const own = { jobs, run, kernels, usage, job };
  if (maySeeTokens()) own.tokens = (now) => tokens({ ask, get, send, put, say, scopes: scopes() }, now);
  const parts = { tenant: own, operator: { tenants } }[session.is];
  if (!parts) {
    frame("");
    return entry(turn);
  }
  const [name, id] = location.hash.slice(1).split("/");
  const first = Object.keys(parts)[0];
  const part = Object.hasOwn(parts, name) && (name !== "job" || /^[A-Za-z0-9]+$/.test(id ?? "")) ? name : first;
  frame(part === "job" ? "jobs" : part);
  try {
    await parts[part](turn, id);
  } catch (problem) {
    put(turn, h("section.card", {}, h("h1", {}, "That did not work"), h("p.error", { role: "alert" }, problem.message),
      h("button", { type: "button", onclick: route }, "Try again")));
  }
}

addEventListener("hashchange", route);
look().catch((problem) => say(problem.message));
