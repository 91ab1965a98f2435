//! The page, in a real browser: signing in, uploading, running, watching, fetching, looking at what failed; and who may not.

use rustix::process::Signal;
use serde_json::json;

use super::browser::{self, Browser};
use super::client::{Client, Server, raw};
use crate::harness::{Place, eventually, skipped};

/// What would be markup, were it taken for it.
const MARKUP: &str = "<img src=x onerror=alert(1)>";

fn kernel(name: &str) -> std::path::PathBuf {
    format!("{}/plugins/dist/{name}.wasm", env!("CARGO_MANIFEST_DIR")).into()
}

/// Every field and button has a name that is read out, every picture a text.
#[track_caller]
fn everything_has_a_name(browser: &mut Browser) {
    let nameless = browser.value(
        "[...document.querySelectorAll('input, select, textarea, button, progress, a, img')].filter((it) => !(it.labels?.length \
         || it.getAttribute('aria-label') || it.getAttribute('alt') || it.textContent.trim())).map((it) => it.outerHTML).join()",
    );
    assert_eq!(nameless, "");
}

#[test]
fn a_tenant_signs_in_uploads_runs_watches_and_fetches() {
    let Some(program) = browser::program() else {
        return skipped("a_tenant_signs_in_uploads_runs_watches_and_fetches", "no chromium: apt-get install chromium");
    };
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "--requests 100000");
    let url = format!("http://{}/", server.address);
    let mut browser = Browser::start(program, &place);
    browser.open(&url);
    browser.type_into("#token", "th_nonsense");
    browser.click("#enter");
    browser.sees("This token is not accepted.");
    everything_has_a_name(&mut browser);
    browser.picture("1-wrong-token");
    browser.value("document.querySelector('#token').value = ''");
    browser.type_into("#token", &anna.token);
    browser.click("#enter");
    browser.sees("There is no job yet.");
    // The token is nowhere any more, and no script can read the cookie.
    assert_eq!(browser.value("document.cookie + JSON.stringify({ ...localStorage })"), "{}");
    browser.click("a[href='#run']");
    browser.choose("#kernel-file", &[kernel("primes")]);
    browser.choose("#input-file", &[place.write("numbers <b>.txt", format!("0 10\n0 100\n{MARKUP}\n5 7\n"))]);
    browser.value("document.querySelector('#on-error').value = 'skip'");
    everything_has_a_name(&mut browser);
    browser.picture("2-run");
    browser.click("#start");
    browser.sees("Failed items");
    browser.sees(MARKUP);
    browser.sees("item 2");
    browser.sees("What the kernel and the run said");
    everything_has_a_name(&mut browser);
    browser.picture("3-failed-items");
    assert_eq!(browser.value("document.querySelectorAll('main img').length"), 0);
    browser.click("#download");
    let downloaded = place.path("downloads/numbers _b_.out.txt");
    eventually("the result is downloaded", || std::fs::read(&downloaded).is_ok_and(|bytes| bytes == b"4\n25\n1\n"));
    // The report, in a page of its own, which may do nothing.
    browser.value("document.querySelector('#report').removeAttribute('target')");
    let shown = browser.value("location.href");
    browser.click("#report");
    browser.sees("Where the time went");
    browser.sees("numbers _b_.txt, item 2");
    browser.picture("3b-report");
    browser.open(shown.as_str().unwrap());
    browser.has("#retry");
    // What failed, again: it fails again, in a job of its own.
    let first = browser.value("location.hash");
    browser.click("#retry");
    eventually("the new job is shown", || browser.value("location.hash") != first);
    browser.sees("item 0");
    assert_eq!(anna.get("/v1/jobs").is(200).json()["jobs"].as_array().unwrap().len(), 2);
    // A picture, with the kernel that a form without a file names.
    browser.click("a[href='#run']");
    browser.choose("#kernel-file", &[kernel("sobel")]);
    let picture = format!("{}/examples/pictures/astronaut.png", env!("CARGO_MANIFEST_DIR"));
    browser.choose("#input-file", &[picture.into()]);
    browser.click("#start");
    browser.has("img.preview");
    eventually("the picture is shown", || browser.value("document.querySelector('img.preview').naturalWidth") == 512);
    everything_has_a_name(&mut browser);
    browser.picture("4-picture");
    // One that takes long, watched and cancelled.
    let long = json!({ "kernel": "primes", "input": { "text": "0 300000\n".repeat(20_000), "name": "long.txt" }, "parameters": { "workers": 2 } });
    anna.post("/v1/jobs", long.to_string()).is(202);
    browser.click("a[href='#jobs']");
    browser.sees("long.txt");
    browser.has("span.state.running");
    everything_has_a_name(&mut browser);
    browser.picture("5-jobs");
    browser.prefer("dark");
    browser.picture("6-jobs-dark");
    browser.value("[...document.querySelectorAll('main a')].find((link) => link.innerText === 'long.txt').click()");
    browser.click("#cancel");
    browser.sees("cancelled");
    browser.picture("7-cancelled-dark");
    browser.click("a[href='#kernels']");
    browser.sees("primes");
    everything_has_a_name(&mut browser);
    browser.picture("8-kernels-dark");
    browser.prefer("light");
    browser.click("a[href='#usage']");
    browser.sees("CPU time today");
    browser.sees("What was used in 30 days, by kernel");
    everything_has_a_name(&mut browser);
    browser.picture("9-usage");
    // A token, shown once, and ended.
    browser.click("a[href='#tokens']");
    browser.sees("End (this one)");
    everything_has_a_name(&mut browser);
    browser.click("#make");
    browser.sees("name at least one scope");
    browser.click("#scope-jobs-read");
    browser.click("#scope-results-read");
    browser.value(
        "((life) => { life.value = 3600; life.dispatchEvent(new Event('change')); })(document.querySelector('#life'))",
    );
    browser.click("#make");
    browser.has("#secret");
    everything_has_a_name(&mut browser);
    browser.picture("11-token");
    let token = browser.value("document.querySelector('#secret').value").as_str().unwrap().to_owned();
    let made = Client { address: anna.address.clone(), token };
    made.get("/v1/jobs").is(200);
    assert_eq!(made.get("/v1/kernels").is(403).code(), "scope-missing");
    browser.click("#done");
    eventually("it is nowhere any more", || browser.value("document.querySelector('#secret') === null") == true);
    assert!(!browser.value("document.documentElement.outerHTML").as_str().unwrap().contains(&made.token));
    browser.prefer("dark");
    browser.picture("12-tokens-dark");
    browser.prefer("light");
    let end = format!("#end-{}", &made.token[3..13]);
    browser.click(&end);
    browser.sees("Really end it");
    made.get("/v1/jobs").is(200);
    browser.click(&end);
    browser.sees("good for nothing any more");
    made.get("/v1/jobs").is(401);
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": true }),
    );
    browser.click("a[href='#jobs']");
    browser.sees("long.txt");
    browser.picture("10-jobs-narrow");
    browser.click("a[href='#tokens']");
    browser.sees("Make a token");
    browser.picture("13-tokens-narrow");
    browser.click("#leave");
    browser.sees("Sign in");
    browser.end();
    server.end(Signal::TERM).code(0);
}

