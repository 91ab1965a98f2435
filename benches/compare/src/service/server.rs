//! A server that is started for a measurement and ended after it, and who may use it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::connection::{Connection, request};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// A process that serves; dropping it ends it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Child,
    program: PathBuf,
    data: PathBuf,
}

/// Somebody with a token.
pub(crate) struct Tenant {
    pub(crate) address: SocketAddr,
    token: String,
}

impl Server {
    /// `taskhost serve`, with nothing in it. Its walls are all of them, unless the variable `TASKHOST_SANDBOX` says otherwise.
    pub(crate) fn taskhost(program: &Path, folder: &Path) -> Outcome<Self> {
        let data = folder.join("service-data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        let walls = std::env::var("TASKHOST_SANDBOX").unwrap_or_else(|_| "full".into());
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--drain-time", "0s", "--sandbox", &walls]);
        let mut process = command.arg("--data").arg(&data).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let Some(address) = address else {
            process.kill()?;
            process.wait()?;
            return Err("taskhost serve does not start: see what it says with the same flags".into());
        };
        Ok(Self { address, process, program: program.to_owned(), data })
    }

    /// `wasmtime serve` of a component.
    pub(crate) fn wasmtime(program: &Path, component: &Path) -> Outcome<Self> {
        // It cannot say which port it took.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["serve", "--addr", &address.to_string()]).arg(component);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { address, process, program: program.to_owned(), data: PathBuf::new() };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > START {
                return Err("wasmtime serve does not listen".into());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// A new tenant who may ask as often as it likes, with a first-party kernel under its name.
    pub(crate) fn tenant(&self, name: &str, kernel: &str) -> Outcome<Tenant> {
        let mut command = Command::new(&self.program);
        command.args(["tenant", "create", name, "--requests", "10000000", "--queued-jobs", "1000000"]);
        let output = command.arg("--data").arg(&self.data).stderr(Stdio::null()).output()?;
        let token = String::from_utf8(output.stdout)?.trim().to_owned();
        let tenant = Tenant { address: self.address, token };
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../plugins/dist/{kernel}.wasm"));
        let mut connection = Connection::new(self.address)?;
        let stored = connection.ask(&tenant.request("POST /v1/kernels", &fs::read(file)?))?;
        let stored: serde_json::Value = serde_json::from_slice(stored.body)?;
        let digest = stored["digest"].as_str().ok_or("the kernel was not taken")?;
        let meaning = serde_json::json!({ "digest": digest }).to_string();
        let named = tenant.request(&format!("PUT /v1/aliases/{kernel}"), meaning.as_bytes());
        if connection.ask(&named)?.status >= 300 {
            return Err("the kernel got no name".into());
        }
        Ok(tenant)
    }

    /// Bytes of memory that are the server's, those that it shares with others in parts.
    pub(crate) fn memory(&self) -> Outcome<f64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no memory is told")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }
}

impl Tenant {
    /// A request of this tenant.
    pub(crate) fn request(&self, line: &str, body: &[u8]) -> Vec<u8> {
        request(self.address, line, Some(&self.token), body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(id) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.process.wait();
        if !self.data.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.data);
        }
    }
}
