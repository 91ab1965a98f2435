//! Many jobs of many tenants, while processes are killed at random, the server among them, and while the disk is full: every job
//! that was accepted comes to its end once, with the bytes of an undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::client::{Client, Server, raw};
use crate::harness::{Place, Process, Random, eventually, not_for_this_user, rounds, skipped};

const TENANTS: usize = 10;

/// Jobs of each tenant; with those in `TASKHOST_ROUNDS` as many as it says.
const JOBS: u64 = 5;

/// Processes that are killed between two ends of the server: with more, nothing would get anywhere.
const BLOWS: u64 = 10;

/// Ends of the server, at most.
const ENDS: usize = 20;

/// How often it is looked how far all of them are: the server is to do other things as well.
const LOOK: Duration = Duration::from_millis(10);

/// The jobs that were accepted: whose, and what comes of them.
type Accepted = BTreeMap<String, (usize, String)>;

/// The number of primes below a number: what the kernel counts.
fn primes_below(end: u64) -> usize {
    (2..end).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

fn tenants(place: &Place, server: &Server) -> Vec<Client> {
    let make = |number: usize| {
        let client = server.tenant(place, &format!("tenant{number}"), "--requests 100000");
        client.kernel("primes");
        client
    };
    (0..TENANTS).map(make).collect()
}

/// Submits a job of its own for a tenant. `None` when the server cannot take it now.
fn submit(client: &Client, random: &mut Random) -> Option<(String, String)> {
    let ends: Vec<u64> = (0..5).map(|_| 10 + random.below(2000)).collect();
    let text: String = ends.iter().map(|end| format!("0 {end}\n")).collect();
    let wanted: String = ends.iter().map(|end| format!("{}\n", primes_below(*end))).collect();
    let job = json!({ "kernel": "primes", "input": { "text": text }, "parameters": { "batch": 1, "retries": 100 } });
    let answer = client.post("/v1/jobs", job.to_string());
    let id = (answer.status == 202).then(|| answer.json()["id"].as_str().unwrap().to_owned())?;
    Some((id, wanted))
}

/// All jobs are over as they should be, each counts once, and nothing else is there.
#[track_caller]
fn all_ended_once(place: &Place, clients: &[Client], accepted: &Accepted) {
    for (job, (tenant, wanted)) in accepted {
        let ended = clients[*tenant].wait(job);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let result = clients[*tenant].get(&format!("/v1/jobs/{job}/result")).is(200);
        assert_eq!(&result.text(), wanted, "{ended}");
    }
    for (number, client) in clients.iter().enumerate() {
        let own = accepted.values().filter(|(tenant, _)| *tenant == number).count();
        let used = client.get("/v1/usage").is(200).json();
        assert_eq!((client.used("jobs"), &used["open_jobs"]), (own as u64, &json!(0)), "{used}");
    }
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
}

/// Jobs that are not over.
fn open(server: &Server) -> usize {
    let metrics = raw(&server.address, "GET", "/metrics", "", b"").is(200).text();
    let counts = metrics.lines().filter_map(|line| line.strip_prefix("taskhost_jobs{")?.split_once("} "));
    counts.map(|(_, count)| count.parse::<usize>().unwrap()).sum()
}

#[test]
fn whatever_is_killed_every_job_ends_once() {
    let place = Place::new();
    let mut random = Random::new("service chaos");
    let mut server = Server::start(&place);
    let mut clients = tenants(&place, &server);
    let mut accepted = Accepted::new();
    let count = |usual| usize::try_from(rounds(usual)).unwrap();
    for tenant in (0..TENANTS).cycle().take(TENANTS * count(JOBS)) {
        let (job, wanted) = submit(&clients[tenant], &mut random).expect("it is taken");
        accepted.insert(job, (tenant, wanted));
    }
    let (ends, mut killed) = (count(3).min(ENDS), BTreeSet::new());
    for end in 1..=ends {
        // Between two ends, some jobs come to theirs, and some processes are killed.
        let left = accepted.len() - accepted.len() * end / (ends + 1);
        let mut blows = BLOWS;
        while open(&server) > left {
            std::thread::park_timeout(LOOK);
            let runs = runs_of(&server);
            if blows > 0 && !runs.is_empty() && random.below(3) == 0 {
                blows -= 1;
                let run = &runs[usize::try_from(random.below(runs.len() as u64)).unwrap()];
                let job = std::fs::read_link(run.file("cwd")).unwrap_or_default();
                match run.workers().first() {
                    Some(worker) => worker.signal(Signal::KILL),
                    // A job of which the process always dies is given up, and should be.
                    None if killed.insert(job) => run.signal(Signal::KILL),
                    None => {}
                }
            }
        }
        server.end(Signal::KILL).code(137);
        server = Server::start(&place);
        clients = clients.iter().map(|client| client.at(&server)).collect();
    }
    all_ended_once(&place, &clients, &accepted);
    server.end(Signal::TERM).code(0);
}

#[test]
fn a_job_of_which_the_process_always_dies_is_given_up_and_others_are_not() {
    let place = Place::new();
    let server = Server::start(&place);
    let anna = server.tenant(&place, "anna", "");
    anna.kernel("primes");
    let submit = |text: &str| {
        let job = json!({ "kernel": "primes", "input": { "text": text }, "parameters": { "batch": 1 } });
        anna.post("/v1/jobs", job.to_string()).is(202).json()["id"].as_str().unwrap().to_owned()
    };
    let unlucky = submit(&"0 300000\n".repeat(10_000));
    let mut killed = BTreeSet::new();
    for _ in 0..3 {
        eventually("it has a process", || {
            let run = runs_of(&server).into_iter().find(|run| !killed.contains(&run.id));
            run.is_some_and(|run| {
                run.signal(Signal::KILL);
                killed.insert(run.id)
            })
        });
    }
    let ended = anna.wait(&unlucky);
    assert_eq!((&ended["state"], &ended["exit_code"], &ended["attempts"]), (&json!("failed"), &json!(1), &json!(3)));
    assert!(ended["message"].as_str().is_some_and(|message| message.contains("3 times")), "{ended}");
    assert_eq!(anna.wait(&submit("0 10\n"))["state"], "succeeded");
    server.end(Signal::TERM).code(0);
}

/// The runs that a server has started.
pub(super) fn runs_of(server: &Server) -> Vec<Process> {
    let workers: Vec<u32> = server.running.process.workers().iter().map(|worker| worker.id).collect();
    let children = std::fs::read_dir(server.running.process.file("task")).into_iter().flatten().filter_map(Result::ok);
    let children = children.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let ids: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    ids.into_iter().filter(|id| !workers.contains(id)).filter_map(Process::open).collect()
}

/// A file system of its own, of so many bytes, until this is dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf, size: &str) -> rustix::io::Result<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let options = std::ffi::CString::new(format!("size={size},mode=700")).unwrap();
        rustix::mount::mount("tmpfs", &path, "tmpfs", rustix::mount::MountFlags::empty(), Some(options.as_c_str()))?;
        Ok(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_costs_time_and_no_job() {
    let test = "service::chaos::a_full_disk_costs_time_and_no_job";
    if !rustix::process::geteuid().is_root() {
        return not_for_this_user(test, "only root makes a disk that is small");
    }
    let place = Place::new();
    let _disk = match SmallDisk::mount(place.path("data"), "32m") {
        Ok(disk) => disk,
        Err(error) => return skipped(test, &format!("no file system can be mounted: {error}")),
    };
    let mut random = Random::new("service disk");
    let server = Server::start(&place);
    let clients = tenants(&place, &server);
    let mut accepted = Accepted::new();
    let mut submit_some = |accepted: &mut Accepted| {
        let mut refused = 0;
        for (tenant, client) in clients.iter().enumerate() {
            match submit(client, &mut random) {
                Some((job, wanted)) => drop(accepted.insert(job, (tenant, wanted))),
                None => refused += 1,
            }
        }
        refused
    };
    assert_eq!(submit_some(&mut accepted), 0);
    let filler = place.path("data/filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let mut fill = || {
        for piece in [1 << 20, 4096, 1] {
            while std::io::Write::write_all(&mut file, &vec![0; piece]).is_ok() {}
        }
    };
    for _ in 0..5 {
        fill();
        // What cannot be kept is not accepted; what was is not lost.
        submit_some(&mut accepted);
        eventually("a content that does not fit is refused", || {
            // Jobs that end make room, and so does the store when it puts itself in order.
            fill();
            let answer = clients[0].post("/v1/blobs", vec![1; 4 << 20]);
            answer.status != 201 && answer.is(503).code() == "busy"
        });
    }
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    eventually("it takes jobs again", || submit_some(&mut accepted) == 0);
    all_ended_once(&place, &clients, &accepted);
    server.end(Signal::TERM).code(0);
}
