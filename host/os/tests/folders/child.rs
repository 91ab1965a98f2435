//! A worker with a granted folder: locks itself in and makes one attempt.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use taskhost_os::child::{Child, End};
use taskhost_os::sandbox::{Folder, Grants, Insistence, Layer, Policy, Role, lock_with};
use taskhost_os::socket::{Descriptors, Socket};
use taskhost_os::spawn::{Namespaces, Program, Spawn};

use crate::attempts::{self, Scene};
use crate::raw::end;

/// What a child is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) writable: bool,
    pub(crate) insistence: Insistence,
    pub(crate) without: Vec<Layer>,
    pub(crate) attempt: &'static str,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It could not be granted, or not locked in.
    NotGranted(String),
    /// It did what it tried.
    CameThrough,
    /// The kernel refused it.
    Refused(i32),
    /// It died.
    Died(End),
}

impl Plan {
    fn text(&self) -> String {
        let place = |layer: &Layer| Layer::ALL.iter().position(|other| other == layer).expect("all of them");
        let without: String = self.without.iter().map(|layer| place(layer).to_string()).collect();
        format!(
            "{};{};{without};{}",
            u8::from(self.writable),
            u8::from(self.insistence == Insistence::Full),
            self.attempt
        )
    }

    /// Starts a child that is granted the folder; it has said whether it is locked in.
    pub(crate) fn start(&self, namespaces: Namespaces, folder: BorrowedFd<'_>) -> (Child, Socket) {
        let (own, other) = Socket::pair().expect("descriptors are left");
        let program = &Program::ProcSelfExe;
        let spawn = Spawn { args: &[c"granted"], program, namespaces, core: None, socket: other.as_fd() };
        let child = spawn.start().expect("a process more, and namespaces");
        own.send(self.text().as_bytes(), &[folder]).expect("it listens");
        (child, own)
    }

    /// Lets a child make the attempt. `meanwhile` is called when it has begun.
    pub(crate) fn fate(&self, namespaces: Namespaces, folder: BorrowedFd<'_>, meanwhile: impl FnOnce()) -> Fate {
        let (mut child, socket) = self.start(namespaces, folder);
        match receive(&socket).as_deref() {
            Some("locked") => {}
            said => return Fate::NotGranted(said.unwrap_or("it died").to_owned()),
        }
        meanwhile();
        socket.send(b"go", &[]).expect("it listens");
        let said = receive(&socket);
        let end = child.wait().expect("a child").end;
        match said.as_deref() {
            Some("done") => Fate::CameThrough,
            Some(errno) => Fate::Refused(errno.parse().expect("an errno")),
            None => Fate::Died(end),
        }
    }
}

pub(crate) fn receive(socket: &Socket) -> Option<String> {
    let mut buffer = [0; 4096];
    let received = socket.recv(&mut buffer, Descriptors::Refuse).expect("open");
    (!received.closed).then(|| String::from_utf8(buffer[..received.len].to_vec()).expect("text"))
}

/// The life of a child.
pub(crate) fn live() -> ! {
    let socket = Socket::inherited().expect("the parent's socket");
    let mut buffer = [0; 256];
    let received = socket.recv(&mut buffer, Descriptors::Accept).expect("a plan");
    let text = String::from_utf8(buffer[..received.len].to_vec()).expect("text");
    let folder = received.fds.into_iter().next().expect("a folder");
    let say = |text: &str| drop(socket.send(text.as_bytes(), &[]));
    match granted(&text, folder, &socket) {
        Ok((scene, attempt)) => {
            say("locked");
            let _ = socket.recv(&mut buffer, Descriptors::Refuse);
            match attempt(&scene) {
                Ok(()) => say("done"),
                Err(error) => say(&error.raw_os_error().unwrap_or(0).to_string()),
            }
        }
        Err(error) => say(&error),
    }
    end(0)
}

type Attempt = fn(&Scene) -> io::Result<()>;

fn granted(text: &str, sent: OwnedFd, socket: &Socket) -> Result<(Scene, Attempt), String> {
    let fields: Vec<&str> = text.split(';').collect();
    let [writable, full, without, name] = fields[..] else { panic!("four fields") };
    let without = without.bytes().map(|digit| Layer::ALL[usize::from(digit - b'0')]).collect();
    let insistence = if full == "1" { Insistence::Full } else { Insistence::Auto };
    let attempt = attempts::by_name(name);
    let folder = Folder::take(sent, writable == "1").map_err(|error| error.to_string())?;
    let sub = rustix::fs::openat(&folder, "sub", attempts::FOLDER, rustix::fs::Mode::empty()).ok();
    let grants = Grants { control: socket.as_fd(), slots: 4, file_bytes: None, threads: 1 };
    let folders = [folder];
    lock_with(Role::ExecuteWithFiles, &Policy { insistence, without }, &grants, &folders)
        .map_err(|error| error.to_string())?;
    let [folder] = folders;
    Ok((Scene { folder: folder.into_descriptor(), sub }, attempt))
}
