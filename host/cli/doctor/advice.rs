//! What can be done about what is missing.

use taskhost_os::sandbox::Layer;

use super::health::Health;

/// Open files that a run with many inputs and workers wants: below, it opens inputs one by one.
const OPEN_FILES: u64 = 1024;

/// A line for each thing that could be better, the worst first.
pub(super) fn about(health: &Health) -> Vec<String> {
    let mut advice = Vec::new();
    if let Some(problem) = &health.start_up.problem {
        advice.push(format!("no worker could be started: {problem}"));
    }
    let missing = |layer: Layer| health.sandbox.layers.iter().any(|state| !state.live && state.name == layer.name());
    if missing(Layer::SystemCalls) {
        advice
            .push("this kernel or container refuses system-call filters (seccomp), without which nothing runs".into());
    }
    if missing(Layer::Namespaces) {
        advice.push(
            "allow user namespaces: set the sysctls kernel.unprivileged_userns_clone and user.max_user_namespaces, or \
             kernel.apparmor_restrict_unprivileged_userns=0; in a container, let its filter pass `unshare` and `clone`"
                .into(),
        );
    } else if missing(Layer::EmptyRoot) {
        advice.push("allow mounts inside user namespaces: a security module or a container forbids them".into());
    }
    if missing(Layer::Landlock) {
        advice.push("switch on Landlock: Linux 5.13 or newer, with `landlock` in the kernel's parameter `lsm=`".into());
    }
    if let Some(problem) = &health.cache.problem {
        advice.push(format!("kernels are compiled for every run: set XDG_CACHE_HOME to a folder of yours ({problem})"));
    }
    if let Some(problem) = &health.runtime_folder.problem {
        advice
            .push(format!("runs cannot see each other's cores: set XDG_RUNTIME_DIR to a folder of yours ({problem})"));
    }
    for limit in &health.limits {
        let Some(value) = limit.value else { continue };
        match limit.name {
            "address space" => {
                advice.push("lift the limit on address space (ulimit -v unlimited): workers reserve much".into())
            }
            "open files" if value < OPEN_FILES => {
                advice.push(format!("raise the limit on open files (ulimit -n {OPEN_FILES})"))
            }
            _ => {}
        }
    }
    advice
}
