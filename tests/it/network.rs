//! Networks on which packets vanish: a network namespace (ip-netns(8)) with two cables, pairs of virtual interfaces, to where
//! the test runs. It takes the right to make them (`CAP_NET_ADMIN`, `CAP_SYS_ADMIN`).

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// An address that no interface has: who sends to it is not answered, and is not told either.
const NOBODY: &str = "02:00:00:00:00:99";

/// A namespace; dropping it takes it away.
pub struct Network {
    name: String,
    /// To the database.
    pub database: Cable,
    /// To the clients.
    pub clients: Cable,
}

/// A way between the test and the namespace, on which everything arrives or nothing.
pub struct Cable {
    namespace: String,
    /// The interface on the test's side; the other one has an `n` behind it.
    interface: String,
    /// The address of the test's side.
    pub outside: Ipv4Addr,
    /// The address of the namespace's side.
    pub inside: Ipv4Addr,
}

impl Network {
    /// `None` where this user may not make one.
    ///
    /// # Panics
    /// When `ip` is missing, or half of it could be made.
    pub fn make() -> Option<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(2, Ordering::Relaxed));
        let name = format!("walcast-{process}-{number}");
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        let made = made.expect("`ip` is missing: `make setup` installs it");
        if !made.status.success() {
            return None;
        }
        let network = Self {
            database: Cable::between(&name, process, number),
            clients: Cable::between(&name, process, number + 1),
            name,
        };
        network.database.lay();
        network.clients.lay();
        Some(network)
    }

    /// A command that runs in the namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The interfaces go with it.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

impl Cable {
    fn between(namespace: &str, process: u32, number: u8) -> Self {
        // 198.18.0.0/15 is for networks under test (RFC 2544, appendix C.2.2).
        let [.., high, low] = process.to_be_bytes();
        let (third, fourth) = (low, number.wrapping_mul(4));
        let address = |last| Ipv4Addr::new(198, 18 + high % 2, third, fourth + last);
        Self {
            namespace: namespace.to_owned(),
            interface: format!("wc{process}x{number}"),
            outside: address(1),
            inside: address(2),
        }
    }

    fn lay(&self) {
        let Self { namespace, interface, outside, inside } = self;
        let other = &format!("{interface}n");
        ip(&format!("link add {interface} type veth peer name {other} netns {namespace}"));
        ip(&format!("address add {outside}/30 dev {interface}"));
        ip(&format!("-n {namespace} address add {inside}/30 dev {other}"));
        ip(&format!("link set {interface} up"));
        ip(&format!("-n {namespace} link set {other} up"));
        ip(&format!("-n {namespace} link set lo up"));
    }

    /// From now on all packets vanish, and neither side is told.
    pub fn cut(&self) {
        let Self { namespace, interface, outside, inside } = self;
        ip(&format!("neigh replace {inside} lladdr {NOBODY} nud permanent dev {interface}"));
        ip(&format!("-n {namespace} neigh replace {outside} lladdr {NOBODY} nud permanent dev {interface}n"));
    }

    /// From now on packets arrive again.
    pub fn mend(&self) {
        let Self { namespace, interface, outside, inside } = self;
        ip(&format!("neigh delete {inside} dev {interface}"));
        ip(&format!("-n {namespace} neigh delete {outside} dev {interface}n"));
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
