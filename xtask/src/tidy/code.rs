//! How rules read Rust text: line by line, without a parser.

/// A line of code without its comment and without what its strings say.
///
/// A string over several lines is read as code from its second line on.
pub(super) fn code_of(line: &str) -> String {
    let (mut code, mut text, mut escaped) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' if !escaped && !code.ends_with('\'') => {
                text = !text;
                code.push(c);
            }
            '/' if !text && code.ends_with('/') => {
                code.pop();
                break;
            }
            _ if !text => code.push(c),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    code
}

/// Whether the file at `path` holds nothing but tests.
///
/// `crates/x/tests/law.rs`, `src/machine/tests.rs` and `src/machine/tests/law.rs` do; `tests/sim/src/world.rs`,
/// the source of a test package, does not.
pub(super) fn is_test_file(path: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    let stem = parts.pop().unwrap_or_default().trim_end_matches(".rs");
    let after = |part: &str| parts.iter().rposition(|other| *other == part);
    stem == "tests"
        || stem.ends_with("_tests")
        || after("tests").is_some_and(|tests| Some(tests) > after("src"))
}

/// The lines of a file with their numbers and whether they belong to a test.
///
/// From the first `#[cfg(test)]` on, everything does: tests stand at the end of a file.
pub(super) fn lines<'a>(path: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str, bool)> {
    let mut test = is_test_file(path);
    text.lines().enumerate().map(move |(index, line)| {
        test |= line.trim_start().starts_with("#[cfg(test)]");
        (index + 1, line, test)
    })
}

/// Whether `word` stands in `code` on its own, not as the end of a longer name.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The reason that a comment `// tidy: NAME, reason` on `line` gives for an exception, if it gives one.
pub(super) fn reason<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, comment) = line.split_once("// tidy: ")?;
    let reason = comment.strip_prefix(name)?.trim_start_matches([':', ',', ' ']);
    (reason.len() >= 10).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_file_is_told_from_the_source_of_a_test_package() {
        for path in ["crates/x/tests/law.rs", "crates/x/src/machine/tests.rs", "tests/cluster/tests/kill.rs"]
        {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["tests/sim/src/world.rs", "crates/x/src/lib.rs", "xtask/src/tidy.rs"] {
            assert!(!is_test_file(path), "{path}");
        }
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(code_of("let a = b(\"tokio::\\\"// c\", d); // Instant::now"), "let a = b(\"\", d); ");
        assert_eq!(code_of("let quote = '\"'; x() / y"), "let quote = '\"'; x() / y");
    }

    #[test]
    fn an_exception_without_a_reason_does_not_count() {
        assert_eq!(
            reason("x(); // tidy: sleep, polls with a deadline", "sleep"),
            Some("polls with a deadline")
        );
        assert_eq!(reason("x(); // tidy: sleep", "sleep"), None);
        assert_eq!(reason("x(); // tidy: hasher, seeded by the caller", "sleep"), None);
    }
}
