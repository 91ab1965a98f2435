//! What is to hold, as root and as nobody.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use taskhost_os::sandbox::{Folder, Held, HeldFolder, Insistence, Layer, Specification, inspect, inspect_with, probe};
use taskhost_os::spawn::Namespaces;

use crate::attempts::{ALL, Right};
use crate::child::{Fate, Plan, receive};
use crate::raw;

/// Layers that keep a worker inside of a folder that was cut off, and of one that was not, each alone.
const CUT_OFF: [&[Layer]; 4] = [&[], &[Layer::SystemCalls], &[Layer::Landlock], &[Layer::SystemCalls, Layer::Landlock]];
const NOT_CUT_OFF: [&[Layer]; 2] = [&[], &[Layer::SystemCalls]];

pub(crate) fn run(who: &str) {
    for finding in probe() {
        if let Err(reason) = &finding.offer {
            let required = std::env::var("TASKHOST_REQUIRE").is_ok_and(|value| value == "full");
            assert!(!required, "{} is required, and missing: {reason}", finding.layer);
            println!("SKIPPED {who}: granted folders ({reason})");
            return;
        }
    }
    nothing_outside_of_a_granted_folder_is_reached();
    without_namespaces_and_landlock_nothing_is_granted();
    a_folder_is_seen_from_outside();
    what_is_no_place_for_files_is_refused();
    what_is_mounted_inside_does_not_come_along();
}

/// A folder to grant, with what leads out of it, in a folder with a secret.
struct Place {
    all: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let all = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(all.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let place = Self { all };
        let write = |name: &str, text: &str| fs::write(place.path(name), text).expect("space");
        fs::create_dir_all(place.path("granted/sub")).expect("space");
        fs::create_dir_all(place.path("granted/inner")).expect("space");
        write("secret", "secret");
        write("granted/file", "file");
        write("granted/sub/file", "file");
        fs::hard_link(place.path("granted/file"), place.path("granted/hard")).expect("space");
        fs::copy("/bin/true", place.path("granted/program")).expect("space");
        let links = [
            ("absolute", place.path("secret")),
            ("outward", "../secret".into()),
            ("upward", "..".into()),
            ("magic", "/proc/self/root/etc/passwd".into()),
            ("descriptors", "/proc/self/fd".into()),
            ("dangling", place.path("planted")),
        ];
        for (name, to) in links {
            symlink(to, place.path("granted").join(name)).expect("space");
        }
        // Only root can make one.
        let device = place.path("granted/device");
        let zero = rustix::fs::makedev(1, 5);
        let _ = rustix::fs::mknodat(rustix::fs::CWD, device, rustix::fs::FileType::CharacterDevice, Mode::RUSR, zero);
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.all.path().join(name)
    }

    fn granted(&self) -> rustix::fd::OwnedFd {
        open(&self.path("granted"))
    }

    /// How much there is beside the folder, itself included.
    fn outside(&self) -> usize {
        fs::read_dir(self.all.path()).expect("it is ours").count()
    }

    /// What the folder holds, with its modes.
    fn state(&self) -> Vec<(String, u32)> {
        let entries = fs::read_dir(self.path("granted")).expect("it is ours").map(|entry| entry.expect("it is ours"));
        let mut all: Vec<_> = entries
            .map(|entry| {
                let mode = entry.metadata().expect("it is there").permissions().mode();
                (entry.file_name().to_string_lossy().into_owned(), mode)
            })
            .collect();
        all.sort();
        all
    }
}

fn open(path: &Path) -> rustix::fd::OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("it is there")
}

fn nothing_outside_of_a_granted_folder_is_reached() {
    let cut_off = CUT_OFF.into_iter().map(|without| (Namespaces::All, without));
    let not_cut_off = NOT_CUT_OFF.into_iter().map(|without| (Namespaces::None, without));
    for (namespaces, without) in cut_off.chain(not_cut_off) {
        for writable in [false, true] {
            for (attempt, right, _) in ALL {
                let plan = Plan { writable, insistence: Insistence::Auto, without: without.to_vec(), attempt };
                try_one(&plan, namespaces, right);
            }
        }
    }
}

