//! A cluster of `horde node`s with a secret of its own, and the commands on it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::node::{Node, PATIENCE, horde};

/// A directory that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("horde-commands-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file for its owner only.
    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        let made = horde().args(["secret", "new"]).output().unwrap();
        let path = self.0.join(name);
        std::fs::write(&path, made.stdout).unwrap();
        readable(&path, 0o600);
        path
    }
}

pub(crate) fn readable(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) struct Scene {
    pub(crate) directory: Directory,
    pub(crate) secret: PathBuf,
    nodes: Vec<(String, Node, SocketAddr)>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Done {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { ok: output.status.success(), out: text(output.stdout), error: text(output.stderr) }
    }

    /// The objects that it printed, one a line and nothing else, by their type; the last one ends a list.
    pub(crate) fn objects(&self, kind: &str) -> Vec<Value> {
        assert!(self.ok, "{self:?}");
        let all: Vec<Value> = self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        all.into_iter().filter(|object| object["type"] == kind).collect()
    }
}

impl Scene {
    /// Nodes of these names, each of which knows all.
    pub(crate) fn new(names: &[&str]) -> Self {
        let directory = Directory::new();
        let secret = directory.secret("cluster.secret");
        let mut scene = Self { directory, secret, nodes: Vec::new() };
        for name in names {
            scene.spawn(name, &["--expect".to_owned(), names.len().to_string()]);
        }
        scene.nodes.iter().for_each(|(_, node, _)| node.is_member());
        for name in names {
            scene.until_members(name, |members| {
                let ready = |member: &Value| {
                    let hordes = member["hordes"].as_object().unwrap();
                    member["status"] == "Up"
                        && hordes.len() == 2
                        && hordes.values().all(|ready| ready == true)
                };
                members.len() == names.len() && members.iter().all(ready)
            });
        }
        scene
    }

    /// A further node; it looks for those that there are.
    pub(crate) fn spawn(&mut self, name: &str, more: &[String]) -> &Node {
        let mut args: Vec<String> = ["--name", name, "--listen", "127.0.0.1:0"].map(str::to_owned).into();
        args.extend(["--secret-file".to_owned(), self.secret.display().to_string()]);
        let join: Vec<String> = self.nodes.iter().map(|(_, _, address)| address.to_string()).collect();
        if !join.is_empty() {
            args.extend(["--join".to_owned(), join.join(",")]);
        }
        args.extend_from_slice(more);
        let node = Node::spawn(&args);
        let address = node.address();
        self.nodes.push((name.to_owned(), node, address));
        &self.nodes.last().unwrap().1
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        &mut self.nodes.iter_mut().find(|(known, ..)| known == name).unwrap().1
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.nodes.iter().find(|(known, ..)| known == name).unwrap().2
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|(.., address)| *address).collect()
    }

    /// Takes a node out: it has ended, or is to.
    pub(crate) fn take(&mut self, name: &str) -> Node {
        let at = self.nodes.iter().position(|(known, ..)| known == name).unwrap();
        self.nodes.remove(at).1
    }

    /// Runs `horde COMMAND --connect NODE --secret-file F`.
    pub(crate) fn run(&self, command: &str, on: &str) -> Done {
        let mut horde = horde();
        horde.args(command.split_whitespace());
        horde.args(["--connect", &self.address(on).to_string()]).arg("--secret-file").arg(&self.secret);
        Done::of(horde.output().unwrap())
    }

    /// Asks `on` for its members until they are as wished; those.
    pub(crate) fn until_members(&self, on: &str, wished: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let members = self.run("members --json", on).objects("member");
            if wished(&members) {
                return members;
            }
            assert!(Instant::now() < deadline, "{members:#?}");
        }
    }
}

/// The name of the node that an object names under `key`.
pub(crate) fn name(object: &Value, key: &str) -> String {
    object[key]["name"].as_str().unwrap().to_owned()
}
