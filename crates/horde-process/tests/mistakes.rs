//! What rustc says to the mistakes that users make: one error each, at their own line, with what to write.
//! After a change of wording: `TRYBUILD=overwrite cargo test -p horde-process --test mistakes`.

#[test]
fn each_mistake_is_an_error_at_the_users_own_line() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
