// Tokens of the tenant: listed, made, ended. What a new one says is shown once, and is kept nowhere.

import { h, table, when } from "./views.js";

/** For how many seconds a new token is good; none is good for longer than the one that makes it. */
const LIVES = [["an hour", 3600], ["a day", 86_400], ["30 days", 2_592_000], ["a year", 31_536_000], ["as long as the one you have shown", 0]];

const MEANINGS = {
  "kernels:read": "look at kernels and their names", "kernels:write": "store, name and delete kernels", "jobs:read": "look at jobs",
  "jobs:write": "hand in jobs, call kernels, store inputs", "jobs:cancel": "cancel jobs", "results:read": "read inputs and results",
  "usage:read": "see what was used, and the audit log", "tokens:admin": "make and end tokens",
};

/** Shows them. `page` is what asks the server, and what puts things in place. */
export async function tokens(page, turn) {
  const chosen = new Set();
  let life = 86_400;
  let made = null;
  let ending = null;
  let trouble = "";
  let all = [];

  const look = async () => {
    all = (await page.get("/v1/tokens")).tokens;
    show();
  };

  const attempt = async (work) => {
    trouble = "";
    try {
      await work();
    } catch (problem) {
      trouble = problem.message;
      show();
    }
  };

  const make = (event) => {
    event.preventDefault();
    return attempt(async () => {
      const wanted = { scopes: [...chosen] };
      if (life) wanted.expires_in = life;
      made = await page.send("POST", "/v1/tokens", wanted);
      await look();
      document.getElementById("secret")?.select();
    });
  };

  const end = (token) => attempt(async () => {
    if (ending !== token.key) {
      // Once more, so that none is ended by a slip.
      ending = token.key;
      return show();
    }
    ending = null;
    await page.ask("DELETE", `/v1/tokens/${token.key}`);
    if (made?.key === token.key) made = null;
    page.say("The token is good for nothing any more.");
    await look();
  });

  const copy = async () => {
    const secret = document.getElementById("secret");
    secret.select();
    // Where that is not allowed it is selected, and can be copied by hand.
    await navigator.clipboard.writeText(secret.value).then(() => page.say("Copied."), () => page.say("It is selected: copy it."));
  };

  const fresh = () => h("section.card", { id: "fresh" }, h("h2", {}, "The new token"),
    h("p", {}, "It is shown this once: copy it now. Whoever has it may do what it is good for."),
    h("label", { for: "secret" }, "Token", h("input", { id: "secret", readonly: true, value: made.token, spellcheck: "false", autocomplete: "off" })),
    h("div.row", {}, h("button", { type: "button", id: "copy", onclick: copy }, "Copy"),
      h("button.plain", { type: "button", id: "done", onclick: () => { made = null; show(); } }, "I have it")));

  const row = (token) => {
    const text = ending === token.key ? "Really end it" : token.is_this ? "End (this one)" : "End";
    return [h("code", {}, token.key), token.scopes.join(", "), token.networks.join(", ") || "everywhere", when(token.created), token.expires ? when(token.expires) : "for ever",
      token.last_used ? when(token.last_used) : "never",
      h("button.danger", { type: "button", id: `end-${token.key}`, onclick: () => end(token), "aria-label": `${text}: the token ${token.key}` }, text)];
  };

  const choice = (scope) => {
    const change = (event) => (event.target.checked ? chosen.add(scope) : chosen.delete(scope));
    return h("label.check", {}, h("input", { type: "checkbox", id: `scope-${scope.replace(":", "-")}`, checked: chosen.has(scope), onchange: change }),
      h("span", {}, scope, " ", h("small", {}, MEANINGS[scope] ?? "")));
  };

  const form = () => h("form.card", { onsubmit: make }, h("h2", {}, "Make a token"),
    h("fieldset", {}, h("legend", {}, "It may"), page.scopes.map(choice)),
    h("label", { for: "life" }, "It is good for", h("select", { id: "life", onchange: (event) => (life = Number(event.target.value)) },
      LIVES.map(([name, seconds]) => h("option", { value: seconds, selected: seconds === life }, name)))),
    h("button", { type: "submit", id: "make" }, "Make"), h("p.error", { role: "alert", id: "trouble" }, trouble));

  const show = () => page.put(turn, h("h1", {}, "Tokens"), made && fresh(),
    h("section.card", {}, table("Tokens that are good now, oldest first", ["Key", "!Good for", "Good from", "Made", "Good until", "Last used", "End"], all.map(row), "There is none.")), form());

  await look();
}