fn try_one(plan: &Plan, namespaces: Namespaces, right: Right) {
    let Plan { writable, without, attempt, .. } = plan;
    let place = Place::new();
    let before = place.state();
    let fate = match *attempt {
        "race" => while_swapping(&place, |folder| plan.fate(namespaces, folder, || {})),
        name if name.starts_with("moved-out") => plan.fate(namespaces, place.granted().as_fd(), || {
            fs::rename(place.path("granted/sub"), place.path("moved")).expect("it is ours");
        }),
        _ => plan.fate(namespaces, place.granted().as_fd(), || {}),
    };
    let filtered = !without.contains(&Layer::SystemCalls);
    let has_device = place.path("granted/device").exists();
    let allowed = match right {
        Right::Read => true,
        Right::Write => *writable,
        Right::Inside => *writable && namespaces == Namespaces::All,
        Right::Never => false,
        Right::NotByLandlock => has_device && namespaces == Namespaces::None,
        Right::FilterOnly => *writable && !filtered,
    };
    // What a folder that may be written has landlocked away is free where there is no Landlock and no filter.
    let only_cut_off = !filtered && without.contains(&Layer::Landlock);
    let harmless = only_cut_off && *writable && ["make-pipe", "make-socket", "make-symlink"].contains(attempt);
    let told = format!("{attempt} {namespaces:?} without {without:?}, writable: {writable}: {fate:?}");
    match &fate {
        Fate::CameThrough => assert!(allowed || harmless, "{told}"),
        Fate::Refused(_) => assert!(!allowed, "{told}"),
        Fate::Died(end) => {
            let killed = *end == taskhost_os::child::End::Signal(libc::SIGSYS);
            assert!(killed && filtered && !allowed, "{told}");
        }
        Fate::NotGranted(_) => panic!("{told}"),
    }
    assert_eq!(fs::read_to_string(place.path("secret")).expect("it is ours"), "secret", "{told}");
    assert_eq!(place.outside(), if place.path("moved").exists() { 3 } else { 2 }, "{told}");
    if !writable && !attempt.starts_with("moved-out") && *attempt != "race" {
        assert_eq!(place.state(), before, "{told}");
    }
}

/// Somebody outside has a name mean a folder inside and a link to the one outside, by turns.
fn while_swapping(place: &Place, run: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> Fate) -> Fate {
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, Ordering::Relaxed);
    let (swapped, folder, link) =
        (place.path("granted/swapped"), place.path("granted/inner"), place.path("granted/upward"));
    fs::rename(&folder, &swapped).expect("it is ours");
    let swapper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            let _ = rustix::fs::renameat_with(
                rustix::fs::CWD,
                &swapped,
                rustix::fs::CWD,
                &link,
                rustix::fs::RenameFlags::EXCHANGE,
            );
        }
    });
    let fate = run(place.granted().as_fd());
    STOP.store(true, Ordering::Relaxed);
    swapper.join().expect("it ends");
    fate
}

fn without_namespaces_and_landlock_nothing_is_granted() {
    let place = Place::new();
    let fate = |insistence, without: &[Layer], namespaces| {
        let plan = Plan { writable: false, insistence, without: without.to_vec(), attempt: "read" };
        plan.fate(namespaces, place.granted().as_fd(), || {})
    };
    match fate(Insistence::Auto, &[Layer::Landlock], Namespaces::None) {
        Fate::NotGranted(said) => assert!(
            said.contains(
                "Landlock (it was left out for a test; a granted folder could not be cut off: no mount namespace"
            ),
            "{said}"
        ),
        fate => panic!("{fate:?}"),
    }
    assert_eq!(fate(Insistence::Full, &[], Namespaces::All), Fate::CameThrough);
    assert!(matches!(fate(Insistence::Full, &[], Namespaces::None), Fate::NotGranted(_)));
}

