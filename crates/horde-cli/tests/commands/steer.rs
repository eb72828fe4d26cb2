//! Draining and forgetting.

use crate::driver::Driver;
use crate::scene::{Scene, name};

#[test]
fn a_client_may_not_drain_and_an_operator_may_and_the_children_move_before_the_node_ends() {
    let mut scene = Scene::new(&["one", "two"]);
    let driver = Driver::join(&scene);
    driver.start(0..20);
    let there = driver.call(0..20).iter().filter(|home| *home == "two").count();
    assert!(there > 0);

    let refused = scene.run("drain two --as client", "one");
    assert!(!refused.ok && refused.out.is_empty(), "{refused:?}");
    let why = "not authorised: drain needs role operator, and the certificate says client";
    assert!(refused.error.contains(why), "{refused:?}");
    scene.node("one").says(why);
    let refused = scene.run("forget two --as client --json", "two");
    assert!(!refused.ok && refused.out.is_empty() && refused.error.contains("not authorised"), "{refused:?}");
    assert_eq!(driver.call(0..20).iter().filter(|home| *home == "two").count(), there);

    // Asked of another node than the one that is drained.
    let drained = &scene.run("drain two --json", "one").objects("drained")[0];
    assert_eq!(name(drained, "node"), "two");
    assert_eq!((&drained["moved"], &drained["unmoved"]), (&there.into(), &0.into()));
    let ended = scene.take("two").ended();
    assert_eq!(ended.code(), Some(0));
    assert!(driver.call(0..20).iter().all(|home| home == "one"));
    let children = scene.run("children --json", "one").objects("child");
    let moved = children.iter().filter(|child| child["generation"] == 2).count();
    assert_eq!((children.len(), moved), (20, there));

    let again = scene.run("drain two", "one");
    assert!(!again.ok && again.error.contains("only a living member is drained"), "{again:?}");
    let nobody = scene.run("drain nobody", "one");
    assert!(!nobody.ok && nobody.error.contains("no member nobody is known"), "{nobody:?}");
    driver.leave();
}

#[test]
fn a_node_that_is_asked_itself_answers_when_it_has_left_and_names_the_children_that_nobody_takes() {
    let mut scene = Scene::new(&["one"]);
    let driver = Driver::join(&scene);
    driver.start(0..3);
    let drained = scene.run("drain one --within 10 --json", "one");
    assert!(!drained.ok, "children did not move: {drained:?}");
    let answer: serde_json::Value = serde_json::from_str(drained.out.trim()).unwrap();
    assert_eq!((&answer["moved"], &answer["unmoved"]), (&0.into(), &3.into()));
    assert_eq!(answer["unmoved_ids"][0], "children/child-0");
    assert_eq!(scene.take("one").ended().code(), Some(1), "not every child moved");
    driver.leave();
}

#[test]
fn sigterm_drains_as_well_and_the_process_exits_0() {
    let mut scene = Scene::new(&["one", "two"]);
    let driver = Driver::join(&scene);
    driver.start(0..10);
    let mut two = scene.take("two");
    two.terminate();
    assert_eq!(two.ended().code(), Some(0));
    two.says("has left; 0 children did not move");
    assert!(driver.call(0..10).iter().all(|home| home == "one"));
    driver.leave();
}

#[test]
fn a_member_that_was_killed_is_forgotten_on_all_members_and_a_new_start_of_it_joins() {
    let mut scene = Scene::new(&["one", "two", "three"]);
    let alive = scene.run("forget three", "one");
    assert!(!alive.ok && alive.error.contains("three@"), "{alive:?}");
    assert!(alive.error.contains("is Up for one; only a member that is Down is forgotten"), "{alive:?}");
    let itself = scene.run("forget one", "one");
    assert!(!itself.ok && itself.error.contains("is the node that was asked"), "{itself:?}");

    scene.take("three").kill();
    let is_down = |members: &[serde_json::Value]| {
        members.iter().any(|member| name(member, "node") == "three" && member["status"] == "Down")
    };
    for node in ["one", "two"] {
        scene.until_members(node, is_down);
    }
    let life = scene.run("members --json", "one").objects("member");
    let life = life.iter().find(|member| name(member, "node") == "three").unwrap()["node"].clone();
    let forgotten = &scene.run("forget three --json", "two").objects("forgotten")[0];
    assert_eq!(forgotten["node"], life);
    let by: Vec<&str> =
        forgotten["by"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!((by, forgotten["missing"].as_array().unwrap().len()), (vec!["one", "two"], 0));
    for node in ["one", "two"] {
        let members = scene.run("members --json", node).objects("member");
        assert_eq!(members.iter().map(|member| name(member, "node")).collect::<Vec<_>>(), ["one", "two"]);
        scene.node(node).says("Forgotten(three@");
    }
    let again = scene.run("forget three", "one");
    assert!(again.ok && again.out.contains("is forgotten by one, two"), "once more is no harm: {again:?}");
    let unknown = scene.run("forget four", "one");
    assert!(!unknown.ok && unknown.error.contains("no member four is known"), "{unknown:?}");

    scene.spawn("three", &[]).is_member();
    let is_back = |members: &[serde_json::Value]| {
        let back = members.iter().find(|member| name(member, "node") == "three");
        back.is_some_and(|back| back["status"] == "Up" && back["node"] != life)
    };
    for node in ["one", "two", "three"] {
        scene.until_members(node, is_back);
    }
}

#[test]
fn a_member_that_only_stood_still_and_was_forgotten_ends_with_the_reason_when_it_goes_on() {
    let mut scene = Scene::new(&["one", "two", "three"]);
    scene.node("three").signal("STOP");
    let is_down = |members: &[serde_json::Value]| {
        members.iter().any(|member| name(member, "node") == "three" && member["status"] == "Down")
    };
    for node in ["one", "two"] {
        scene.until_members(node, is_down);
    }
    assert!(scene.run("forget three", "one").ok);
    let mut three = scene.take("three");
    three.signal("CONT");
    assert_eq!(three.ended().code(), Some(1));
    three.says("this node was forgotten while it was away");
    for node in ["one", "two"] {
        let members = scene.run("members --json", node).objects("member");
        assert_eq!(members.iter().map(|member| name(member, "node")).collect::<Vec<_>>(), ["one", "two"]);
    }
}
