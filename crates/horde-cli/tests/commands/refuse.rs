//! Errors that say what is wrong.

use std::net::UdpSocket;

use crate::node::horde;
use crate::scene::{Done, Scene, readable};

#[test]
fn who_has_the_wrong_secret_or_asks_at_the_wrong_place_is_told_so() {
    let mut scene = Scene::new(&["one"]);
    let address = scene.address("one").to_string();
    let other = scene.directory.secret("other.secret");
    let status = |connect: &str, more: &[&str]| {
        let mut command = horde();
        command.args(["status", "--json", "--timeout", "5", "--connect", connect]).args(more);
        let done = Done::of(command.output().unwrap());
        assert!(!done.ok && done.out.is_empty(), "{done:?}");
        done.error
    };
    let secret = |path: &std::path::Path| ["--secret-file".to_owned(), path.display().to_string()];
    let [flag, wrong] = secret(&other);
    let error = status(&address, &[&flag, &wrong]);
    let why = "certificate not signed by this cluster's secret or CA (wrong secret?)";
    assert!(error.contains(&address) && error.contains(why), "{error}");
    scene.node("one").says(why);

    let [flag, right] = secret(&scene.secret.clone());
    let error = status(&address, &[&flag, &right, "--cluster", "others"]);
    assert!(error.contains("certificate of cluster horde, but this is cluster others"), "{error}");

    // A port that nobody reads from.
    let silent = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let error = status(&silent.local_addr().unwrap().to_string(), &[&flag, &right]);
    assert!(error.contains("nobody answers at"), "{error}");

    let error = status("nowhere", &[&flag, &right]);
    assert!(error.contains("`nowhere` is no address"), "{error}");
    let error = status(&address, &[]);
    assert!(error.contains("nothing proves who this is"), "{error}");
    readable(&other, 0o644);
    let error = status(&address, &[&flag, &wrong]);
    assert!(error.contains("others can read this file") && error.contains("chmod 600"), "{error}");
}
