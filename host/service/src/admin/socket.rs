//! The operator's socket: a line of JSON in, a line of JSON out. Whoever can open it owns the data folder.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{AdminAnswer, AdminRequest, Ground, perform};
use crate::blobs::LocalBlobs;
use crate::data::{DATABASE, DataError, DataFolder, admin_socket};
use crate::store::{Store, StoreError};
use crate::tenant::Directory;

/// Longest line.
const LINE: u64 = 16 << 20;

/// How long the other side may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the operator was not heard.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The folder cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody has served from this folder, nor made a tenant in it.
    #[error(
        "{0} has no data of a service: name the folder with --data that `taskhost serve` has, or make a first tenant there"
    )]
    NoData(PathBuf),
    /// The server does not answer as it should.
    #[error("the server that has {path} does not answer: {error}")]
    Server {
        /// The data folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The socket of a server. The thread that listens ends with the process.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
}

impl AdminSocket {
    /// Listens from now on; `changed` is called when something may have been changed, with what is answered.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn listen(folder: &DataFolder, ground: Ground, changed: Box<dyn Fn(&AdminAnswer) + Send>) -> io::Result<Self> {
        let path = admin_socket(folder.path());
        // Of a server that died: this one has the lock.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Until now the folder's own permissions kept others out.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        std::thread::Builder::new().name("admin".into()).spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                // One at a time; one that says nothing is given up.
                let _ = serve(&stream, &ground, &changed);
            }
        })?;
        Ok(Self { path })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn line(stream: &UnixStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    BufReader::new(stream.take(LINE)).read_line(&mut text)?;
    if text.ends_with('\n') { Ok(text) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn send(mut stream: &UnixStream, value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    stream.write_all(&text)
}

fn serve(stream: &UnixStream, ground: &Ground, changed: &dyn Fn(&AdminAnswer)) -> io::Result<()> {
    let answer = match serde_json::from_str(&line(stream)?) {
        Ok(request) => perform(ground, request),
        Err(error) => AdminAnswer::Refused(format!("the request is not understood: {error}")),
    };
    changed(&answer);
    send(stream, &answer)
}

/// Has it done by the server that has this data folder, or in the store itself when there is none.
///
/// # Errors
/// When neither is possible. What is refused is an answer.
pub fn ask(data: &Path, request: AdminRequest) -> Result<AdminAnswer, AdminError> {
    match UnixStream::connect(admin_socket(data)) {
        Ok(stream) => {
            let talk = || {
                send(&stream, &request)?;
                Ok(serde_json::from_str(&line(&stream)?)?)
            };
            talk().map_err(|error| AdminError::Server { path: data.to_owned(), error })
        }
        // A folder is made for whoever begins with one, and not for a name that is not quite right.
        Err(_) if !matches!(request, AdminRequest::Create { .. }) && !data.join(DATABASE).exists() => {
            Err(AdminError::NoData(data.to_owned()))
        }
        Err(_) => {
            let folder = DataFolder::take(data)?;
            let directory = Arc::new(Directory::new(Store::open(&folder.database())?)?);
            let blobs = Arc::new(LocalBlobs::new(folder.path()));
            Ok(perform(&Ground { directory, blobs, data: folder.path().to_owned() }, request))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::admin::NewToken;
    use crate::network::Networks;
    use crate::store::audit;
    use crate::tenant::{QuotaChange, Scopes, TenantId, Token};

    const ANY: NewToken = NewToken { scopes: Scopes::ALL, life: None, networks: Networks(Vec::new()) };
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn create(name: &str) -> AdminRequest {
        AdminRequest::Create { name: name.into(), weight: None, quotas: QuotaChange::default(), token: ANY }
    }

    fn token(answer: AdminAnswer) -> Token {
        match answer {
            AdminAnswer::Token(shown) => Token::parse(&shown).expect("a token"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn with_a_server_and_without() {
        let place = tempfile::tempdir().expect("a folder");
        let data = place.path().join("data");
        let anna = token(ask(&data, create("anna")).expect("answered"));
        let folder = DataFolder::take(&data).expect("free");
        let store = Store::open(&folder.database()).expect("a store");
        let directory = Arc::new(Directory::new(store).expect("a directory"));
        let blobs = Arc::new(LocalBlobs::new(folder.path()));
        let ground = Ground { directory: Arc::clone(&directory), blobs, data: folder.path().to_owned() };
        let socket = AdminSocket::listen(&folder, ground, Box::new(|_| ())).expect("a socket");
        let mode = fs::metadata(admin_socket(folder.path())).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let bert = token(ask(&data, create("bert")).expect("answered"));
        assert!(matches!(ask(&data, create("bert")).expect("answered"), AdminAnswer::Refused(_)));
        assert!(matches!(ask(&data, create("../x")).expect("answered"), AdminAnswer::Refused(_)));
        // The server knows at once what it was told.
        for (token, id) in [(&anna, 1), (&bert, 2)] {
            assert_eq!(directory.identify(token, HERE).expect("known").tenant.id, TenantId(id));
        }
        let rotate = AdminRequest::Rotate { name: "anna".into(), token: ANY, overlap: Duration::ZERO };
        let new = token(ask(&data, rotate).expect("answered"));
        assert!(directory.identify(&anna, HERE).is_err());
        assert!(directory.identify(&new, HERE).is_ok());
        let disable = AdminRequest::Set {
            name: "bert".into(),
            weight: None,
            quotas: QuotaChange::default(),
            enabled: Some(false),
        };
        assert!(matches!(ask(&data, disable).expect("answered"), AdminAnswer::Done));
        assert!(directory.identify(&bert, HERE).is_err());
        drop(socket);
        drop(directory);
        drop(folder);
        let AdminAnswer::Tenants(tenants) = ask(&data, AdminRequest::List).expect("answered") else { panic!("a list") };
        let found: Vec<_> = tenants.iter().map(|view| (&*view.tenant.name, view.tenant.enabled)).collect();
        assert_eq!(found, [("anna", true), ("bert", false)]);
    }

    #[test]
    fn what_was_done_is_in_the_log_and_what_was_changed_there_is_found() {
        let place = tempfile::tempdir().expect("a folder");
        let data = place.path().join("data");
        for name in ["anna", "bert"] {
            ask(&data, create(name)).expect("answered");
        }
        let store = Store::open(&DataFolder::take(&data).expect("free").database()).expect("a store");
        assert_eq!(store.read(audit::verify).expect("whole"), 4);
        store.write(|rows| Ok(rows.execute("UPDATE audit SET object = 'x' WHERE number = 2", [])?)).expect("written");
        store.read(audit::verify).expect_err("changed");
        store.write(|rows| Ok(rows.execute("DELETE FROM audit WHERE number = 2", [])?)).expect("written");
        store.read(audit::verify).expect_err("left out");
    }
}