#[test]
fn the_operator_sees_the_service_by_a_link_that_is_good_once() {
    let Some(program) = browser::program() else {
        return skipped(
            "the_operator_sees_the_service_by_a_link_that_is_good_once",
            "no chromium: apt-get install chromium",
        );
    };
    let place = Place::new();
    place.taskhost("tenant create first --data data").run().code(0);
    let alone = place.taskhost("tenant page --data data").run().code(2);
    assert!(alone.stderr.contains("no server has this data folder"), "{}", alone.stderr);
    let server = Server::start(&place);
    server.tenant(&place, "anna", "--weight 3");
    server.tenant(&place, "bert", "");
    let link = place.taskhost("tenant page --data data").run().code(0).text().trim().to_owned();
    assert!(link.starts_with(&format!("http://{}/#operator=", server.address)), "{link}");
    let mut browser = Browser::start(program, &place);
    browser.open(&link);
    browser.sees("anna");
    browser.sees("bert");
    browser.sees("Waiting for a process");
    assert_eq!(browser.value("location.hash"), "");
    everything_has_a_name(&mut browser);
    browser.picture("11-operator");
    browser.prefer("dark");
    browser.picture("12-operator-dark");
    // What tenants may do, the operator's page may not.
    assert_eq!(browser.value("fetch('/v1/jobs').then((answer) => answer.status)"), 401);
    browser.click("#leave");
    browser.sees("Sign in");
    browser.open("about:blank");
    browser.open(&link);
    browser.sees("the link is not good, or not any more");
    browser.end();
    server.end(Signal::TERM).code(0);
}

