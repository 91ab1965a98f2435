//! `/docs`: the description of the interface as a page for people. It is made of the same document as `/v1/openapi.json`, needs no
//! script and fetches nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::openapi;

/// What the page may do: look as the sheet of this program says.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Where forms are in the document.
const FORMS: &str = "#/components/schemas/";

/// Where answers are that several operations have.
const ANSWERS: &str = "#/components/responses/";

/// Parts of the page, by what stands behind `/v1/` in a path; what is in none of them comes last.
const PARTS: [(&str, &str); 9] = [
    ("kernels", "Kernels"),
    ("aliases", "Names of kernels"),
    ("blobs", "Contents"),
    ("jobs", "Jobs"),
    ("webhooks", "Webhooks"),
    ("tokens", "Tokens"),
    ("usage", "Usage"),
    ("quota", "Quotas"),
    ("audit", "Audit log"),
];
const OTHERS: &str = "The server";

/// Ways to ask, in the order in which they are told of.
const METHODS: [&str; 6] = ["get", "head", "put", "post", "patch", "delete"];

/// The page.
pub(super) async fn show() -> Response {
    static PAGE: OnceLock<String> = OnceLock::new();
    let page = PAGE.get_or_init(|| page(&serde_json::from_str(&openapi::document()).unwrap_or_default()));
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        // Of another build it would be another one.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (head, page.as_str()).into_response()
}

/// One thing that can be asked for.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    said: &'a Value,
    /// With their statuses.
    answers: Vec<(String, &'a Value)>,
}

/// What is answered, with its status; what is the same with several statuses stands there once.
fn answers<'a>(said: &'a Value, document: &'a Value) -> Vec<(String, &'a Value)> {
    let mut answers: Vec<(String, &Value)> = Vec::new();
    for (status, answer) in members(&said["responses"]) {
        let named = answer["$ref"].as_str().and_then(|place| place.strip_prefix(ANSWERS));
        let answer = named.map_or(answer, |name| &document["components"]["responses"][name]);
        match answers.last_mut().filter(|(_, last)| named.is_some() && std::ptr::eq(*last, answer)) {
            Some((statuses, _)) => *statuses += &format!(", {status}"),
            None => answers.push((status.clone(), answer)),
        }
    }
    answers
}

impl Operation<'_> {
    fn anchor(&self) -> String {
        anchor(&format!("{} {}", self.method, self.path))
    }
}

/// A name for a place of the page.
fn anchor(text: &str) -> String {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            sign => safe.push(sign),
        }
    }
    safe
}

/// A text as it stands in the document: what is between backticks is code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(number, part)| {
        let part = escaped(part);
        if number % 2 == 1 { format!("<code>{part}</code>") } else { part }
    });
    parts.collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The members of an object, in their order.
fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// What a value may be, in words.
fn kind(schema: &Value) -> String {
    if let Some(form) = schema["$ref"].as_str().and_then(|place| place.strip_prefix(FORMS)) {
        return format!("<a href=\"#form-{}\">{}</a>", anchor(form), escaped(form));
    }
    for name in ["oneOf", "anyOf", "allOf"] {
        if let Some(others) = schema[name].as_array() {
            return others.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().map(|value| format!("<code>{}</code>", escaped(&value.to_string())));
        return values.collect::<Vec<_>>().join(" or ");
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return "anything".into(),
    };
    let word = |name: &str| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("{} by name", kind(&schema["additionalProperties"]))
        }
        "null" => "nothing".into(),
        "string" => "text".into(),
        "integer" | "number" => format!("number{}", bounds(schema)),
        "boolean" => "true or false".into(),
        other => escaped(other),
    };
    names.into_iter().map(word).collect::<Vec<_>>().join(" or ")
}

fn bounds(schema: &Value) -> String {
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) if least != 0.0 => format!(" from {least} on"),
        (None, Some(most)) => format!(" up to {most}"),
        _ => String::new(),
    }
}

/// What is sent or answered: in which formats, and of which form when that is said.
fn content(value: &Value) -> String {
    let one = |(format, said): (&String, &Value)| {
        let is_json = format.ends_with("json");
        let form = if is_json && said["schema"]["type"] != "object" { kind(&said["schema"]) } else { String::new() };
        let form = if form.is_empty() { form } else { format!(": {form}") };
        format!("<code>{}</code>{form}", escaped(format))
    };
    members(&value["content"]).map(one).collect::<Vec<_>>().join(", ")
}

