//! Letting go of privileges once the capture handles are open: what reads hostile packets from then on is nobody, may open no
//! file but those it was told to write, and may start no program and open no socket.
//!
//! Each step is tried on its own; what could not be done is told, and never stops the capture.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Uid, User, geteuid, setgid, setgroups, setuid};

/// Who runs the program where nobody is named: the user and group with no rights.
const NOBODY: u32 = 65_534;
/// What is younger than this was made by this run, which has just begun.
const NEW: Duration = Duration::from_secs(30);

/// What was let go of, for `-v`.
#[derive(Debug, Default)]
pub struct Dropped {
    /// Done, one phrase each.
    pub done: Vec<String>,
    /// What could not be, and why.
    pub not_done: Vec<String>,
}

impl Dropped {
    fn note(&mut self, what: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.done.push(what.to_owned()),
            Err(why) => self.not_done.push(format!("{what}: {why}")),
        }
    }
}

/// Drops everything that capturing on open handles does not need. To be called before threads are started: some of it holds
/// for the calling thread and its children only. `written` are files already open, which the invoking user is to own;
/// `directory` is where files will be created.
pub fn drop_all(written: &[&Path], directory: Option<&Path>) -> Dropped {
    let mut dropped = Dropped::default();
    if geteuid().is_root() {
        become_somebody(written, directory, &mut dropped);
    }
    confine(directory, &mut dropped);
    dropped
}

/// The user to become: who called sudo, or else nobody.
fn somebody() -> (Uid, Gid, String) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    match (number("SUDO_UID"), number("SUDO_GID")) {
        (Some(user), Some(group)) if user != 0 => (Uid::from_raw(user), Gid::from_raw(group), format!("user {user}")),
        _ => {
            let nobody = User::from_name("nobody").ok().flatten();
            let ids = nobody.map_or((Uid::from_raw(NOBODY), Gid::from_raw(NOBODY)), |user| (user.uid, user.gid));
            (ids.0, ids.1, "nobody".to_owned())
        }
    }
}

fn become_somebody(written: &[&Path], directory: Option<&Path>, dropped: &mut Dropped) {
    let (user, group, name) = somebody();
    // What root has just created belongs to the invoking user; nobody needs to own nothing.
    let owned = if name == "nobody" { &[] } else { written };
    for path in owned.iter().copied().chain(directory) {
        let ours = std::fs::symlink_metadata(path).is_ok_and(|file| {
            // Only what this run has made: a directory that was there, /tmp say, stays whose it is.
            let new = file.created().ok().and_then(|created| created.elapsed().ok()).is_some_and(|age| age < NEW);
            new && std::os::unix::fs::MetadataExt::uid(&file) == 0 && (file.is_file() || file.is_dir())
        });
        if ours {
            let changed = std::os::unix::fs::lchown(path, Some(user.as_raw()), Some(group.as_raw()));
            if let Err(error) = changed {
                dropped.not_done.push(format!("{} given to {name}: {error}", path.display()));
            }
        }
    }
    let groups = setgroups(&[group]).map_err(|error| error.to_string());
    dropped.note("supplementary groups dropped", groups);
    let ids = setgid(group).and_then(|()| setuid(user)).map_err(|error| error.to_string());
    dropped.note(&format!("root dropped, running as {name}"), ids);
}

#[cfg(target_os = "linux")]
fn confine(directory: Option<&Path>, dropped: &mut Dropped) {
    dropped.note("capabilities dropped", drop_capabilities());
    dropped.note("no new privileges", nix::sys::prctl::set_no_new_privs().map_err(|error| error.to_string()));
    dropped.note("files confined (Landlock)", confine_files(directory));
    dropped.note("system calls confined (seccomp)", confine_calls());
}

#[cfg(not(target_os = "linux"))]
fn confine(_: Option<&Path>, dropped: &mut Dropped) {
    dropped.not_done.push("files and system calls confined: only on Linux".to_owned());
}

#[cfg(target_os = "linux")]
fn drop_capabilities() -> Result<(), String> {
    use caps::CapSet::{Ambient, Bounding, Effective, Inheritable, Permitted};
    // The bounding set can only be emptied with CAP_SETPCAP; without capabilities and with no_new_privs it matters no more.
    let _ = caps::clear(None, Bounding);
    let _ = caps::clear(None, Ambient);
    for set in [Inheritable, Effective, Permitted] {
        caps::clear(None, set).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Leaves: reading what the kernel tells of interfaces, the terminal, and the directory that files are written to.
#[cfg(target_os = "linux")]
fn confine_files(directory: Option<&Path>) -> Result<(), String> {
    use landlock::{
        ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
    };

    let abi = ABI::V5;
    let read = AccessFs::from_read(abi) & !AccessFs::Execute;
    let all = AccessFs::from_all(abi) & !AccessFs::Execute;
    let kernel = ["/sys/class/net", "/sys/devices"].map(PathBuf::from);
    let devices = ["/dev/tty", "/dev/null"].map(PathBuf::from);
    let confine = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(abi))?
            .create()?
            .add_rules(path_beneath_rules(kernel, read))?
            .add_rules(path_beneath_rules(devices, all))?
            .add_rules(path_beneath_rules(directory, all))?
            .restrict_self()
    };
    match confine() {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => Err("the kernel has no Landlock".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Forbids what this program never does from here on and an intruder would: it fails with EPERM.
#[cfg(target_os = "linux")]
fn confine_calls() -> Result<(), String> {
    use nix::libc;
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

    let forbidden = [
        // Programs and other processes.
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        // The network. Sockets that are open stay; pairs of connected ones are no way out.
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_io_uring_setup,
        // File systems and namespaces.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_open_by_handle_at,
        // The kernel.
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_sethostname,
        libc::SYS_personality,
        libc::SYS_acct,
    ];
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(
        forbidden.into_iter().map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        architecture,
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|error| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}