/// What other sites, other tenants and forgers would send.
#[test]
fn a_session_is_for_its_own_page_alone() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    let page = raw(&server.address, "GET", "/", "", b"").is(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let shown = json!({ "token": anna.token }).to_string();
    // Another site can send no header of its own.
    let elsewhere = raw(&server.address, "POST", "/page/session", "", shown.as_bytes()).is(403);
    assert_eq!(elsewhere.code(), "not-the-page");
    let begun = raw(&server.address, "POST", "/page/session", "X-Taskhost-Page: page\r\n", shown.as_bytes()).is(200);
    let line = begun.head.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(line.contains("httponly") && line.contains("samesite=strict"), "{line}");
    // In the answer's head as it was sent: a cookie is no lower case.
    let cookie = begun.cookie.clone().unwrap();
    let proof = begun.json()["proof"].as_str().unwrap().to_owned();
    let with = |more: &str| format!("Cookie: {cookie}\r\n{more}");
    let ask = |method: &str, path: &str, head: &str| raw(&server.address, method, path, head, b"x");
    ask("GET", "/v1/jobs", &with("")).is(200);
    assert_eq!(ask("POST", "/v1/blobs", &with("")).is(403).code(), "not-the-page");
    assert_eq!(ask("POST", "/v1/blobs", &with("X-Taskhost-Page: page\r\n")).is(403).code(), "not-the-page");
    ask("POST", "/v1/blobs", &with(&format!("X-Taskhost-Page: {proof}\r\n"))).is(201);
    assert_eq!(ask("GET", "/page/operator", &with("")).is(401).code(), "unauthorized");
    let forged = json!({ "code": "x".repeat(43) }).to_string();
    raw(&server.address, "POST", "/page/session", "X-Taskhost-Page: page\r\n", forged.as_bytes()).is(401);
    // A token that is over ends what was begun with it.
    place.taskhost("tenant disable anna --data data").run().code(0);
    ask("GET", "/v1/jobs", &with("")).is(401);
    let outcome = server.end(Signal::TERM).code(0);
    assert!(!outcome.stderr.contains(cookie.split('=').nth(1).unwrap()), "{}", outcome.stderr);
}

#[test]
fn the_interface_is_described_for_people_without_a_token_and_without_a_script() {
    let place = Place::new();
    let server = Server::start(&place);
    let page = raw(&server.address, "GET", "/docs", "", b"").is(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("script"), "{policy}");
    assert!(page.text().contains("<h3><span class=\"verb\">POST</span> <code>/v1/jobs</code></h3>"));
    assert!(raw(&server.address, "GET", "/", "", b"").is(200).text().contains("<a href=\"/docs\">"));
    let Some(program) = browser::program() else {
        server.end(Signal::TERM).code(0);
        return skipped("the_interface_is_described_for_people_without_a_token_and_without_a_script", "no chromium");
    };
    let mut browser = Browser::start(program, &place);
    browser.open(&format!("http://{}/", server.address));
    // When its script has put everything where it stays.
    browser.has("#enter");
    browser.click("header a[href='/docs']");
    browser.sees("All of it");
    everything_has_a_name(&mut browser);
    browser.click("a[href='#post-v1-jobs']");
    let shown = "document.querySelector(':target h3')?.textContent";
    eventually("it goes there", || browser.value(shown) == "POST /v1/jobs");
    browser.picture("docs");
    assert_eq!(browser.complaints, Vec::<String>::new());
    browser.end();
    server.end(Signal::TERM).code(0);
}
