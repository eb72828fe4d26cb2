//! `horde node` and its file of settings.

use crate::node::{Node, horde};
use crate::scene::{Directory, Done, readable};

#[test]
fn a_node_takes_its_settings_from_a_file() {
    let directory = Directory::new();
    directory.secret("cluster.secret");
    let file = directory.path().join("node.toml");
    let text = "name = \"one\"\nlisten = \"127.0.0.1:0\"\ncluster = \"shop\"\nsecret_file = \"cluster.secret\"\n\
                expect = 1\nzone = \"a\"\nlabels = { disk = \"fast\" }\n";
    std::fs::write(&file, text).unwrap();
    let mut node = Node::spawn(&["--config".to_owned(), file.display().to_string()]);
    let address = node.address().to_string();
    node.is_member();
    let mut command = horde();
    command.args(["members", "--json", "--cluster", "shop", "--connect", &address, "--secret-file"]);
    let members = Done::of(command.arg(directory.path().join("cluster.secret")).output().unwrap());
    let member = &members.objects("member")[0];
    assert_eq!((&member["zone"], &member["labels"]["disk"]), (&"a".into(), &"fast".into()));
    node.terminate();
    assert_eq!(node.ended().code(), Some(0));
}

#[test]
fn a_node_refuses_a_secret_that_others_can_read_and_settings_that_it_does_not_know() {
    let directory = Directory::new();
    let secret = directory.secret("cluster.secret");
    readable(&secret, 0o640);
    let node = |more: &[&str]| {
        let done = Done::of(horde().args(["node", "--name", "one"]).args(more).output().unwrap());
        assert!(!done.ok, "{done:?}");
        done.error
    };
    let error = node(&["--secret-file", &secret.display().to_string()]);
    assert!(error.contains("others can read this file (mode 640)"), "{error}");
    let file = directory.path().join("node.toml");
    std::fs::write(&file, "zonne = \"a\"\n").unwrap();
    let error = node(&["--config", &file.display().to_string()]);
    assert!(error.contains("node.toml") && error.contains("zonne"), "{error}");
    assert!(node(&[]).contains("nothing proves who this is"));
}

#[test]
fn a_node_that_waits_for_others_ends_at_sigterm_too() {
    let directory = Directory::new();
    let secret = directory.secret("cluster.secret").display().to_string();
    let args = ["--name", "one", "--listen", "127.0.0.1:0", "--expect", "2", "--secret-file", &secret];
    let mut node = Node::spawn(&args.map(str::to_owned));
    node.address();
    node.terminate();
    assert_eq!(node.ended().code(), Some(0));
}