/// A table: what it is called, what its columns are, and its rows.
fn table(out: &mut String, caption: &str, heads: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(out, "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>", escaped(caption));
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(head));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (number, cell) in row.iter().enumerate() {
            let _ = match number {
                0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                _ => write!(out, "<td>{cell}</td>"),
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

fn operation(out: &mut String, operation: &Operation<'_>) {
    let Operation { method, path, said, answers } = operation;
    let _ = write!(
        out,
        "<article class=\"card\" id=\"{}\"><h3><span class=\"verb\">{}</span> <code>{}</code></h3>\n<p>{}</p>\n",
        operation.anchor(),
        method.to_ascii_uppercase(),
        escaped(path),
        prose(text(said, "summary")),
    );
    for more in [text(said, "description")].into_iter().filter(|more| !more.is_empty()) {
        let _ = writeln!(out, "<p>{}</p>", prose(more));
    }
    let row = |said: &Value| {
        let is_needed = if said["required"] == true { "yes" } else { "" };
        let name = format!("<code>{}</code>", escaped(text(said, "name")));
        vec![name, escaped(text(said, "in")), kind(&said["schema"]), is_needed.into(), prose(text(said, "description"))]
    };
    let rows: Vec<_> = said["parameters"].as_array().into_iter().flatten().map(row).collect();
    table(out, "What is said besides", &["Name", "In", "What it is", "Needed", "What it means"], &rows);
    let body = content(&said["requestBody"]);
    if !body.is_empty() {
        let _ = writeln!(out, "<p>The body: {body}</p>");
    }
    let row =
        |(status, said): &(String, &Value)| vec![escaped(status), prose(text(said, "description")), content(said)];
    let rows: Vec<_> = answers.iter().map(row).collect();
    table(out, "What is answered", &["Status", "What it means", "What comes"], &rows);
    out.push_str("</article>\n");
}

fn form(out: &mut String, name: &str, schema: &Value) {
    let (anchor, shown) = (anchor(name), escaped(name));
    let _ = writeln!(out, "<article class=\"card\" id=\"form-{anchor}\"><h3>{shown}</h3>");
    let said = text(schema, "description");
    if !said.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", prose(said));
    }
    // One that is made of others has members of its own beside them.
    let parts = schema["allOf"].as_array().map_or_else(|| vec![schema], |parts| parts.iter().collect());
    let mut rows = Vec::new();
    for part in parts {
        if part["$ref"].is_string() {
            rows.push(vec![String::new(), kind(part), String::new(), "all that this has".into()]);
        }
        let is_needed =
            |name: &str| part["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
        rows.extend(members(&part["properties"]).map(|(name, said)| {
            let is_needed = if is_needed(name) { "yes" } else { "" };
            let shown = format!("<code>{}</code>", escaped(name));
            vec![shown, kind(said), is_needed.into(), prose(text(said, "description"))]
        }));
    }
    if rows.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", values(schema));
    }
    table(out, "Its members", &["Name", "What it is", "Always there", "What it means"], &rows);
    out.push_str("</article>\n");
}

/// What a form without members may be; of a choice, with what each means.
fn values(schema: &Value) -> String {
    let Some(choices) = schema["oneOf"].as_array() else { return kind(schema) };
    let one = |choice: &Value| match text(choice, "description") {
        "" => kind(choice),
        said => format!("{}: {}", kind(choice), prose(said)),
    };
    choices.iter().map(one).collect::<Vec<_>>().join("<br>")
}

/// All that can be asked for, by the parts of the page.
fn parts(document: &Value) -> Vec<(&'static str, Vec<Operation<'_>>)> {
    let mut found: BTreeMap<usize, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in members(&document["paths"]) {
        let first = path.strip_prefix("/v1/").and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
        let part = PARTS.iter().position(|(name, _)| *name == first).unwrap_or(PARTS.len());
        let methods = METHODS.iter().copied().filter(|method| item[*method].is_object());
        let operation = |method| {
            let said = &item[method];
            Operation { method, path, said, answers: answers(said, document) }
        };
        let operations = methods.map(operation);
        found.entry(part).or_default().extend(operations);
    }
    let title = |part: usize| PARTS.get(part).map_or(OTHERS, |(_, title)| title);
    found.into_iter().map(|(part, operations)| (title(part), operations)).collect()
}

fn page(document: &Value) -> String {
    let parts = parts(document);
    let mut out = include_str!("page/reference.html").replace("VERSION", &escaped(text(&document["info"], "version")));
    let mut list = String::new();
    for (title, operations) in &parts {
        let _ = write!(list, "<li><a href=\"#{}\">{title}</a><ul>", anchor(title));
        for operation in operations {
            let (verb, path) = (operation.method.to_ascii_uppercase(), escaped(operation.path));
            let _ = write!(list, "<li><a href=\"#{}\">{verb} {path}</a></li>", operation.anchor());
        }
        list.push_str("</ul></li>\n");
    }
    list.push_str("<li><a href=\"#forms\">Forms of what is sent and answered</a></li>\n");
    let mut body = String::new();
    for (title, operations) in &parts {
        let id = anchor(title);
        let _ = writeln!(body, "<section aria-labelledby=\"{id}\"><h2 id=\"{id}\">{title}</h2>");
        operations.iter().for_each(|one| operation(&mut body, one));
        body.push_str("</section>\n");
    }
    body.push_str("<section aria-labelledby=\"forms\"><h2 id=\"forms\">Forms of what is sent and answered</h2>\n");
    members(&document["components"]["schemas"]).for_each(|(name, schema)| form(&mut body, name, schema));
    body.push_str("</section>\n");
    // The list first: what it stands for is in none of the texts of the page.
    out = out.replace("<!-- list -->", &list);
    out.replace("<!-- body -->", &body)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn made() -> (Value, String) {
        let document = serde_json::from_str(&openapi::document()).expect("JSON");
        let page = page(&document);
        (document, page)
    }

    fn after<'a>(page: &'a str, begin: &'a str) -> impl Iterator<Item = &'a str> {
        page.split(begin).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn all_of_the_description_is_on_the_page_and_every_link_leads_somewhere() {
        let (document, page) = made();
        let all: Vec<&str> = after(&page, " id=\"").collect();
        let ids: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), ids.len(), "an anchor stands there twice");
        for (path, item) in members(&document["paths"]) {
            for (method, _) in members(item) {
                assert!(ids.contains(anchor(&format!("{method} {path}")).as_str()), "{method} {path}");
            }
        }
        for (name, _) in members(&document["components"]["schemas"]) {
            assert!(ids.contains(format!("form-{}", anchor(name)).as_str()), "{name}");
        }
        for link in after(&page, "href=\"#") {
            assert!(ids.contains(link), "{link}");
        }
    }

    #[test]
    fn what_may_go_wrong_stands_there_once_for_each_place() {
        let (_, page) = made();
        let list = page.split("id=\"get-v1-jobs\"").nth(1).expect("the list of jobs").split("</article>").next();
        let list = list.expect("its end");
        assert!(list.contains("<th scope=\"row\">400, 401, 403, 404, 429, 500, 503</th>"), "{list}");
        assert_eq!(list.matches("application/problem+json").count(), 1, "{list}");
    }

    #[test]
    fn the_page_needs_no_script_and_nothing_from_elsewhere() {
        let (_, page) = made();
        let tags: Vec<&str> = page.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect();
        for word in ["script", "style=", "src=", "http-equiv", " on"] {
            let found = tags.iter().find(|tag| tag.contains(word));
            assert_eq!(found, None, "{word}");
        }
        let elsewhere = after(&page, "href=\"").find(|link| !link.starts_with('#') && !link.starts_with('/'));
        assert_eq!(elsewhere, None);
        assert!(!page.contains("<!-- ") && !page.contains("VERSION"), "something is left of what it is made of");
    }

    #[test]
    fn what_is_said_is_text() {
        let said = serde_json::json!({
            "info": { "version": "<b>" },
            "paths": { "/v1/x/{y}": { "get": { "summary": "a < b & `c<d>`", "responses": {} } } },
            "components": { "schemas": { "X": { "enum": ["<i>", "\"q\""] } } }
        });
        let page = page(&said);
        assert!(page.contains("a &lt; b &amp; <code>c&lt;d&gt;</code>"), "{page}");
        assert!(
            page.contains("<code>&quot;&lt;i&gt;&quot;</code>") && !page.contains("<i>") && !page.contains("<b>"),
            "{page}"
        );
    }

    #[test]
    fn what_a_value_may_be_is_said_in_words() {
        for (schema, words) in [
            (serde_json::json!({ "type": "integer", "minimum": 1, "maximum": 500 }), "number from 1 to 500"),
            (serde_json::json!({ "type": ["string", "null"] }), "text or nothing"),
            (
                serde_json::json!({ "type": "array", "items": { "$ref": "#/components/schemas/Job" } }),
                "list of <a href=\"#form-job\">Job</a>",
            ),
            (serde_json::json!({ "type": "object", "additionalProperties": { "type": "number" } }), "number by name"),
            (serde_json::json!({ "enum": ["a", "b"] }), "<code>&quot;a&quot;</code> or <code>&quot;b&quot;</code>"),
            (serde_json::json!({}), "anything"),
        ] {
            assert_eq!(kind(&schema), words);
        }
    }
}
