//! A switch and the hosts that are plugged into it, each in a network namespace of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::guard::Guard;
use crate::ip::run;

/// Hosts on one switch. The network of the machine has no part in it: the switch has a namespace too.
///
/// Dropped, all of it goes. Drop what runs in it first.
#[derive(Debug)]
pub struct Net {
    hub: String,
    hosts: Vec<Host>,
    _guard: Guard,
}

#[derive(Debug)]
struct Host {
    name: String,
    namespace: String,
    /// The switch's end of its cable.
    port: String,
    address: Ipv4Addr,
}

/// Networks made by this OS process so far.
static MADE: AtomicU32 = AtomicU32::new(0);

impl Net {
    /// Makes a network of these hosts.
    ///
    /// # Errors
    /// What `ip` says, when this user may not.
    pub fn new(names: &[&str]) -> Result<Self> {
        let unique = format!("horde-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let hub = format!("{unique}-hub");
        let hosts: Vec<Host> = (1..)
            .zip(names)
            .map(|(number, name)| Host {
                name: (*name).to_owned(),
                namespace: format!("{unique}-{name}"),
                port: format!("port{number}"),
                address: Ipv4Addr::new(10, 77, 0, number),
            })
            .collect();
        let mut namespaces: Vec<String> = hosts.iter().map(|host| host.namespace.clone()).collect();
        namespaces.push(hub.clone());
        let guard = Guard::over(&namespaces)?;
        for namespace in &namespaces {
            run("ip", &format!("netns add {namespace}"))?;
        }
        run("ip", &format!("-n {hub} link add switch type bridge"))?;
        run("ip", &format!("-n {hub} link set switch up"))?;
        for Host { namespace, port, address, .. } in &hosts {
            run("ip", &format!("-n {hub} link add {port} type veth peer name eth0 netns {namespace}"))?;
            run("ip", &format!("-n {hub} link set {port} master switch up"))?;
            run("ip", &format!("-n {namespace} address add {address}/24 dev eth0"))?;
            run("ip", &format!("-n {namespace} link set eth0 up"))?;
            run("ip", &format!("-n {namespace} link set lo up"))?;
        }
        Ok(Self { hub, hosts, _guard: guard })
    }

    /// Where a node on this host listens.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn listen(&self, name: &str) -> Result<SocketAddr> {
        Ok(SocketAddr::from((self.host(name)?.address, 7700)))
    }

    /// The command under which a program runs on this host.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn on(&self, name: &str) -> Result<[String; 4]> {
        Ok(["ip".into(), "netns".into(), "exec".into(), self.host(name)?.namespace.clone()])
    }

    /// Nothing passes to and from this host any more: its cable is out.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn unplug(&self, name: &str) -> Result<()> {
        run("ip", &format!("-n {} link set {} down", self.hub, self.host(name)?.port))
    }

    /// Its cable is in again.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn plug(&self, name: &str) -> Result<()> {
        run("ip", &format!("-n {} link set {} up", self.hub, self.host(name)?.port))
    }

    /// Nothing reaches this host any more, and no sender notices; what it sends itself arrives.
    ///
    /// # Errors
    /// What `tc` says.
    pub fn deafen(&self, name: &str) -> Result<()> {
        // A queue without any place: every kernel has it, unlike netem.
        run("tc", &format!("-n {} qdisc add dev {} root pfifo limit 0", self.hub, self.host(name)?.port))
    }

    /// What is sent to this host reaches it again.
    ///
    /// # Errors
    /// What `tc` says.
    pub fn undeafen(&self, name: &str) -> Result<()> {
        run("tc", &format!("-n {} qdisc del dev {} root", self.hub, self.host(name)?.port))
    }

    /// Nothing passes between these two hosts any more, and no sender notices. Others reach both.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn part(&self, one: &str, two: &str) -> Result<()> {
        for (from, to) in [(one, two), (two, one)] {
            let Host { namespace, .. } = self.host(from)?;
            let to = self.host(to)?.address;
            // A station that nobody is.
            run(
                "ip",
                &format!("-n {namespace} neigh replace {to} lladdr 02:00:00:00:00:01 dev eth0 nud permanent"),
            )?;
        }
        Ok(())
    }

    /// These two hosts reach each other again.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn unite(&self, one: &str, two: &str) -> Result<()> {
        for (from, to) in [(one, two), (two, one)] {
            let Host { namespace, .. } = self.host(from)?;
            run("ip", &format!("-n {namespace} neigh del {} dev eth0", self.host(to)?.address))?;
        }
        Ok(())
    }

    fn host(&self, name: &str) -> Result<&Host> {
        let found = self.hosts.iter().find(|host| host.name == name);
        found.with_context(|| format!("no host {name}"))
    }
}
