//! What the commands show.

use crate::driver::Driver;
use crate::scene::{Scene, name};

#[test]
fn every_command_that_looks_shows_the_cluster_as_a_table_and_as_json() {
    let mut scene = Scene::new(&["one", "two"]);
    let driver = Driver::join(&scene);
    driver.start(0..12);
    let homes = driver.call(0..12);
    assert!(homes.iter().all(|home| ["one", "two"].contains(&home.as_str())), "{homes:?}");

    let status = &scene.run("status --json", "one").objects("status")[0];
    assert_eq!((status["cluster"].as_str(), name(status, "node").as_str()), (Some("horde"), "one"));
    assert_eq!((&status["members"]["Up"], &status["children"]["running"]), (&3.into(), &12.into()));
    assert_eq!((&status["names"], &status["status"]), (&12.into(), &"Up".into()));
    let hordes = status["hordes"].as_array().unwrap();
    assert!(hordes.len() == 2 && hordes.iter().all(|horde| horde["ready"] == true), "{hordes:?}");
    let text = scene.run("status", "two");
    for part in ["two@", "3 Up", "12 running", "registry/names (ready here, on 3 of 3 members)"] {
        assert!(text.ok && text.out.contains(part), "{part}: {text:?}");
    }

    let members = scene.run("members --json", "one").objects("member");
    let names: Vec<String> = members.iter().map(|member| name(member, "node")).collect();
    assert_eq!(names, ["driver", "one", "two"]);
    let own = members.iter().find(|member| name(member, "node") == "two").unwrap();
    assert_eq!(own["address"], scene.address("two").to_string());
    let text = scene.run("members", "one");
    assert!(text.ok && text.out.contains(&scene.address("two").to_string()), "{text:?}");
    // A client is never a member, whoever looks.
    assert!(!text.out.contains("client-"), "{text:?}");

    let children = scene.run("children --json", "one");
    let rows = children.objects("child");
    assert_eq!((rows.len(), children.objects("end")[0]["left_out"].clone()), (12, 0.into()));
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(
            (&row["kind"], &row["state"], &row["generation"]),
            (&"echo".into(), &"running".into(), &1.into())
        );
        assert_eq!(name(&row["pid"], "node"), name(row, "node"));
        assert!(row["id"].as_str().unwrap().starts_with("child-"), "{number}: {row}");
    }
    let few = scene.run("children --limit 5 --json", "two");
    let end = few.objects("end")[0].clone();
    assert_eq!((few.objects("child").len(), &end["shown"], &end["left_out"]), (5, &5.into(), &7.into()));
    assert_eq!(few.objects("child"), rows[..5]);
    let text = scene.run("children --limit 5", "two").out;
    assert!(text.contains("5 shown, 7 more are left out (--limit)"), "{text}");
    let on_one = scene.run("children --node one --json", "two").objects("child");
    assert_eq!(on_one.len(), homes.iter().filter(|home| *home == "one").count());
    assert!(on_one.iter().all(|row| name(row, "node") == "one"));
    assert!(scene.run("children --supervisor others --json", "one").objects("child").is_empty());

    let names = scene.run("names --json", "two").objects("name");
    let found = names.iter().find(|row| row["key"] == "child-7").unwrap();
    assert_eq!((names.len(), &found["registry"]), (12, &"names".into()));
    let seven = rows.iter().find(|row| row["id"] == "child-7").unwrap();
    assert_eq!(found["pid"], seven["pid"]);
    assert!(scene.run("names", "one").out.contains("child-7"));

    shows_a_plan_and_moves_nothing(&mut scene, &driver, &homes);
    driver.leave();
}

fn shows_a_plan_and_moves_nothing(scene: &mut Scene, driver: &Driver, homes: &[String]) {
    assert!(scene.run("plan --json", "one").objects("move").is_empty());
    scene.spawn("three", &[]).is_member();
    let ready = |members: &[serde_json::Value]| {
        let three = members.iter().find(|member| name(member, "node") == "three");
        three.is_some_and(|three| three["hordes"]["supervisor/children"] == true)
    };
    scene.until_members("one", ready);
    let plan = scene.run("plan --json", "one");
    let moves = plan.objects("move");
    assert!(!moves.is_empty() && moves.len() < 12, "{plan:?}");
    assert!(moves.iter().all(|planned| name(planned, "to") == "three" && name(planned, "from") != "three"));
    let text = scene.run("plan --limit 1", "one").out;
    assert!(text.contains("three") && text.contains("1 shown"), "{text}");
    assert_eq!(driver.call(0..12), homes, "a plan moves nothing");
}
