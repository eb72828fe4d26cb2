//! Nodes and clients that prove who they are by certificates.

use crate::node::{Node, horde};
use crate::scene::{Directory, Done};

/// The options that present a certificate.
fn files(directory: &Directory, name: &str) -> Vec<String> {
    let path = |name: &str| directory.path().join(name).display().to_string();
    let options = ["--ca".to_owned(), path("ca.pem"), "--cert".to_owned(), path(&format!("{name}.pem"))];
    options.into_iter().chain(["--key".to_owned(), path(&format!("{name}.key.pem"))]).collect()
}

fn run(args: &[&str], files: &[String]) -> Done {
    Done::of(horde().args(args).args(files).output().unwrap())
}

#[test]
fn a_certificate_says_what_its_holder_may_do() {
    let directory = Directory::new();
    let out = ["--out".to_owned(), directory.path().display().to_string()];
    assert!(run(&["ca", "init", "--cluster", "shop"], &out).ok);
    for (name, role) in [("one", "node"), ("viewer", "client"), ("boss", "operator")] {
        let issued = run(&["ca", "issue", name, "--role", role], &out);
        assert!(issued.ok, "{issued:?}");
    }
    let mut args = files(&directory, "one");
    args.extend(["--listen", "127.0.0.1:0", "--expect", "1"].map(str::to_owned));
    let mut node = Node::spawn(&args);
    let address = node.address().to_string();
    node.is_member();
    let [viewer, boss, one] = ["viewer", "boss", "one"].map(|name| files(&directory, name));

    let status = run(&["status", "--json", "--connect", &address], &viewer);
    assert_eq!(status.objects("status")[0]["cluster"], "shop");
    assert!(run(&["status", "--connect", &address], &boss).ok, "an operator looks as well");
    let refused = run(&["drain", "one", "--connect", &address], &viewer);
    assert!(!refused.ok && refused.error.contains("drain needs role operator"), "{refused:?}");
    let chosen = run(&["drain", "one", "--as", "operator", "--connect", &address], &viewer);
    assert!(!chosen.ok && chosen.error.contains("a certificate's role is not chosen"), "{chosen:?}");
    let posing = run(&["status", "--connect", &address], &one);
    assert!(!posing.ok && posing.error.contains("that of the node one"), "{posing:?}");
    let drained = run(&["drain", "one", "--connect", &address], &boss);
    assert!(drained.ok && drained.out.contains("0 children moved, 0 did not"), "{drained:?}");
    assert_eq!(node.ended().code(), Some(0));
}
