//! The interfaces of this host: their list for people, and the names behind the kernel's numbers.

use std::collections::BTreeMap;
use std::path::Path;

use pcap::Device;

/// Where Linux tells of its interfaces.
const SYSFS: &str = "/sys/class/net";

/// An interface that can be captured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, as `-i` takes it.
    pub name: String,
    /// Up, or not; `None` for what is never up or down (`any`).
    pub up: Option<bool>,
    /// Its addresses and what else there is to say.
    pub details: String,
}

/// All interfaces that libpcap can capture IP packets on; needs no privileges. Empty where it cannot tell.
pub fn list() -> Vec<Listed> {
    let devices = Device::list().unwrap_or_default();
    devices.into_iter().filter(|device| !is_no_network(&device.name)).map(listed).collect()
}

/// What libpcap lists besides interfaces with IP: USB and D-Bus monitors, netfilter queues.
fn is_no_network(name: &str) -> bool {
    ["usbmon", "dbus-", "nflog", "nfqueue", "bluetooth"].iter().any(|prefix| name.starts_with(prefix))
}

fn listed(device: Device) -> Listed {
    let mut details: Vec<String> = device.addresses.iter().map(|address| address.addr.to_string()).collect();
    if device.name == "any" {
        details.push("all interfaces".to_owned());
    } else if device.flags.is_loopback() {
        details.push("loopback".to_owned());
    }
    let up = (device.name != "any").then(|| device.flags.is_up());
    Listed { name: device.name, up, details: details.join(", ") }
}

/// The kernel's interface numbers and their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeMap<u32, String>);

impl Names {
    /// As the kernel tells now.
    pub(super) fn now() -> Self {
        let Ok(all) = nix::net::if_::if_nameindex() else { return Self::default() };
        Self(all.iter().map(|one| (one.index(), one.name().to_string_lossy().into_owned())).collect())
    }

    /// The name of an interface. One that came later is looked up in sysfs, which needs no socket: those are forbidden by then.
    pub(super) fn of(&mut self, index: u32) -> String {
        if !self.0.contains_key(&index) {
            self.0.extend(from_sysfs());
        }
        self.0.get(&index).cloned().unwrap_or_else(|| format!("interface {index}"))
    }
}

/// The interfaces in sysfs, by number.
fn from_sysfs() -> BTreeMap<u32, String> {
    let entries = std::fs::read_dir(SYSFS).into_iter().flatten().flatten();
    let numbered = |name: String| {
        let index = std::fs::read_to_string(Path::new(SYSFS).join(&name).join("ifindex")).ok()?;
        Some((index.trim().parse().ok()?, name))
    };
    entries.filter_map(|entry| numbered(entry.file_name().to_string_lossy().into_owned())).collect()
}

/// Whether an interface of this name exists.
pub(super) fn exists(name: &str) -> bool {
    !name.contains('/') && Path::new(SYSFS).join(name).exists()
}
