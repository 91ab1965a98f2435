//! Many jobs of many tenants, while the disk is full: every job
//! that was accepted comes to its end once, with the bytes of an undisturbed run.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::json;

use super::client::{Client, Server};
use crate::harness::{Place, Random, eventually, not_for_this_user, skipped};

const TENANTS: usize = 10;

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
        assert_eq!((&used["today"]["jobs"], &used["open_jobs"]), (&json!(own), &json!(0)), "{used}");
    }
    eventually("nothing is left", || std::fs::read_dir(place.path("data/work")).unwrap().count() == 0);
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
    for _ in 0..5 {
        // Jobs that end make room.
        for piece in [1 << 20, 4096, 1] {
            while std::io::Write::write_all(&mut file, &vec![0; piece]).is_ok() {}
        }
        // What cannot be kept is not accepted; what was is not lost.
        submit_some(&mut accepted);
        let refused = clients[0].post("/v1/blobs", vec![1; 4 << 20]).is(503);
        assert_eq!(refused.code(), "busy");
    }
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    eventually("it takes jobs again", || submit_some(&mut accepted) == 0);
    all_ended_once(&place, &clients, &accepted);
    server.end(Signal::TERM).code(0);
}
