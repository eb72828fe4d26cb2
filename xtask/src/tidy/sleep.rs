//! Tests wait for the event itself, with a deadline; they never sleep and hope.

use super::{Finding, Tree, code};

/// Ways to sleep.
const SLEEPS: &[&str] = &["thread::sleep(", "time::sleep(", "sleep(", "sleep_ms("];

/// A helper that polls what gives no event may sleep between two looks, if it says so and has a deadline: that word
/// stands this many lines before or after at most.
const NEAR: usize = 15;

/// Refuses sleep in tests, except in helpers that poll until a deadline and give their reason.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.rust() {
        let package_of_tests = path.starts_with("tests/");
        let all: Vec<&str> = text.lines().collect();
        for (number, line, test) in code::lines(path, text) {
            let code = &code::code_of(line);
            let sleeps = SLEEPS.iter().any(|sleep| code::has_word(code, sleep)) && !code.contains("fn sleep");
            if (test || package_of_tests) && sleeps && !polls_until_a_deadline(&all, number - 1) {
                let message = "a test sleeps: wait for the event with a deadline. A helper that polls says \
                               `// tidy: sleep, reason` beside the call and names its `deadline` near it";
                found.push(Finding::new(path, number, message));
            }
        }
    }
    found
}

/// Whether the exception is claimed on the line or the one above, and a deadline is near in the code.
fn polls_until_a_deadline(lines: &[&str], at: usize) -> bool {
    let claimed = [Some(at), at.checked_sub(1)]
        .into_iter()
        .flatten()
        .any(|line| code::reason(lines[line], "sleep").is_some());
    let near = &lines[at.saturating_sub(NEAR)..lines.len().min(at + NEAR + 1)];
    claimed && near.iter().any(|line| code::code_of(line).contains("deadline"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn sleep_is_refused_in_test_files_test_modules_and_test_packages() {
        assert_eq!(at("crates/a/tests/b.rs", "std::thread::sleep(d);"), [1]);
        assert_eq!(
            at("crates/a/src/b.rs", "sleep(d);\n#[cfg(test)]\nmod tests {\n  tokio::time::sleep(d).await;"),
            [4]
        );
        assert_eq!(at("tests/cluster/src/lib.rs", "use tokio::time::sleep;\nsleep(d).await;"), [2]);
    }

    #[test]
    fn drivers_may_sleep() {
        assert_eq!(at("crates/a/src/driver.rs", "tokio::time::sleep(d).await;"), [0; 0]);
    }

    #[test]
    fn an_exception_needs_its_reason_and_a_deadline() {
        let helper =
            "while now() < deadline {\n  sleep(step); // tidy: sleep, the file system gives no event\n}";
        assert_eq!(at("tests/a.rs", helper), [0; 0]);
        assert_eq!(at("tests/a.rs", &helper.replace("deadline", "end")), [2]);
        assert_eq!(at("tests/a.rs", &helper.replace(", the file system gives no event", "")), [2]);
    }
}