fn a_folder_is_seen_from_outside() {
    let place = Place::new();
    for (namespaces, writable) in [(Namespaces::All, true), (Namespaces::All, false), (Namespaces::None, false)] {
        let plan = Plan { writable, insistence: Insistence::Auto, without: Vec::new(), attempt: "read" };
        let granted = place.granted();
        let (child, socket) = plan.start(namespaces, granted.as_fd());
        assert_eq!(receive(&socket).as_deref(), Some("locked"));
        let is_apart = namespaces == Namespaces::All;
        let specification =
            Specification { namespaces: is_apart, threads: 1, filtered: true, user: None, held: Held::MemoryFiles };
        let held = HeldFolder::of(granted.as_fd(), writable).expect("it is open");
        let seen = inspect_with(child.id(), &specification, &[held, held]);
        if seen.as_ref().is_ok_and(|seen| !seen.hidden.is_empty()) {
            // Not even what it holds can be seen.
            assert!(!is_apart && !rustix::process::geteuid().is_root());
            continue;
        }
        // The test holds a folder inside as well.
        assert!(seen.is_err_and(|error| error.to_string().contains("instead of `a memory file`")));
        assert!(inspect(child.id(), &specification).is_err(), "nothing was granted");
        let inner = HeldFolder::of(open(&place.path("granted/sub")).as_fd(), writable).expect("it is open");
        let seen = inspect_with(child.id(), &specification, &[held, inner]).expect("both are known");
        assert_eq!(seen.layers.missing().len(), if is_apart { 0 } else { 2 }, "{seen:?}");
        if is_apart && writable {
            let wrong = HeldFolder::of(granted.as_fd(), false).expect("it is open");
            assert!(inspect_with(child.id(), &specification, &[wrong, inner]).is_err(), "it can be written");
        }
    }
}

fn what_is_no_place_for_files_is_refused() {
    for path in ["/proc", "/proc/self", "/proc/self/fd", "/sys"] {
        if !Path::new(path).exists() {
            continue;
        }
        let said = Folder::take(open(Path::new(path)), false).expect_err(path).to_string();
        assert!(said.contains("which shows the state of the machine and cannot be granted"), "{said}");
    }
    // What is gone is no folder to be granted either.
    let place = Place::new();
    let plan = Plan { writable: false, insistence: Insistence::Auto, without: Vec::new(), attempt: "read" };
    let folder = place.granted();
    fs::rename(place.path("granted"), place.path("elsewhere")).expect("it is ours");
    assert_eq!(plan.fate(Namespaces::All, folder.as_fd(), || {}), Fate::CameThrough, "its name is a new one");
    fs::remove_dir_all(place.path("elsewhere")).expect("it is ours");
    match plan.fate(Namespaces::All, folder.as_fd(), || {}) {
        Fate::NotGranted(said) => assert!(said.contains("was moved or deleted"), "{said}"),
        fate => panic!("{fate:?}"),
    }
}

/// Needs somebody who can mount.
fn what_is_mounted_inside_does_not_come_along() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let (granted, inner) = (place.path("granted"), place.path("granted/inner"));
    let end = raw::in_fork(|| {
        assert_eq!(raw::call(libc::SYS_unshare, [libc::CLONE_NEWNS as usize, 0, 0, 0, 0, 0]), 0);
        let propagation = rustix::mount::MountPropagationFlags::REC | rustix::mount::MountPropagationFlags::PRIVATE;
        rustix::mount::mount_change("/", propagation).expect("root may");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", &inner, "tmpfs", flags, None).expect("root may");
        let plan = Plan { writable: false, insistence: Insistence::Auto, without: Vec::new(), attempt: "read" };
        match plan.fate(Namespaces::All, open(&granted).as_fd(), || {}) {
            Fate::NotGranted(said) if said.contains("other file systems are mounted inside") => 0,
            _ => 1,
        }
    });
    assert_eq!(end, taskhost_os::child::End::Code(0));
}
