//! The known failures of the peers, told to this cluster.

#[test]
fn every_story_ends_well() {
    let stories = horde_sim::scenarios();
    assert!(stories.len() >= 34, "the list was read");
    let bad: Vec<String> =
        stories.iter().filter_map(|(name, story)| story().map(|wrong| format!("{name}: {wrong}"))).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
