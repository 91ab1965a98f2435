//! A browser without a window, driven as its developer tools do it: messages of JSON through a pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Place, Process, eventually};

/// What no look at a page takes, however slow the machine: a browser that hangs fails its test.
const LIMIT: Duration = Duration::from_secs(400);

/// A browser with one page open.
pub(super) struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    page: Option<String>,
    number: u64,
    /// What it has complained about: what a page may not do, or what its script does wrong.
    pub(super) complaints: Vec<String>,
}

/// Where there is one.
pub(super) fn program() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let mut version = Command::new(name);
        version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    })
}

impl Browser {
    pub(super) fn start(program: &str, place: &Place) -> Self {
        // It reads at descriptor 3, and writes at 4.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, program, "--headless=new", "--remote-debugging-pipe", "--no-first-run"]);
        // The one who runs the tests may be root, whom a browser has no sandbox for; what it looks at is ours.
        command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"]);
        command.args(["--disable-background-networking", "--window-size=1200,900", "about:blank"]);
        command.arg(format!("--user-data-dir={}", place.path("browser").display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let watched = Process::open(child.id()).unwrap();
        std::thread::spawn(move || {
            if !watched.is_gone_within(LIMIT) {
                watched.signal(Signal::KILL);
            }
        });
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser = Self { child, to, from, page: None, number: 0, complaints: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.page = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let downloads = place.path("downloads");
        std::fs::create_dir_all(&downloads).unwrap();
        browser.call("Browser.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": downloads }));
        browser
    }

    /// Asks the browser for something.
    #[track_caller]
    pub(super) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(page) = self.page.as_ref().filter(|_| !method.starts_with("Browser.")) {
            message["sessionId"] = json!(page);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut line = Vec::new();
            self.from.read_until(0, &mut line).unwrap();
            assert!(line.pop().is_some(), "the browser has gone, before it answered {method}");
            let answer: Value = serde_json::from_slice(&line).unwrap();
            if answer["id"] == json!(self.number) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            let is_complaint = match answer["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" => true,
                // An answer that is an error is one that the page shows.
                "Log.entryAdded" => answer["params"]["entry"]["source"] != "network",
                _ => false,
            };
            if is_complaint {
                self.complaints.push(answer["params"].to_string());
            }
        }
    }

    pub(super) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// What an expression comes to.
    #[track_caller]
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// All text of the page.
    pub(super) fn text(&mut self) -> String {
        self.value("document.body?.innerText ?? ''").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows this.
    #[track_caller]
    pub(super) fn sees(&mut self, text: &str) {
        eventually(&format!("the page shows {text}"), || self.text().contains(text));
    }

    /// Waits until there is such an element.
    #[track_caller]
    pub(super) fn has(&mut self, selector: &str) {
        let expression = format!("document.querySelector({}) !== null", json!(selector));
        eventually(&format!("the page has {selector}"), || self.value(&expression) == true);
    }

    /// Clicks with the mouse into the middle of an element.
    #[track_caller]
    pub(super) fn click(&mut self, selector: &str) {
        self.has(selector);
        let place = self.value(&format!(
            "(() => {{ const it = document.querySelector({}); it.scrollIntoView({{ block: 'center' }}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into an element.
    #[track_caller]
    pub(super) fn type_into(&mut self, selector: &str, text: &str) {
        self.has(selector);
        self.value(&format!("document.querySelector({}).focus()", json!(selector)));
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Chooses files for an element.
    #[track_caller]
    pub(super) fn choose(&mut self, selector: &str, files: &[std::path::PathBuf]) {
        self.has(selector);
        let expression = json!({ "expression": format!("document.querySelector({})", json!(selector)) });
        let element = self.call("Runtime.evaluate", expression)["result"]["objectId"].clone();
        self.call("DOM.setFileInputFiles", json!({ "files": files, "objectId": element }));
    }

    /// Sees the page as those do who like it dark, or light.
    pub(super) fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Takes a picture of the page, where somebody wants to look at it: in the folder that TASKHOST_SCREENSHOTS names.
    pub(super) fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("TASKHOST_SCREENSHOTS") else { return };
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let path = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, base64(picture["data"].as_str().unwrap())).unwrap();
    }

    pub(super) fn end(mut self) {
        self.call("Browser.close", json!({}));
        self.child.wait().unwrap();
        assert_eq!(self.complaints, Vec::<String>::new());
    }
}

/// What is written in base64.
fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| alphabet.iter().position(|letter| *letter == byte));
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        held = held << 6 | u32::try_from(digit).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).unwrap());
        }
    }
    bytes
}
