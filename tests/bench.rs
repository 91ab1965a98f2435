//! `taskhost bench` and `run --report FILE.html`: what a user sees of where the time goes.

use serde_json::Value;

use crate::harness::Place;

/// Ranges that take a few milliseconds together.
fn ranges() -> String {
    (0..64).map(|start| format!("{start} {}\n", start + 2_000)).collect()
}

/// The words of a page that are not balanced: elements that are not closed, or not in order.
fn unbalanced(page: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut wrong = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                wrong.push(format!("</{name}>"));
            }
        } else if !tag.ends_with('/') && !tag.starts_with('!') {
            open.push(name);
        }
    }
    wrong.extend(open.into_iter().map(str::to_owned));
    wrong
}

#[test]
fn a_report_page_stands_alone_whatever_things_are_called() {
    let place = Place::new();
    let name = "<img src=x onerror=alert(1)>&\"'.txt";
    place.write(name, ranges().replace("7 2007\n", "</li><script>alert(1)</script>\n"));
    let run = place.taskhost("run primes -j 2 -o out.txt --on-error skip --report report.html").argument(name);
    run.run().code(3);
    let page = String::from_utf8(place.read("report.html")).unwrap();
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;img src=x"), "{page}");
    for foreign in ["<script", "<img", "http:", "https:", "url(", "@import", "<link", "<iframe"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for part in ["Timeline", "Where the time went", "Throughput", "What it cost", "Limits and failures", "Versions"] {
        assert!(page.contains(&format!("<h2>{part}</h2>")), "{part}");
    }
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn many_batches_make_no_larger_page() {
    let place = Place::new();
    place.write("lines.txt", "a\n".repeat(12_000));
    place
        .taskhost("run echo lines.txt -o out.txt --split lines --merge lines --batch 1 --report report.html")
        .run()
        .success();
    let page = String::from_utf8(place.read("report.html")).unwrap();
    assert!(page.contains("at work: the darker"), "not one by one");
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn a_report_says_where_the_time_of_each_worker_went() {
    let place = Place::new();
    place.taskhost("run primes -j 2 -o out.txt --report report.json").input(ranges()).run().success();
    let report: Value = serde_json::from_slice(&place.read("report.json")).unwrap();
    let workers = report["workers"].as_array().unwrap();
    assert_eq!(workers.iter().map(|worker| worker["items"].as_u64().unwrap()).sum::<u64>(), 64);
    for worker in workers {
        let seconds = worker["seconds"].as_object().unwrap();
        let parts: f64 =
            seconds.iter().filter(|(name, _)| *name != "lifetime").map(|(_, part)| part.as_f64().unwrap()).sum();
        assert!((parts - seconds["lifetime"].as_f64().unwrap()).abs() < 1e-6, "{worker}");
    }
    assert!(workers.iter().any(|worker| worker["seconds"]["call"].as_f64().unwrap() > 0.0));
}

#[test]
fn bench_measures_workers_and_batches() {
    let place = Place::new();
    place.write("ranges.txt", ranges());
    let outcome = place.taskhost("bench primes ranges.txt -j 2 --runs 1 --json --plot plot.svg").run().success();
    let found: Value = serde_json::from_str(outcome.text()).unwrap();
    let workers: Vec<_> = found["scaling"].as_array().unwrap().iter().map(|row| row["workers"].clone()).collect();
    assert_eq!(workers, [1, 2]);
    let batches: Vec<_> = found["batches"].as_array().unwrap().iter().map(|row| row["batch"].clone()).collect();
    assert_eq!(batches, [Value::from(1), Value::from(16), Value::Null]);
    assert_eq!(found["scaling"][0]["median"]["items"], 64);
    let plot = String::from_utf8(place.read("plot.svg")).unwrap();
    assert_eq!(unbalanced(&plot), Vec::<String>::new());
    let outcome = place.taskhost("bench primes ranges.txt -j 1 --runs 1 --batch 8 -- --split chunks:1").run().code(3);
    assert!(outcome.stderr.contains("expected two whole numbers"), "{}", outcome.stderr);
}
