//! What operators take from `examples/serve` as it is: the unit, the container, the alerts.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use rustix::process::Signal;
use serde_json::Value;

use super::client::{Server, raw};
use crate::harness::{Place, Program, skipped};

/// How open the unit is by `systemd-analyze security`, in tenths: its page says so.
const EXPOSURE: u32 = 26;

fn example(name: &str) -> String {
    std::fs::read_to_string(format!("{}/examples/serve/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let analyze = Path::new("/usr/bin/systemd-analyze");
    if !analyze.exists() {
        return skipped("systemd_finds_nothing_wrong_with_the_unit", "no systemd-analyze: apt-get install systemd");
    }
    let place = Place::new();
    let unit = example("taskhost.service").replace("/usr/local/bin/taskhost", env!("CARGO_BIN_EXE_taskhost"));
    // With these no worker can build its walls, and with `--sandbox full` none is started.
    for broken in ["RestrictNamespaces=", "ProtectHostname=", "ProcSubset=", "MemoryDenyWriteExecute="] {
        assert!(!unit.lines().any(|line| line.starts_with(broken)), "{broken}");
    }
    place.write("taskhost.service", unit);
    let analyze = |words: &str| {
        Program::of(analyze.as_os_str(), &place.path("")).arguments(words).argument("./taskhost.service").run()
    };
    let verified = analyze("verify").success();
    // What has come with systemd 254.
    let is_new = |line: &&str| {
        line.contains("Unknown key 'DelegateSubgroup'") || line.contains("Unknown key name 'DelegateSubgroup'")
    };
    let wrong: Vec<&str> = verified.stderr.lines().filter(|line| !is_new(line)).collect();
    assert_eq!((verified.text(), wrong), ("", Vec::new()));
    // It fails when the exposure is above this.
    analyze(&format!("security --offline=true --threshold={EXPOSURE} --no-pager")).success();
}

/// What the unit and the container start is a command that there is, with settings that there are.
#[test]
fn the_unit_and_the_container_start_a_service() {
    let place = Place::new();
    let unit = example("taskhost.service");
    let words = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/taskhost ")).unwrap();
    let config = format!("{}/examples/serve/taskhost.toml", env!("CARGO_MANIFEST_DIR"));
    place.taskhost(&words.replace("/etc/taskhost/taskhost.toml", &config)).arguments("--check-config").run().code(0);
    let container = example("Containerfile").replace("\\\n", " ");
    let line =
        |name: &str| container.lines().filter_map(|line| line.strip_prefix(name)).map(str::trim).next_back().unwrap();
    assert_eq!(line("ENTRYPOINT"), r#"["tini", "--", "taskhost", "serve"]"#);
    let mut serve = place.taskhost("serve --check-config");
    for pair in line("ENV").split_whitespace() {
        let (name, value) = pair.split_once('=').unwrap();
        serve = serve.env(name, value);
    }
    let shown = serve.run().code(0);
    assert!(shown.text().contains("data = \"/var/lib/taskhost\"  # TASKHOST_SERVE_DATA"), "{}", shown.text());
}

/// Numbers that an expression of Prometheus is about.
fn numbers_of<'a>(expressions: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let names = Regex::new("(taskhost|process)_[a-z_]+").unwrap();
    let found = expressions.flat_map(|expression| names.find_iter(expression).collect::<Vec<_>>());
    found.map(|name| name.as_str().trim_end_matches("_bucket").to_owned()).collect()
}

/// The expressions of a dashboard, wherever they stand in it.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        Value::Object(members) => {
            found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| expressions(value, found));
        }
        _ => {}
    }
}

#[test]
fn alerts_and_the_dashboard_are_about_numbers_that_are_told() {
    let place = Place::new();
    let mut server = Server::start_with(&place, "--metrics 127.0.0.1:0");
    let line = server.running.line();
    let operators = line.strip_prefix("numbers on http://").and_then(|line| line.strip_suffix("/metrics")).unwrap();
    server.tenant(&place, "anna", "");
    let page = raw(operators, "GET", "/metrics", "", b"").is(200).text();
    let told: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let alerts = example("alerts.yaml");
    let of_alerts = numbers_of(alerts.lines().filter(|line| line.trim_start().starts_with("expr:")));
    let dashboard: Value = serde_json::from_str(&example("dashboard.json")).unwrap();
    let mut shown = Vec::new();
    expressions(&dashboard, &mut shown);
    let of_dashboard = numbers_of(shown.iter().map(String::as_str));
    assert!(of_alerts.len() > 5 && of_dashboard.len() > 20, "{of_alerts:?} {of_dashboard:?}");
    for name in of_alerts.iter().chain(&of_dashboard) {
        assert!(told.contains(name.as_str()), "{name}: {told:?}");
    }
    // Whoever has several services chooses one.
    assert!(shown.iter().all(|expression| expression.contains("{job=\"$job\"")), "{shown:?}");
    server.end(Signal::TERM).code(0);
}
